package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sluice/bench/rig"
)

// load is requests over connections that stay open.
type load struct {
	Address     string
	Connections int
	// Rate is how many requests a second are sent, whatever becomes of those
	// before, as far as connections are free; 0: each connection asks again at
	// once.
	Rate  float64
	At    time.Time     // when the first is sent; connections are opened before
	For   time.Duration // from then on
	Hold  time.Duration // for how long connections stay open, idle, after that
	Idle  int           // connections that ask nothing
	Drips int           // connections that send a byte of a head a second, and come again when closed
	Keep  bool          // each sample
}

// result is what became of a load.
type result struct {
	OK, Shed, Other int64
	Missed          int64 // due while their connection was busy, and never sent
	Errors          int64 // connections that broke
	FirstError      string
	Samples         []sample
}

// sample is one answer.
type sample struct {
	At     int64 // when the request was due, Unix time in ns
	Status int
	Took   time.Duration // from then on
}

// runner runs a load.
type runner struct {
	load
	ok, shed, other, missed, errors atomic.Int64
	first                           sync.Once
	firstError                      string
}

func (l load) run(ctx context.Context) (result, error) {
	r := &runner{load: l}
	ctx, cancel := context.WithDeadline(ctx, l.At.Add(l.For+l.Hold))
	defer cancel()
	var done sync.WaitGroup
	samples := make([][]sample, l.Connections)
	for range l.Idle {
		if err := r.idle(ctx, &done); err != nil {
			return result{}, err
		}
	}
	for range l.Drips {
		done.Go(func() { r.drip(ctx) })
	}
	for i := range l.Connections {
		c, err := net.Dial("tcp", l.Address)
		if err != nil {
			return result{}, err
		}
		done.Go(func() { samples[i] = r.ask(ctx, c) })
	}
	done.Wait()
	all := result{OK: r.ok.Load(), Shed: r.shed.Load(), Other: r.other.Load(), Missed: r.missed.Load(), Errors: r.errors.Load(), FirstError: r.firstError}
	for _, s := range samples {
		all.Samples = append(all.Samples, s...)
	}
	return all, nil
}

const request = "GET / HTTP/1.1\r\nHost: web.test\r\nUser-Agent: overload\r\nAccept: */*\r\n\r\n"

// failed counts a connection that broke.
func (r *runner) failed(err error) {
	r.errors.Add(1)
	r.first.Do(func() { r.firstError = err.Error() })
}

// idle opens a connection that asks once, and then no more.
func (r *runner) idle(ctx context.Context, done *sync.WaitGroup) error {
	c, err := net.Dial("tcp", r.Address)
	if err != nil {
		return err
	}
	if status, err := exchange(c, make([]byte, 4<<10)); err != nil || status != 200 {
		return fmt.Errorf("a connection that is to be idle is answered %d, %v", status, err)
	}
	done.Go(func() {
		defer c.Close()
		stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
		defer stop()
		if _, err := c.Read(make([]byte, 1)); ctx.Err() == nil {
			r.failed(fmt.Errorf("an idle connection ended: %w", err))
		}
	})
	return nil
}

// drip sends a head a byte a second, and begins anew when it is refused.
func (r *runner) drip(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	wait(ctx, time.Now().Add(rand.N(time.Second)))
	for ctx.Err() == nil {
		c, err := net.Dial("tcp", r.Address)
		if err != nil {
			r.failed(err)
			return
		}
		_, err = io.WriteString(c, "GET / HTTP/1.1\r\nX: ")
		for err == nil && ctx.Err() == nil {
			select {
			case <-tick.C:
				_, err = io.WriteString(c, "x")
			case <-ctx.Done():
			}
		}
		c.Close()
	}
}

// ask sends requests over a connection when they are due.
func (r *runner) ask(ctx context.Context, c net.Conn) (samples []sample) {
	defer c.Close()
	period := time.Duration(0)
	due := r.At
	if r.Rate > 0 {
		period = time.Duration(float64(r.Connections) / r.Rate * float64(time.Second))
		due = due.Add(rand.N(period))
	}
	buffer := make([]byte, 4<<10)
	end := r.At.Add(r.For)
	c.SetDeadline(end.Add(r.Hold + 10*time.Second)) // one for all: each costs as much as a request
	for wait(ctx, due) && due.Before(end) {
		status, err := exchange(c, buffer)
		if err != nil {
			r.failed(err)
			return samples
		}
		r.count(status)
		if r.Keep {
			samples = append(samples, sample{due.UnixNano(), status, time.Since(due)})
		}
		if period == 0 {
			due = time.Now()
			continue
		}
		for due = due.Add(period); time.Since(due) > 0; due = due.Add(period) {
			r.missed.Add(1)
		}
	}
	wait(ctx, end.Add(r.Hold))
	return samples
}

func (r *runner) count(status int) {
	switch status {
	case 200:
		r.ok.Add(1)
	case 503:
		r.shed.Add(1)
	default:
		r.other.Add(1)
	}
}

// wait waits until a moment, and reports false if ctx ended first.
func wait(ctx context.Context, until time.Time) bool {
	d := time.Until(until)
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// exchange sends a request and reads its answer, which has a length.
func exchange(c net.Conn, buffer []byte) (status int, err error) {
	if _, err := io.WriteString(c, request); err != nil {
		return 0, err
	}
	for n := 0; n < len(buffer); {
		m, err := c.Read(buffer[n:])
		n += m
		if err != nil {
			return 0, err
		}
		if status, whole := rig.ParseAnswer(buffer[:n]); whole {
			return status, nil
		}
	}
	return 0, fmt.Errorf("an answer is longer than %d bytes", len(buffer))
}
