package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/admin/api"
)

// story is a demo as it is told.
type story struct {
	*stage
	voice
	program string
	from    int // the first act that is told, from 0
	to      int // the first that is not; 0: all are

	began  time.Time
	checks []check
	flips  []flip
	part   int  // that is being told, from 1
	told   bool // to its end
	sum    totals
}

// check is a promise and whether it was kept.
type check struct {
	part int // of the story, from 1
	ok   bool
	text string
}

// flip is one change of traffic.
type flip struct {
	command string
	called  time.Time // just before the call
	acked   time.Time // just after its answer
}

// totals are what the clients saw during the whole story.
type totals struct {
	took               time.Duration
	requests, sessions int
	failed, failedByV3 int
}

// act is a part of the story.
type act struct {
	title string
	play  func(context.Context) error
}

func (s *story) acts() []act {
	acts := []act{
		{"Everybody is on v1", s.calm},
		{"A tester visits v2, which is dark", s.dark},
		{"v2 gets 5% of new sessions", s.fivePercent},
		{"v2 gets 50%", s.half},
		{"v2 gets everything, v1 drains", s.whole},
		{"v3 is broken; rollback", s.bad},
		{"Tenants of the API, and void pins", s.tenants},
		{"Journeys keep v2 of books out", s.journeys},
		{"Copies of requests find what no journey asks", s.shadow},
		{"With no hands: v2 of shop is as good as v1", s.good},
		{"With no hands: v3 of shop fails now and then", s.failing},
		{"With no hands: v4 of shop is slower", s.slower},
		{"v5 of shop has another data shape", s.otherShape},
	}
	if s.to > 0 {
		acts = acts[:s.to]
	}
	return acts[s.from:]
}

// partsInAll are the acts and the end.
const partsInAll = 14

// opening introduces the stage.
func (s *story) opening() {
	s.began = time.Now()
	s.heading("Sluice: several live versions, moved safely")
	s.say("One proxy. Behind it two services, web and api, with three versions of each, and later two more; "+
		"each version is a real HTTP server. In front of it %d browsers with cookies, who come and go, and %d API clients that work for %d tenants.",
		s.pace.Browsers, s.pace.Clients, tenantsAtFirst)
	s.line("\n  proxy      " + s.proxyURL + "\n  admin API  " + s.adminURL)
	s.line("")
	s.say("Each step is one call of the admin API. The command above it does the same by hand; in another " +
		"terminal, first:")
	s.line("\n  export SLUICE_ADMIN=" + s.adminURL)
}

// tell plays act by act. It returns ctx's error if that ended the story.
func (s *story) tell(ctx context.Context) error {
	for i, a := range s.acts() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.part = s.from + i + 1
		s.heading("%d of %d  %s", s.part, partsInAll, a.title)
		if err := a.play(ctx); err != nil {
			return err
		}
	}
	s.told = true
	all := s.load.journal.where(func(*answer) bool { return true })
	s.sum = totalsOf(all, time.Since(s.began))
	return nil
}

// totalsOf sums the whole story up.
func totalsOf(all answers, took time.Duration) totals {
	t := totals{took: took, requests: len(all), failed: all.failed()}
	t.sessions = all.count(func(a *answer) bool { return a.First })
	t.failedByV3 = all.count(func(a *answer) bool { return a.failed() && a.Service == "web" && a.Version == "v3" })
	return t
}

// promise checks a promise and says so.
func (s *story) promise(ok bool, format string, args ...any) {
	c := check{s.part, ok, fmt.Sprintf(format, args...)}
	s.checks = append(s.checks, c)
	s.verdict(c.ok, c.text)
}

// broken returns how many promises were.
func (s *story) broken() int {
	n := 0
	for _, c := range s.checks {
		if !c.ok {
			n++
		}
	}
	return n
}

// change makes a change that a command would make, and notes when.
func (s *story) change(command string, call func() (*api.Change, error)) (flip, error) {
	s.command(command)
	f := flip{command: command, called: time.Now()}
	c, err := call()
	f.acked = time.Now()
	if err != nil {
		return f, fmt.Errorf("%s: %w", command, err)
	}
	s.flips = append(s.flips, f)
	s.result("in force after %s", span(f.acked.Sub(f.called)))
	if c.Warning != "" {
		s.result("warning: %s", c.Warning)
	}
	return f, nil
}

// watch lets the clients go on for a part of a step.
func (s *story) watch(ctx context.Context, steps float64) error {
	if !pause(ctx, time.Duration(steps*float64(s.pace.Step))) {
		return ctx.Err()
	}
	return nil
}

// await waits until something has come about, as long as patience goes. It
// reports false if it did not.
func (s *story) await(ctx context.Context, done func() bool) (bool, error) {
	deadline := time.Now().Add(s.pace.Patience)
	for !done() {
		if time.Now().After(deadline) {
			return false, nil
		}
		if !pause(ctx, 10*time.Millisecond) {
			return false, ctx.Err()
		}
	}
	return true, nil
}

// of returns what the clients of a service saw of requests that were sent since.
func (s *story) of(service string, since time.Time) answers {
	return s.load.journal.where(func(a *answer) bool { return a.Service == service && a.Sent.After(since) })
}

// shares prints the table of a service, with what clients saw since a moment,
// and returns the latter.
func (s *story) shares(ctx context.Context, service string, since time.Time) (answers, error) {
	svc, err := s.admin.Service(ctx, service)
	if err != nil {
		return nil, err
	}
	saw := s.of(service, since)
	s.line("")
	for _, line := range shareTable(svc, saw) {
		s.line(line)
	}
	s.line("")
	return saw, nil
}

// end stops the load and the proxy, also after an interruption.
func (s *story) end(ctx context.Context) {
	if ctx.Err() != nil && !s.told {
		s.heading("Interrupted")
		s.load.stop()
		if err := s.stop(); err != nil {
			s.say("The stop was not clean: %v", err)
		}
		return
	}
	s.part = partsInAll
	s.heading("%d of %d  The proxy stops", s.part, partsInAll)
	s.graceful()
}

// summary says what was seen and which promises were kept.
func (s *story) summary() {
	s.heading("Summary")
	for _, f := range s.flips {
		s.line(fmt.Sprintf("  %8s  %s", span(f.acked.Sub(f.called)), f.command))
	}
	if s.told {
		s.line("")
		s.say("In %s, %d requests in %d sessions. %d failed; %d of them on v3 of web, which is broken by design.",
			span(s.sum.took), s.sum.requests, s.sum.sessions, s.sum.failed, s.sum.failedByV3)
	}
	s.line("")
	for _, c := range s.checks {
		s.verdict(c.ok, fmt.Sprintf("%d. %s", c.part, c.text))
	}
	s.line("")
	kept := len(s.checks) - s.broken()
	switch {
	case s.broken() > 0:
		s.line(s.paint(red, fmt.Sprintf("%d of %d promises were broken.", s.broken(), len(s.checks))))
	case !s.told:
		s.line(fmt.Sprintf("Interrupted. Everything has stopped; the %d promises checked so far were kept.", kept))
	default:
		s.line(s.paint(green, fmt.Sprintf("All %d promises were kept.", kept)))
	}
}

// errUnanswered is returned when the proxy did not answer a client of the story.
var errUnanswered = errors.New("the proxy does not answer")
