package main

import (
	"errors"
	"fmt"
	"time"

	"sluice/bench/peers"
	"sluice/bench/rig"
)

// load is wrk or h2load at work.
type load interface {
	Ended() <-chan struct{}
	Result() (rig.Result, error)
	Stop() error
}

// startLoad starts the cell's load on a peer, and returns with it the count of
// answers so far.
//
// In the clear these are the bytes that wrk reads, divided by the bytes of one
// answer: wrk tells its own count only at the end, when up to one large answer a
// connection is half done and would be lost from the count, not from the CPU
// time. Bytes over TLS depend on how a peer cuts records, so there the backends'
// own count is taken; the few answers in between are small.
func startLoad(dir string, o options, r *peers.Running, c cell, b *peers.Backends) (load, func() (float64, error), error) {
	cookie, answer, err := pinFor(r, c)
	if err != nil {
		return nil, nil, err
	}
	l := rig.Load{
		URL: r.URL(c.Size.Path), Connections: c.Connections, Streams: c.Streams,
		Duration: o.span, Timeout: 10 * time.Second, Cookie: cookie, Core: o.loadCore,
	}
	byBackends := func() (float64, error) {
		n, err := b.Requests()
		return float64(n), err
	}
	if c.Protocol == http2 {
		h2load, err := rig.StartH2Load("h2load", dir, l)
		return h2load, byBackends, err
	}
	wrk, err := rig.StartWrk("wrk", dir, l)
	if err != nil {
		return nil, nil, err
	}
	if c.Protocol == overTLS {
		return wrk, byBackends, nil
	}
	return wrk, func() (float64, error) {
		bytes, err := rig.BytesRead(wrk.PID)
		return float64(bytes) / float64(answer), err
	}, nil
}

// pinFor asks for the cell's answer until it comes from v1, and returns the pin
// that came with it, which the load then carries (none for new sessions), and
// the bytes of one further answer.
func pinFor(r *peers.Running, c cell) (cookie string, bytes int64, err error) {
	const tries = 200 // v1 has 95%
	for range tries {
		a, err := ask(r, c, "")
		if err != nil {
			return "", 0, err
		}
		if a.Status != 200 || a.Version != "v1" {
			continue
		}
		if c.New || r.Peer.Floor {
			return "", a.Bytes, nil
		}
		if a.Cookie == "" {
			return "", 0, errors.New("the answer to a new session sets no cookie")
		}
		again, err := ask(r, c, a.Cookie)
		if err != nil {
			return "", 0, err
		}
		if again.Version != "v1" || again.Cookie != "" {
			return "", 0, fmt.Errorf("the pin %s doesn't hold: version %q answers and sets %q", a.Cookie, again.Version, again.Cookie)
		}
		return a.Cookie, again.Bytes, nil
	}
	return "", 0, fmt.Errorf("no answer 200 from v1 in %d tries", tries)
}

// client is a connection, of whichever protocol.
type client interface {
	Get(path, cookie string) (rig.Answer, error)
	Close() error
}

// dial opens a connection that speaks a protocol.
func dial(r *peers.Running, p protocol) (client, error) {
	const limit = 5 * time.Second
	if p == http2 {
		return r.DialHTTP2(limit)
	}
	return r.Dial(limit)
}

// ask asks the cell's request once on a connection of its own.
func ask(r *peers.Running, c cell, cookie string) (rig.Answer, error) {
	client, err := dial(r, c.Protocol)
	if err != nil {
		return rig.Answer{}, err
	}
	defer client.Close()
	return client.Get(c.Size.Path, cookie)
}
