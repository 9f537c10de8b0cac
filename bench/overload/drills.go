package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"sluice/bench/rig"
)

// shape is how a drill of overload loads Sluice.
type shape struct {
	bottleneck   string
	closedLoop   int     // connections that find the capacity; few enough that nothing is shed
	connections  float64 // of the load, for each request a second
	measuring    int     // connections that measure
	calmShare    float64 // of the capacity, that is asked besides those
	measuredRate float64
}

// The two bottlenecks. The load's connections are as many as it needs where
// refusals come at once, and where they are held for a tenth of a second.
var (
	byEndpoints = shape{"the endpoints", maxToEndpoints + maxPending/2, 0.25, 200, 0, 400}
	byCPU       = shape{"Sluice's core", 200, 0.16, 100, 0.2, 300}
)

const (
	mostConnections = 8000
	lead            = 4 * time.Second // for opening connections
)

// overload measures the capacity, and what happens above it.
func (s *stage) overload(ctx context.Context, w io.Writer, sh shape) error {
	capacity, err := s.capacity(ctx, sh.closedLoop)
	if err != nil {
		return err
	}
	o, at := s.o, time.Now().Add(lead)
	begins, ends := at.Add(o.calm), at.Add(o.calm+o.storm)
	all := o.calm + o.storm + o.after
	base := sh.measuredRate + capacity*sh.calmShare
	rate := capacity*o.times - base
	connections := min(max(int(rate*sh.connections), 512), mostConnections)
	var waits [3]func(context.Context) (result, error)
	for i, l := range []load{
		{Address: s.address, Connections: connections, Rate: rate, At: begins, For: o.storm, Hold: o.after, Keep: true},
		{Address: s.address, Connections: sh.measuring, Rate: sh.measuredRate, At: at, For: all, Keep: true},
		{Address: s.address, Connections: 64, Rate: capacity * sh.calmShare, At: at, For: all, Keep: true},
	} {
		if l.Rate > 0 {
			if waits[i], err = s.begin(l, i == 1); err != nil {
				return err
			}
		}
	}
	used, err := s.cpuBetween(ctx, begins, ends)
	if err != nil {
		return err
	}
	var results [3]result
	for i, wait := range waits {
		if wait == nil {
			continue
		}
		if results[i], err = wait(ctx); err != nil {
			return err
		}
	}
	peak, err := s.peak()
	if err != nil {
		return err
	}
	storm, m := &results[0], &results[1]
	seconds := o.storm.Seconds()
	var sum answers
	for _, r := range results {
		sum = sum.plus(r.answers(begins, ends))
	}
	offered := float64(sum.ok+sum.shed+sum.other) / seconds
	calm, stormy, others := m.between(at.Add(time.Second), begins), m.between(begins, ends), storm.between(begins, ends)
	settled := m.between(begins.Add(time.Second), ends)
	fmt.Fprintf(w, "## %g times the capacity of %s\n\n", o.times, sh.bottleneck)
	fmt.Fprintf(w, "- capacity: %.0f requests/s (%d connections that ask again at once)\n", capacity, sh.closedLoop)
	fmt.Fprintf(w, "- load: %.0f requests/s were due on %d connections for %v; sent: %.0f, %.2f times the capacity\n", rate+base, connections+sh.measuring, o.storm, offered, offered/capacity)
	fmt.Fprintf(w, "- under load: %.0f/s accepted, %.0f/s refused with 503, %d other answers, %d broken connections %s\n", float64(sum.ok)/seconds,
		float64(sum.shed)/seconds, sum.other, storm.Errors+m.Errors+results[2].Errors, storm.FirstError+m.FirstError)
	fmt.Fprintf(w, "- accepted, unloaded (%.0f/s): %v, %d of them refused\n", base, calm, m.answers(at.Add(time.Second), begins).shed)
	fmt.Fprintf(w, "- accepted, under load: %v, p99 %.1f times the unloaded (the goal is 3)\n", stormy, stormy.over(calm))
	fmt.Fprintf(w, "- the same without the first second: %v, p99 %.1f times the unloaded\n", settled, settled.over(calm))
	fmt.Fprintf(w, "- accepted of the load itself, as its busy core sees it: %v, p99 %.1f times the unloaded\n", others, others.over(calm))
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

// capacity is how many requests a second are answered to that many connections.
func (s *stage) capacity(ctx context.Context, closedLoop int) (float64, error) {
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

// measuringRoom is left beside a crowd to ordinary connections, and to those of
// drips that come again before their old ones are gone.
const measuringRoom = 300

// room is how many connections Sluice takes with its descriptors: 128 are for
// other things.
func (s *stage) room() int { return int(s.files) - 128 }

// drip measures ordinary requests before and beside idle and dripping
// connections.
func (s *stage) drip(ctx context.Context, w io.Writer) error {
	o := s.o
	const span, opening = 6 * time.Second, 15 * time.Second
	ordinary := load{Address: s.address, Connections: byCPU.measuring, Rate: byCPU.measuredRate, Keep: true, At: time.Now().Add(time.Second), For: span}
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
	idle := min(o.idle, s.room()-o.dripping-measuringRoom)
	if idle < o.idle {
		fmt.Fprintf(w, "%d file descriptors are enough for %d idle connections, not for %d.\n\n", s.files, idle, o.idle)
	}
	crowd, err := s.begin(load{Address: s.address, Idle: idle, Drips: o.dripping, At: ordinary.At, For: ordinary.For}, false)
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
	fmt.Fprintf(w, "## %d idle and %d dripping connections\n\n", idle, o.dripping)
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

// answers are counts by kind.
type answers struct{ ok, shed, other int }

func (a answers) plus(b answers) answers {
	return answers{a.ok + b.ok, a.shed + b.shed, a.other + b.other}
}

// answers counts those to requests that were due then.
func (r *result) answers(from, to time.Time) (a answers) {
	for _, s := range r.Samples {
		switch {
		case s.At < from.UnixNano() || s.At >= to.UnixNano():
		case s.Status == 200:
			a.ok++
		case s.Status == 503:
			a.shed++
		default:
			a.other++
		}
	}
	return a
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
