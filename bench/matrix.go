package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"sluice/bench/peers"
	"sluice/bench/rig"
)

// runMatrix starts every peer and measures them in turn, round after round, so
// that a slow minute of the machine falls on all alike. A peer that is measured
// in the clear and over TLS runs twice.
func runMatrix(ctx context.Context, dir string, o options, b *peers.Backends, tls *peers.Certificate) (samples []sample, err error) {
	var running []*peers.Running
	defer func() {
		for _, r := range slices.Backward(running) {
			err = errors.Join(err, r.Stop())
		}
	}()
	cells := o.cells()
	for _, p := range o.variants(tls) {
		if !slices.ContainsFunc(cells, func(c cell) bool { return c.takes(p) }) {
			continue
		}
		r, err := p.Start(ctx, dir, o.proxyCore, b, peers.Weights{V1: 95, V2: 5})
		if err != nil {
			return nil, err
		}
		running = append(running, r)
	}
	for round := range o.rounds {
		for _, c := range cells {
			for _, r := range running {
				if !c.takes(r.Peer) {
					continue
				}
				s, err := measureInTime(ctx, dir, o, r, c, b)
				if err != nil {
					return nil, fmt.Errorf("%s, %v: %w", r.Name, c, err)
				}
				s.Round = round
				samples = append(samples, s)
				fmt.Fprintf(os.Stderr, "round %d/%d  %-50v %-14s %8.1f µs CPU/request %9.0f/s  p99 %8.2f ms  errors %d\n",
					round+1, o.rounds, c, s.Peer, s.CPUUS, s.RPS, s.P99MS, s.Errors.Total())
			}
		}
	}
	return samples, nil
}

// variants returns the chosen peers in the clear and, unless tls is nil, over
// TLS.
func (o options) variants(tls *peers.Certificate) []peers.Peer {
	all := slices.Clone(o.peers)
	for _, p := range o.peers {
		if tls != nil && p.SpeaksTLS() {
			p.TLS = tls
			all = append(all, p)
		}
	}
	return all
}

// sample is one measurement of one peer in one cell.
type sample struct {
	Peer   string     `json:"peer"`
	Cell   cell       `json:"cell"`
	Round  int        `json:"round"`
	CPUUS  float64    `json:"cpu_us_per_request"`
	RPS    float64    `json:"requests_per_second"`
	Kernel float64    `json:"kernel"` // the kernel's part of that time
	Busy   float64    `json:"busy"`   // CPU time of the proxy by wall time: 1 is a full core
	P50MS  float64    `json:"p50_ms"`
	P99MS  float64    `json:"p99_ms"`
	PSS    int64      `json:"pss_bytes"`
	Errors rig.Errors `json:"errors"`
}

// The part of a load that is measured: from leadIn after its start to leadOut
// before its end, when all connections stand and none has ended.
const (
	leadIn  = 400 * time.Millisecond
	leadOut = 150 * time.Millisecond
)

// errEarly is returned where a load is over before the last reading.
var errEarly = errors.New("the load ended before it was measured: the machine is busy")

// measureInTime measures, again where a busy machine made the readings late.
func measureInTime(ctx context.Context, dir string, o options, r *peers.Running, c cell, b *peers.Backends) (s sample, err error) {
	const tries = 3
	for range tries {
		if s, err = measure(ctx, dir, o, r, c, b); !errors.Is(err, errEarly) {
			return s, err
		}
	}
	return s, err
}

// measure loads a peer and returns what one request costs.
func measure(ctx context.Context, dir string, o options, r *peers.Running, c cell, b *peers.Backends) (sample, error) {
	running, answered, err := startLoad(dir, o, r, c, b)
	if err != nil {
		return sample{}, err
	}
	defer running.Stop()
	end := time.Now().Add(o.span - leadOut)
	if err := wait(ctx, running, leadIn); err != nil {
		return sample{}, err
	}
	before, err := read(r, answered)
	if err != nil {
		return sample{}, err
	}
	if err := wait(ctx, running, time.Until(end)); err != nil {
		return sample{}, err
	}
	after, err := read(r, answered)
	if err != nil {
		return sample{}, err
	}
	memory, err := rig.MemoryOf(r.PIDs)
	if err != nil {
		return sample{}, err
	}
	result, err := running.Result()
	if err != nil {
		return sample{}, err
	}
	s, err := between(before, after)
	if err != nil {
		return sample{}, err
	}
	s.Peer, s.Cell, s.PSS = r.Name, c, memory.PSS
	s.P50MS, s.P99MS, s.Errors = float64(result.P50US)/1e3, float64(result.P99US)/1e3, result.Errors
	return s, nil
}

// reading is the state of the counters at one moment.
type reading struct {
	at       time.Time
	cpu      time.Duration // spent by the proxy's processes
	ticks    rig.Ticks     // the same, coarser, and in two parts
	answered float64       // requests, from any start
}

func read(r *peers.Running, answered func() (float64, error)) (reading, error) {
	n, err := answered()
	if err != nil {
		return reading{}, err
	}
	cpu, err := rig.CPUTime(r.PIDs)
	if err != nil {
		return reading{}, err
	}
	ticks, err := rig.TicksOf(r.PIDs)
	return reading{at: time.Now(), cpu: cpu, ticks: ticks, answered: n}, err
}

// between computes the rates between two readings.
func between(a, b reading) (sample, error) {
	requests := b.answered - a.answered
	wall, cpu := b.at.Sub(a.at), b.cpu-a.cpu
	if requests <= 0 || wall <= 0 {
		return sample{}, errors.New("no answers came in the measured time")
	}
	user, system := b.ticks.User-a.ticks.User, b.ticks.System-a.ticks.System
	return sample{
		CPUUS:  cpu.Seconds() * 1e6 / requests,
		Kernel: float64(system) / float64(max(user+system, 1)),
		RPS:    requests / wall.Seconds(),
		Busy:   cpu.Seconds() / wall.Seconds(),
	}, nil
}

// wait lets time pass. It fails when the load ends early, or with ctx.
func wait(ctx context.Context, running load, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-running.Ended():
		if _, err := running.Result(); err != nil {
			return err
		}
		return errEarly
	}
}
