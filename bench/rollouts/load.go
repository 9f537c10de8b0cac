package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// seen is what the clients of a service saw.
type seen struct {
	sessions   atomic.Int64
	requests   [2]atomic.Int64 // by version
	bad        [2]atomic.Int64 // those of them that failed
	unanswered atomic.Int64    // by no version: while Sluice is dead, or its own 503s
	mixed      atomic.Int64    // sessions that met both versions
}

// The versions.
const (
	baseline = iota
	candidate
)

// versions are their names.
var versions = [2]string{"v1", "v2"}

// mostRequests is how many a session has at most.
const mostRequests = 6

// clientLimit is how long a client waits for anything.
const clientLimit = 5 * time.Second

// browse is one session after the other, until ctx ends. A connection that
// fails is opened anew, after a pause.
func browse(ctx context.Context, addr, host string, saw *seen) {
	for ctx.Err() == nil {
		if err := visit(ctx, addr, host, saw); err == nil {
			return
		}
		saw.unanswered.Add(1)
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// visit has sessions over one connection; nil means that ctx has ended.
func visit(ctx context.Context, addr, host string, saw *seen) error {
	c, err := net.DialTimeout("tcp", addr, clientLimit)
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for ctx.Err() == nil {
		saw.sessions.Add(1)
		cookie, met := "", [2]bool{}
		for range 1 + rand.IntN(mostRequests) {
			a, err := ask(c, r, host, cookie)
			if err != nil {
				return err
			}
			if a.cookie != "" {
				cookie = a.cookie
			}
			saw.count(a, &met)
		}
		if met[baseline] && met[candidate] {
			saw.mixed.Add(1)
		}
	}
	return nil
}

// count takes an answer in.
func (s *seen) count(a answer, met *[2]bool) {
	if a.version < 0 {
		s.unanswered.Add(1)
		return
	}
	met[a.version] = true
	s.requests[a.version].Add(1)
	if a.status >= 500 {
		s.bad[a.version].Add(1)
	}
}

// answer is what a client needs of a response.
type answer struct {
	status  int
	version int    // -1: none of the endpoints
	cookie  string // that it sets; "": none
}

// ask sends a request and reads its answer.
func ask(c net.Conn, r *bufio.Reader, host, cookie string) (answer, error) {
	a := answer{version: -1}
	if cookie != "" {
		cookie = "Cookie: " + cookie + "\r\n"
	}
	if err := c.SetDeadline(time.Now().Add(clientLimit)); err != nil {
		return a, err
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: "+host+"\r\n"+cookie+"\r\n"); err != nil {
		return a, err
	}
	line, err := r.ReadSlice('\n')
	if err != nil {
		return a, err
	}
	if _, err := fmt.Sscanf(string(line), "HTTP/1.1 %d", &a.status); err != nil {
		return a, fmt.Errorf("%q: %w", line, err)
	}
	length := 0
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return a, err
		}
		name, value, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), ": ")
		switch strings.ToLower(name) {
		case "":
			_, err := r.Discard(length)
			return a, err
		case "content-length":
			if length, err = strconv.Atoi(value); err != nil {
				return a, err
			}
		case "answered-by":
			a.version = candidate
			if value == versions[baseline] {
				a.version = baseline
			}
		case "set-cookie":
			a.cookie, _, _ = strings.Cut(value, ";")
		}
	}
}
