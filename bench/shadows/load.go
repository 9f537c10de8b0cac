package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"sluice/bench/rig"
)

// connections are what the clients have open.
const connections = 64

// settle is the first part of a slice, which is not counted: what is under way then
// belongs to the slice before, copies too.
const settle = 200 * time.Millisecond

// load is requests to both services in turn. Each is sent when it is due, whatever
// became of the one before, and timed from then on.
type load struct {
	Address string
	Sluice  int // its PID
	Rate    float64
	Slice   time.Duration
	Pairs   int
}

// slice is a while in which one service was asked.
type slice struct {
	Copied bool
	Took   []int32       // by each answer, µs, from when the request was due
	CPU    time.Duration // that Sluice spent on it
	Asked  int           // in the time that CPU is of
	Failed int           // requests that got no answer, or another than 200
}

// roles are what this program does in processes of its own.
var roles = map[string]func(context.Context, []string) error{"endpoint": endpointRole, "load": loadRole}

// loadRole runs a load and prints what it saw.
func loadRole(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: load JSON")
	}
	var l load
	if err := json.Unmarshal([]byte(args[0]), &l); err != nil {
		return err
	}
	slices, err := l.run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(slices)
}

// run asks both services for each pair, in an order that is drawn.
func (l load) run(ctx context.Context) ([]slice, error) {
	clients := make([]*client, connections)
	for i := range clients {
		c, err := dial(l.Address)
		if err != nil {
			return nil, err
		}
		defer c.conn.Close()
		clients[i] = c
	}
	var all []slice
	for range l.Pairs {
		first := rand.IntN(2) == 0
		for _, copied := range []bool{first, !first} {
			s, err := l.slice(ctx, clients, copied)
			if err != nil {
				return nil, err
			}
			all = append(all, s)
		}
	}
	return all, nil
}

// slice asks one service for a while.
func (l load) slice(ctx context.Context, clients []*client, copied bool) (slice, error) {
	begin := time.Now()
	from, to := begin.Add(settle), begin.Add(l.Slice)
	period := time.Duration(float64(len(clients)) / l.Rate * float64(time.Second))
	var done sync.WaitGroup
	for _, c := range clients {
		due := begin.Add(rand.N(period))
		done.Go(func() { c.askBetween(ctx, due, from, to, period, copied) })
	}
	time.Sleep(time.Until(from))
	before, err := rig.CPUTime([]int{l.Sluice})
	if err != nil {
		return slice{}, err
	}
	time.Sleep(time.Until(to))
	after, err := rig.CPUTime([]int{l.Sluice})
	if err != nil {
		return slice{}, err
	}
	done.Wait()
	s := slice{Copied: copied, CPU: after - before}
	for _, c := range clients {
		s.Took = append(s.Took, c.took...)
		s.Failed += c.failed
		c.took, c.failed = c.took[:0], 0
	}
	s.Asked = len(s.Took)
	return s, ctx.Err()
}

// client is a connection that asks one request at a time.
type client struct {
	conn   net.Conn
	in     []byte
	took   []int32
	failed int
}

func dial(address string) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, in: make([]byte, 4<<10)}, nil
}

// askBetween asks each period until a moment, and keeps what was due from another
// moment on. A request whose turn comes while the one before is under way is late,
// and its time tells so.
func (c *client) askBetween(ctx context.Context, due, from, to time.Time, period time.Duration, copied bool) {
	for ; due.Before(to) && ctx.Err() == nil; due = due.Add(period) {
		time.Sleep(time.Until(due))
		status, err := c.ask(copied)
		switch {
		case err != nil || status != 200:
			c.failed++
		case !due.Before(from):
			c.took = append(c.took, int32(time.Since(due).Microseconds()))
		}
	}
}

// requests are what is asked of each service.
var requests = map[bool][]byte{
	false: []byte("GET /page HTTP/1.1\r\nHost: " + plainHost + "\r\nUser-Agent: shadows\r\nAccept: */*\r\n\r\n"),
	true:  []byte("GET /page HTTP/1.1\r\nHost: " + copiedHost + "\r\nUser-Agent: shadows\r\nAccept: */*\r\n\r\n"),
}

// ask sends a request and reads its answer, which has a length.
func (c *client) ask(copied bool) (status int, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(requests[copied]); err != nil {
		return 0, err
	}
	for n := 0; n < len(c.in); {
		m, err := c.conn.Read(c.in[n:])
		if n += m; err != nil {
			return 0, err
		}
		if status, whole := rig.ParseAnswer(c.in[:n]); whole {
			return status, nil
		}
	}
	return 0, fmt.Errorf("an answer is longer than %d bytes", len(c.in))
}

// endpointRole answers every request with 200 bytes of JSON after a while.
func endpointRole(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: endpoint ADDRESS WAIT")
	}
	wait, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { ln.Close() })
	serve(ln, wait)
	return nil
}

// serve answers whoever comes, until the listener is closed.
func serve(ln net.Listener, wait time.Duration) {
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go answerAll(c, wait)
	}
}

// answer has 200 bytes of JSON, whose shape is compared.
var answer = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n" +
	`{"id":1234,"name":"a thing","price":{"amount":995,"currency":"EUR"},"tags":["new","small"],"stock":17,"text":"` +
	string(bytes.Repeat([]byte("t"), 88)) + `"}`)

// answerAll answers the requests of a connection, which have no bodies.
func answerAll(c net.Conn, wait time.Duration) {
	defer c.Close()
	head := make([]byte, 0, 4<<10)
	for {
		n, err := c.Read(head[len(head):cap(head)])
		head = head[:len(head)+n]
		if err != nil || len(head) == cap(head) {
			return
		}
		end := bytes.Index(head, []byte("\r\n\r\n"))
		if end < 0 {
			continue
		}
		head = append(head[:0], head[end+4:]...)
		time.Sleep(wait)
		if _, err := io.Copy(c, bytes.NewReader(answer)); err != nil {
			return
		}
	}
}
