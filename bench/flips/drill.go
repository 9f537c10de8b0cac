package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sluice/bench/peers"
	"sluice/bench/rig"
)

// requestLimit is how long any request of the drill may take.
const requestLimit = 5 * time.Second

// drill flips a service's weights again and again while clients ask, and checks
// after each acknowledged flip who answers.
type drill struct {
	Proxy   string // address of the listener
	Control control
	Flips   int
	Span    time.Duration // in which all flips shall be done
	Checks  int           // new connections after each flip to one version
	Tracers int           // clients that ask back to back and note who answers when
}

// flip is one call that replaced the weights.
type flip struct {
	Weights peers.Weights
	Call    time.Time // just before the call
	Ack     time.Time // just after its acknowledgement
}

// Winner returns the version that gets every new session; "" where both get
// some.
func (f flip) Winner() string {
	switch {
	case f.Weights.V2 == 0:
		return "v1"
	case f.Weights.V1 == 0:
		return "v2"
	}
	return ""
}

// weightsOf returns the weights of the i-th flip: by turns all to v2 and all to
// v1, with two partial ones in ten.
func weightsOf(i int) peers.Weights {
	switch {
	case i%10 == 4:
		return peers.Weights{V1: 50, V2: 50}
	case i%10 == 9:
		return peers.Weights{V1: 95, V2: 5}
	case i%2 == 0:
		return peers.Weights{V1: 0, V2: 100}
	}
	return peers.Weights{V1: 100, V2: 0}
}

// trace is one request of a tracer.
type trace struct {
	Sent, Got time.Time
	Version   string
}

// account is what a drill saw.
type account struct {
	Flips    []flip
	Traces   []trace
	New      int // checks by new connections without a cookie
	Pinned   int // checks by one session that carries its pin
	Failures failures
}

// Took returns the time from the first call to the last acknowledgement.
func (a *account) Took() time.Duration {
	if len(a.Flips) == 0 {
		return 0
	}
	return a.Flips[len(a.Flips)-1].Ack.Sub(a.Flips[0].Call)
}

// run does all flips, evenly over the span. It returns early when a flip is
// refused, or with ctx; what failed until then is in the account.
func (d drill) run(ctx context.Context) *account {
	a := &account{}
	tracing, stop := context.WithCancel(ctx)
	var tracers sync.WaitGroup
	traces := make([][]trace, d.Tracers)
	for i := range d.Tracers {
		tracers.Go(func() { traces[i] = d.trace(tracing, &a.Failures) })
	}
	d.flipAll(ctx, a)
	stop()
	tracers.Wait()
	for _, t := range traces {
		a.Traces = append(a.Traces, t...)
	}
	return a
}

func (d drill) flipAll(ctx context.Context, a *account) {
	s := &session{addr: d.Proxy}
	pace := time.NewTicker(d.Span / time.Duration(d.Flips))
	defer pace.Stop()
	for i := range d.Flips {
		f := flip{Weights: weightsOf(i), Call: time.Now()}
		if err := d.Control.setWeights(ctx, f.Weights, fmt.Sprintf("flip %d", i+1)); err != nil {
			a.Failures.add("flip %d to %+v: %v", i+1, f.Weights, err)
			return
		}
		f.Ack = time.Now()
		a.Flips = append(a.Flips, f)
		d.check(f, i+1, s, a)
		select {
		case <-ctx.Done():
			a.Failures.add("stopped after %d of %d flips: %v", i+1, d.Flips, context.Cause(ctx))
			return
		case <-pace.C:
		}
	}
}

// check asks after a flip to one version: new sessions, each on a connection of
// its own, and one session that has been pinned before.
func (d drill) check(f flip, number int, s *session, a *account) {
	winner := f.Winner()
	if winner == "" {
		return
	}
	var checks sync.WaitGroup
	for range d.Checks {
		checks.Go(func() {
			got, err := rig.GetOnce(d.Proxy, "/200", "", requestLimit)
			switch {
			case err != nil:
				a.Failures.add("flip %d: new session: %v", number, err)
			case got.Status != 200:
				a.Failures.add("flip %d: new session: answer %d", number, got.Status)
			case got.Version != winner:
				a.Failures.add("flip %d to %s: a new session went to %s", number, winner, got.Version)
			case got.Cookie == "":
				a.Failures.add("flip %d: new session: the answer sets no pin", number)
			}
		})
	}
	if err := s.askFor(winner); err != nil {
		a.Failures.add("flip %d: pinned session: %v", number, err)
	}
	checks.Wait()
	a.New += d.Checks
	a.Pinned++
}

// trace asks without a cookie, back to back on one connection, and notes who
// answered when.
func (d drill) trace(ctx context.Context, f *failures) (traces []trace) {
	c, err := rig.Dial(d.Proxy, requestLimit)
	if err != nil {
		f.add("tracer: %v", err)
		return nil
	}
	defer c.Close()
	for ctx.Err() == nil {
		sent := time.Now()
		got, err := c.Get("/200", "")
		if err == nil && got.Status != 200 {
			err = fmt.Errorf("answer %d", got.Status)
		}
		if err != nil {
			f.add("tracer: %v", err)
			return traces
		}
		traces = append(traces, trace{Sent: sent, Got: time.Now(), Version: got.Version})
	}
	return traces
}

// session is a client that keeps the pin it was given, as a browser does.
type session struct{ addr, cookie string }

// askFor asks once and fails unless the version answers. Pins move at each
// flip, so a session is where the new sessions are.
func (s *session) askFor(version string) error {
	got, err := rig.GetOnce(s.addr, "/200", s.cookie, requestLimit)
	if err != nil {
		return err
	}
	if got.Cookie != "" {
		s.cookie = got.Cookie
	}
	if got.Status != 200 {
		return fmt.Errorf("answer %d", got.Status)
	}
	if got.Version != version {
		return fmt.Errorf("it went to %s, not %s", got.Version, version)
	}
	if s.cookie == "" {
		return errors.New("no pin was set")
	}
	return nil
}
