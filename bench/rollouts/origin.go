package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"
)

// origin is an endpoint: one version of one service. It answers each request
// after a while that varies, and some of them badly.
type origin struct {
	version string
	fails   float64 // the part of requests that gets a 500
	takes   time.Duration

	net     net.Listener
	running sync.WaitGroup
	mu      sync.Mutex
	open    map[net.Conn]bool // nil once closed
}

func startOrigin(version string, fails float64, takes time.Duration) (*origin, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &origin{version: version, fails: fails, takes: takes, net: ln, open: map[net.Conn]bool{}}
	o.running.Go(o.accept)
	return o, nil
}

func (o *origin) addr() string { return o.net.Addr().String() }

func (o *origin) close() {
	o.net.Close()
	o.mu.Lock()
	for c := range o.open {
		c.Close()
	}
	o.open = nil
	o.mu.Unlock()
	o.running.Wait()
}

func (o *origin) accept() {
	for {
		c, err := o.net.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		if o.open == nil {
			c.Close()
		} else {
			o.open[c] = true
			o.running.Go(func() { o.serve(c) })
		}
		o.mu.Unlock()
	}
}

// serve answers requests without bodies until the connection ends.
func (o *origin) serve(c net.Conn) {
	defer func() {
		c.Close()
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.open, c)
	}()
	good, bad := o.answer("200 OK"), o.answer("500 Internal Server Error")
	r := bufio.NewReader(c)
	for {
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			if len(line) <= 2 {
				break
			}
		}
		time.Sleep(o.delay())
		answer := good
		if rand.Float64() < o.fails {
			answer = bad
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

// delay returns half of the time and an exponentially distributed rest, so that
// there is a tail.
func (o *origin) delay() time.Duration {
	return o.takes/2 + time.Duration(rand.ExpFloat64()*float64(o.takes)/2)
}

func (o *origin) answer(status string) []byte {
	body := strings.Repeat("x", 200)
	return fmt.Appendf(nil, "HTTP/1.1 %s\r\nContent-Length: %d\r\nContent-Type: text/plain\r\nAnswered-By: %s\r\n\r\n%s", status, len(body), o.version, body)
}
