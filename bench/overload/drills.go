package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"sluice/bench/rig"
)

// Bounds of the load's connections: refused requests are held for a tenth of a
// second, so the rate asks for many.
const (
	leastConnections = 512
	mostConnections  = 8000
	measuring        = 100 // connections that measure
	measuringRate    = 300
	closedLoop       = 200             // connections that find the capacity: below where anything is shed
	lead             = 4 * time.Second // for opening connections
)

// overload measures the capacity, and what happens above it.
func (s *stage) overload(ctx context.Context, w io.Writer) error {
	capacity, err := s.capacity(ctx)
	if err != nil {
		return err
	}
	o, at := s.o, time.Now().Add(lead)
	rate := capacity * o.times
	connections := min(max(int(rate*0.16), leastConnections), mostConnections)
	storm, err := s.begin(load{Address: s.address, Connections: connections, Rate: rate, At: at.Add(o.calm), For: o.storm, Hold: o.after}, false)
	if err != nil {
		return err
	}
	all := o.calm + o.storm + o.after
	base, err := s.begin(load{Address: s.address, Connections: 64, Rate: capacity / 5, At: at, For: all}, false)
	if err != nil {
		return err
	}
	measured, err := s.begin(load{Address: s.address, Connections: measuring, Rate: measuringRate, At: at, For: all, Keep: true}, true)
	if err != nil {
		return err
	}
	used, err := s.cpuBetween(ctx, at.Add(o.calm), at.Add(o.calm+o.storm))
	if err != nil {
		return err
	}
	m, err := measured(ctx)
	if err != nil {
		return err
	}
	b, err := base(ctx)
	if err != nil {
		return err
	}
	f, err := storm(ctx)
	if err != nil {
		return err
	}
	peak, err := s.peak()
	if err != nil {
		return err
	}
	offered := float64(f.OK+f.Shed+f.Other) / o.storm.Seconds()
	begins, ends := at.Add(o.calm), at.Add(o.calm+o.storm)
	calm, stormy := m.between(at.Add(time.Second), begins), m.between(begins, ends)
	settled := m.between(begins.Add(time.Second), ends)
	fmt.Fprintf(w, "## %.0f times the capacity\n\n", o.times)
	fmt.Fprintf(w, "- capacity: %.0f requests/s (%d connections that ask again at once)\n", capacity, closedLoop)
	fmt.Fprintf(w, "- load: %.0f requests/s were due on %d connections for %v, %.0f were sent (%.1f times the capacity)\n", rate, connections, o.storm, offered, offered/capacity)
	fmt.Fprintf(w, "- of the load: %d accepted (%.0f/s), %d shed, %d others, %d broken connections %s\n", f.OK, float64(f.OK)/o.storm.Seconds(), f.Shed, f.Other, f.Errors+b.Errors+m.Errors, f.FirstError)
	fmt.Fprintf(w, "- accepted, unloaded (a fifth of the capacity): %v, %d shed\n", calm, m.shed(at.Add(time.Second), begins))
	fmt.Fprintf(w, "- accepted, under load: %v, p99 %.1f times the unloaded\n", stormy, stormy.over(calm))
	fmt.Fprintf(w, "- the same without its first second: %v, p99 %.1f times the unloaded (the goal is 3)\n", settled, settled.over(calm))
	fmt.Fprintf(w, "- last 503 after the end of the load: %v (the goal is 1s)\n", m.lastShed(ends).Round(time.Millisecond))
	fmt.Fprintf(w, "- Sluice: %.2f s of CPU time in the %v of the load; %.0f MiB of memory at most\n\n", used.Seconds(), o.storm, peak)
	return nil
}

// cpuBetween returns the CPU time that Sluice takes between two moments.
func (s *stage) cpuBetween(ctx context.Context, from, to time.Time) (time.Duration, error) {
	var at [2]time.Duration
	for i, moment := range []time.Time{from, to} {
		wait(ctx, moment)
		var err error
		if at[i], err = rig.CPUTime([]int{s.sluice.PID}); err != nil {
			return 0, err
		}
	}
	return at[1] - at[0], nil
}

// capacity is how many requests a second are answered to few clients.
func (s *stage) capacity(ctx context.Context) (float64, error) {
	const span = 4 * time.Second
	wait, err := s.begin(load{Address: s.address, Connections: closedLoop, At: time.Now().Add(time.Second), For: span}, false)
	if err != nil {
		return 0, err
	}
	r, err := wait(ctx)
	if err == nil && r.OK == 0 {
		err = fmt.Errorf("no request was answered 200: %+v", r)
	}
	return float64(r.OK) / span.Seconds(), err
}

// drip measures ordinary requests before and beside idle and dripping
// connections.
func (s *stage) drip(ctx context.Context, w io.Writer) error {
	o := s.o
	const span, opening = 6 * time.Second, 15 * time.Second
	ordinary := load{Address: s.address, Connections: measuring, Rate: measuringRate, Keep: true, At: time.Now().Add(time.Second), For: span}
	wait, err := s.begin(ordinary, true)
	if err != nil {
		return err
	}
	before, err := wait(ctx)
	if err != nil {
		return err
	}
	empty, err := s.peak()
	if err != nil {
		return err
	}
	ordinary.At = time.Now().Add(opening)
	ordinary.For = 2 * span // longer than a head may take
	crowd, err := s.begin(load{Address: s.address, Idle: o.idle, Drips: o.dripping, At: ordinary.At, For: ordinary.For}, false)
	if err != nil {
		return err
	}
	if wait, err = s.begin(ordinary, true); err != nil {
		return err
	}
	beside, err := wait(ctx)
	if err != nil {
		return err
	}
	peak, err := s.peak()
	if err != nil {
		return err
	}
	c, err := crowd(ctx)
	if err != nil {
		return err
	}
	from, to := time.Unix(0, 0), time.Now()
	fmt.Fprintf(w, "## %d idle and %d dripping connections\n\n", o.idle, o.dripping)
	fmt.Fprintf(w, "- ordinary requests before: %v\n- beside them: %v\n", before.between(from, to), beside.between(from, to))
	fmt.Fprintf(w, "- not answered 200: %d before, %d beside; broken: %d; of the crowd: %d %s\n", before.Shed+before.Other, beside.Shed+beside.Other, before.Errors+beside.Errors, c.Errors, c.FirstError)
	fmt.Fprintf(w, "- memory of Sluice: %.0f MiB before, %.0f MiB at most beside them (the goal is 100)\n\n", empty, peak)
	return nil
}

// times are those of accepted requests, in order.
type times []time.Duration

// between returns how long the accepted requests took that were due then.
func (r *result) between(from, to time.Time) times {
	var all times
	for _, s := range r.Samples {
		if s.Status == 200 && s.At >= from.UnixNano() && s.At < to.UnixNano() {
			all = append(all, s.Took)
		}
	}
	slices.Sort(all)
	return all
}

// at returns a quantile; 0 for none.
func (t times) at(q float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	return t[int(q*float64(len(t)-1)+0.5)]
}

// over returns the ratio of two p99; 0 where the other has none.
func (t times) over(other times) float64 {
	if len(other) == 0 {
		return 0
	}
	return float64(t.at(0.99)) / float64(other.at(0.99))
}

// String shows the middle and the tail.
func (t times) String() string {
	show := func(q float64) time.Duration { return t.at(q).Round(100 * time.Microsecond) }
	return fmt.Sprintf("p50 %v, p90 %v, p99 %v, max %v (%d requests)", show(0.5), show(0.9), show(0.99), show(1), len(t))
}

// shed returns how many refused requests were due in a time.
func (r *result) shed(from, to time.Time) (n int) {
	for _, s := range r.Samples {
		if s.Status == 503 && s.At >= from.UnixNano() && s.At < to.UnixNano() {
			n++
		}
	}
	return n
}

// lastShed returns how long after a moment the last refused request was due; 0
// for none.
func (r *result) lastShed(after time.Time) time.Duration {
	last := after.UnixNano()
	for _, s := range r.Samples {
		if s.Status == 503 {
			last = max(last, s.At)
		}
	}
	return time.Duration(last - after.UnixNano())
}
