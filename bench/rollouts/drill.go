package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// trial is one rollout of one service.
type trial struct {
	service string
	base    float64 // the part of requests that fails on the baseline
	times   float64 // the candidate's, in times of that
	kill    bool    // Sluice is killed at each stage
	origins [2]*origin

	// What came of it.
	saw     seen
	end     rollout
	took    time.Duration
	excess  float64 // bad requests of the candidate, above what the baseline's rate would have made
	killed  int
	promise error // why it is not what was promised; nil: it is
}

// The rates at which baselines fail, by turns.
var rates = []float64{0.005, 0.01, 0.02, 0.03, 0.05}

// answerTime is how long an endpoint takes on average.
const answerTime = 2 * time.Millisecond

// warmUp is how many requests a baseline has answered when its rollout starts.
const warmUp = 2000

// plan returns the trials: good and bad candidates by turns, those with kills
// last.
func plan(o options) []*trial {
	var all []*trial
	add := func(n int, kill bool) {
		for i := range n {
			for _, times := range []float64{1, 2} {
				all = append(all, &trial{service: fmt.Sprintf("s%03d", len(all)+1), base: rates[i%len(rates)], times: times, kill: kill})
			}
		}
	}
	add(o.rounds, false)
	add(o.kills, true)
	return all
}

func (t *trial) host() string { return t.service + ".test" }

// startOrigins starts both versions; the candidate is not registered yet.
func (t *trial) startOrigins() (err error) {
	for v, fails := range []float64{t.base, t.base * t.times} {
		if t.origins[v], err = startOrigin(versions[v], fails, answerTime); err != nil {
			return err
		}
	}
	return nil
}

// runAll runs the trials, several at a time; those in which Sluice is killed one
// by one.
func (s *site) runAll(ctx context.Context, trials []*trial) error {
	room := make(chan struct{}, s.o.aside)
	var running sync.WaitGroup
	errs := make([]error, len(trials))
	for i, t := range trials {
		if t.kill {
			running.Wait()
		}
		room <- struct{}{}
		running.Go(func() {
			defer func() { <-room }()
			if errs[i] = s.run(ctx, t); errs[i] == nil {
				fmt.Println(t.line())
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// run does one trial under load.
func (s *site) run(ctx context.Context, t *trial) error {
	loading, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	defer func() {
		stop()
		clients.Wait()
		for _, o := range t.origins {
			o.close()
		}
	}()
	for range s.o.clients {
		clients.Go(func() { browse(loading, s.address, t.host(), &t.saw) })
	}
	if err := poll(ctx, s.o.limit, func() (bool, error) { return t.saw.requests[baseline].Load() >= warmUp, nil }); err != nil {
		return fmt.Errorf("%s: the load does not come up: %w", t.service, err)
	}
	if err := s.follow(ctx, t); err != nil {
		return fmt.Errorf("%s: %w", t.service, err)
	}
	stop()
	clients.Wait()
	t.settle()
	return nil
}

// follow starts the rollout and awaits its end.
func (s *site) follow(ctx context.Context, t *trial) error {
	began := time.Now()
	var err error
	if t.end, err = s.control.start(ctx, t.service, t.origins[candidate].addr()); err != nil {
		return err
	}
	stage := -1
	err = poll(ctx, s.o.limit, func() (bool, error) {
		now, err := s.control.get(ctx, t.end.ID)
		if err != nil {
			return false, err
		}
		t.end = now
		if t.kill && now.Phase == "shifting" && now.Stage != stage {
			stage = now.Stage
			t.killed++
			return false, s.kill(ctx)
		}
		return now.over(), nil
	})
	t.took = time.Since(began)
	if errors.Is(err, errTooLong) {
		return nil // it is held
	}
	return err
}

// settle works out what it cost, and whether it is what was promised.
func (t *trial) settle() {
	n, bad := t.saw.requests[candidate].Load(), t.saw.bad[candidate].Load()
	t.excess = float64(bad) - t.base*float64(n)
	good := t.times == 1
	switch {
	case good && t.end.Phase != "promoted":
		t.promise = fmt.Errorf("a candidate as good as the baseline is %s (%s)", t.end.Phase, t.end.last())
	case !good && t.end.Phase == "promoted":
		t.promise = fmt.Errorf("a candidate that is %g times as bad is promoted", t.times)
	case good && t.saw.mixed.Load() > 0:
		t.promise = fmt.Errorf("%d sessions met both versions", t.saw.mixed.Load())
	}
}

var errTooLong = errors.New("it takes too long")

// poll asks again and again, for at most so long.
func poll(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errTooLong)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
