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

// cell is one load under which every peer is measured.
type cell struct {
	Size        peers.Size `json:"size"`
	Connections int        `json:"connections"`
	// New makes every request a new session: no cookie, so the proxy draws a
	// version and sets a pin. Otherwise all carry one valid pin.
	New bool `json:"new_sessions"`
}

func (c cell) String() string {
	sessions := "pinned"
	if c.New {
		sessions = "new sessions"
	}
	return fmt.Sprintf("%s, %d connections, %s", c.Size.Name, c.Connections, sessions)
}

// takes tells whether a peer is measured in the cell.
func (c cell) takes(p peers.Peer) bool {
	switch {
	case p.LargeOnly:
		return c.Size.Bytes >= 1<<20
	case p.Floor:
		return c.Connections == 64 && !c.New
	}
	return true
}

// cells returns the matrix: each size by each number of connections, pinned,
// and one cell of new sessions with the smallest answer.
func (o options) cells() []cell {
	var all []cell
	for _, s := range o.sizes {
		for _, n := range o.conns {
			all = append(all, cell{Size: s, Connections: n})
		}
	}
	middle := o.conns[len(o.conns)/2]
	return append(all, cell{Size: o.sizes[0], Connections: middle, New: true})
}

// runMatrix starts every peer and measures them in turn, round after round, so
// that a slow minute of the machine falls on all alike.
func runMatrix(ctx context.Context, dir string, o options, b *peers.Backends) (samples []sample, err error) {
	var running []*peers.Running
	defer func() {
		for _, r := range slices.Backward(running) {
			err = errors.Join(err, r.Stop())
		}
	}()
	for _, p := range o.peers {
		r, err := p.Start(ctx, dir, o.proxyCore, b, peers.Weights{V1: 95, V2: 5})
		if err != nil {
			return nil, err
		}
		running = append(running, r)
	}
	for round := range o.rounds {
		for _, c := range o.cells() {
			for _, r := range running {
				if !c.takes(r.Peer) {
					continue
				}
				s, err := measure(ctx, dir, o, r, c)
				if err != nil {
					return nil, fmt.Errorf("%s, %v: %w", r.Name, c, err)
				}
				s.Round = round
				samples = append(samples, s)
				fmt.Fprintf(os.Stderr, "round %d/%d  %-36v %-14s %8.1f µs CPU/request %9.0f/s  p99 %8.2f ms  errors %d\n",
					round+1, o.rounds, c, s.Peer, s.CPUUS, s.RPS, s.P99MS, s.Errors.Total())
			}
		}
	}
	return samples, nil
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

// measure loads a peer and returns what one request costs.
//
// Requests are counted by the bytes that wrk reads, divided by the bytes of one
// answer: wrk tells its own count only at the end, when up to one large answer
// a connection is half done and would be lost from the count, not from the CPU
// time.
func measure(ctx context.Context, dir string, o options, r *peers.Running, c cell) (sample, error) {
	cookie, answer, err := pinFor(r, c)
	if err != nil {
		return sample{}, err
	}
	wrk, err := rig.StartWrk("wrk", dir, rig.Load{
		URL: "http://" + r.Address + c.Size.Path, Connections: c.Connections,
		Duration: o.span, Timeout: 10 * time.Second, Cookie: cookie, Core: o.loadCore,
	})
	if err != nil {
		return sample{}, err
	}
	defer wrk.Stop()
	if err := wait(ctx, wrk, leadIn); err != nil {
		return sample{}, err
	}
	before, err := read(r, wrk)
	if err != nil {
		return sample{}, err
	}
	if err := wait(ctx, wrk, o.span-leadIn-leadOut); err != nil {
		return sample{}, err
	}
	after, err := read(r, wrk)
	if err != nil {
		return sample{}, err
	}
	memory, err := rig.MemoryOf(r.PIDs)
	if err != nil {
		return sample{}, err
	}
	result, err := wrk.Result()
	if err != nil {
		return sample{}, err
	}
	s, err := between(before, after, answer)
	if err != nil {
		return sample{}, err
	}
	s.Peer, s.Cell, s.PSS = r.Name, c, memory.PSS
	s.P50MS, s.P99MS, s.Errors = float64(result.P50US)/1e3, float64(result.P99US)/1e3, result.Errors
	return s, nil
}

// pinFor asks for the cell's answer until it comes from v1, and returns the pin
// that came with it, which the load then carries (none for new sessions), and
// the bytes of one further answer.
func pinFor(r *peers.Running, c cell) (cookie string, bytes int64, err error) {
	const tries = 200 // v1 has 95%
	for range tries {
		a, err := rig.GetOnce(r.Address, c.Size.Path, "", 5*time.Second)
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
		again, err := rig.GetOnce(r.Address, c.Size.Path, a.Cookie, 5*time.Second)
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

// reading is the state of the counters at one moment.
type reading struct {
	at    time.Time
	cpu   time.Duration // spent by the proxy's processes
	ticks rig.Ticks     // the same, coarser, and in two parts
	bytes int64         // read by wrk
}

func read(r *peers.Running, wrk *rig.Wrk) (reading, error) {
	bytes, err := rig.BytesRead(wrk.PID)
	if err != nil {
		return reading{}, err
	}
	cpu, err := rig.CPUTime(r.PIDs)
	if err != nil {
		return reading{}, err
	}
	ticks, err := rig.TicksOf(r.PIDs)
	return reading{at: time.Now(), cpu: cpu, ticks: ticks, bytes: bytes}, err
}

// between computes the rates between two readings, an answer having so many
// bytes.
func between(a, b reading, answer int64) (sample, error) {
	requests := float64(b.bytes-a.bytes) / float64(answer)
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

// wait lets time pass. It fails when wrk ends early, or with ctx.
func wait(ctx context.Context, wrk *rig.Wrk, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-wrk.Ended():
		_, err := wrk.Result()
		return errors.Join(errors.New("wrk ended early"), err)
	}
}
