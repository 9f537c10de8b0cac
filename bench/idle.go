package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"sluice/bench/peers"
	"sluice/bench/rig"
)

// idle is what a freshly started peer holds in RAM, without clients and with
// many that have asked once and stay connected.
type idle struct {
	Peer        string     `json:"peer"`
	Protocol    protocol   `json:"protocol"`
	Connections int        `json:"connections"`
	Empty       rig.Memory `json:"empty"`
	Held        rig.Memory `json:"held"`
}

// PerConnection returns the bytes that each held connection added.
func (i idle) PerConnection() float64 {
	return float64(i.Held.PSS-i.Empty.PSS) / float64(i.Connections)
}

// settle is how long connections rest before the memory is read.
const settle = 3 * time.Second

// runIdle measures each peer that is no variant, one after the other, in the
// clear and over TLS with HTTP/2.
func runIdle(ctx context.Context, dir string, o options, b *peers.Backends, tls *peers.Certificate) ([]idle, error) {
	var all []idle
	for _, p := range o.variants(tls) {
		if o.idle == 0 || !o.has("idle") || p.LargeOnly || p.Floor {
			continue
		}
		i, err := measureIdle(ctx, dir, o, p, b)
		if err != nil {
			return nil, fmt.Errorf("%s, %d idle connections: %w", p.Name, o.idle, err)
		}
		all = append(all, i)
		fmt.Fprintf(os.Stderr, "idle  %-14s %-3s %.1f MB, with %d connections %.1f MB\n", p.Name, i.Protocol, mega(i.Empty.PSS), o.idle, mega(i.Held.PSS))
	}
	return all, nil
}

func measureIdle(ctx context.Context, dir string, o options, p peers.Peer, b *peers.Backends) (i idle, err error) {
	r, err := p.Start(ctx, dir, o.proxyCore, b, peers.Weights{V1: 95, V2: 5})
	if err != nil {
		return idle{}, err
	}
	defer func() { err = errors.Join(err, r.Stop()) }()
	i = idle{Peer: p.Name, Protocol: inClear, Connections: o.idle}
	if p.TLS != nil {
		i.Protocol = http2
	}
	if i.Empty, err = rig.MemoryOf(r.PIDs); err != nil {
		return idle{}, err
	}
	clients, err := hold(ctx, r, i.Protocol, o.idle)
	defer func() {
		for _, c := range clients {
			c.Close()
		}
	}()
	if err != nil {
		return idle{}, err
	}
	rest := time.NewTimer(settle)
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
		return idle{}, ctx.Err()
	}
	i.Held, err = rig.MemoryOf(r.PIDs)
	return i, err
}

// hold opens n connections, has one request answered on each and returns them
// open. It returns those it has on an error, too.
func hold(ctx context.Context, r *peers.Running, p protocol, n int) ([]client, error) {
	var clients []client
	for range n {
		if err := ctx.Err(); err != nil {
			return clients, err
		}
		c, err := dial(r, p)
		if err != nil {
			return clients, err
		}
		clients = append(clients, c)
		a, err := c.Get(peers.Sizes()[0].Path, "")
		if err != nil {
			return clients, err
		}
		if a.Status != 200 {
			return clients, fmt.Errorf("answer %d", a.Status)
		}
	}
	return clients, nil
}

func mega(bytes int64) float64 { return float64(bytes) / (1 << 20) }
