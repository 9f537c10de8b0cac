package demo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/admin/api"
	"sluice/state"
)

// affordable is how many requests a bad version may spoil before it is taken back.
const affordable = 40

// good rolls a version out that is as good as the one before, and touches nothing.
func (s *story) good(ctx context.Context) error {
	s.say("From here on nobody presses a button. Another service, shop, has %d shoppers at a time. CI says one line, and then the "+
		"policy of the file goes on by itself: probes of the dark version, then 5, 25, 50 and 100%% of new sessions. Whether it goes "+
		"on is decided by a judge, who compares the sessions of both versions, and who may be asked as often as one likes.", s.pace.Shoppers)
	s.load.open("shop", aisles)
	begun := time.Now()
	warm, err := s.await(ctx, func() bool { return len(s.of("shop", begun)) >= 20*s.pace.Shoppers })
	if err != nil {
		return err
	}
	if !warm {
		return errUnanswered
	}
	r, err := s.rollOut(ctx, "v2", "7")
	if err != nil {
		return err
	}
	since := time.Now()
	if err := s.watch(ctx, 0.5); err != nil {
		return err
	}
	if _, err := s.shares(ctx, "shop", since); err != nil {
		return err
	}
	saw, after := s.of("shop", begun), s.of("shop", since)
	all, there := after.newSessions("v2")
	s.promise(r.Phase == state.PhasePromoted, "v2 was promoted through its stages, %s after the command", span(r.Ended.Sub(r.Created)))
	s.promise(all > 0 && there == all, "all %s since then began on v2", several(all, "session"))
	s.promise(saw.moved() == 0 && saw.failed() == 0, "of %s, %d changed version; of %d requests, %d failed",
		several(len(saw.sessions()), "session"), saw.moved(), len(saw), saw.failed())
	return nil
}

// failing rolls a version out that fails now and then.
func (s *story) failing(ctx context.Context) error {
	s.say("v3 fails in one request of twenty. No probe finds that.")
	begun := time.Now()
	r, err := s.rollOut(ctx, "v3", "7")
	if err != nil {
		return err
	}
	return s.takenBack(ctx, begun, r, "v3", true)
}

// slower rolls a version out that does everything right, only later.
func (s *story) slower(ctx context.Context) error {
	s.say("v4 answers well, and takes %s longer.", percent(s.pace.Slower-1))
	begun := time.Now()
	r, err := s.rollOut(ctx, "v4", "7")
	if err != nil {
		return err
	}
	return s.takenBack(ctx, begun, r, "v4", false)
}

// takenBack checks what a rollback promises, after one that nobody asked for.
func (s *story) takenBack(ctx context.Context, begun time.Time, r *api.Rollout, version string, fails bool) error {
	ended := time.Now()
	if err := s.watch(ctx, 0.5); err != nil {
		return err
	}
	saw := s.of("shop", begun)
	there := saw.byVersion()[version]
	by := ""
	if n := len(r.Moves); n > 0 {
		by = r.Moves[n-1].By
	}
	s.promise(r.Phase == state.PhaseRolledBack && by == "judge", "the judge took %s back, %s after the command", version, span(r.Ended.Sub(r.Created)))
	if fails {
		s.promise(there.Failed > 0 && there.Failed <= affordable, "that cost %s in all; %d would have been too many", several(there.Failed, "failed request"), affordable+1)
	} else {
		s.promise(saw.failed() == 0, "of %d requests, %d failed; %d were slow", len(saw), saw.failed(), there.Requests)
	}
	s.promise(saw.since(ended).byVersion()[version].Requests == 0, "requests sent since then that %s still answered: %d", version, saw.since(ended).byVersion()[version].Requests)
	return nil
}

// otherShape tries a version that would poison the sessions of the one before.
func (s *story) otherShape(ctx context.Context) error {
	s.say("v5 writes its sessions in shape 9, which v2 can't read. It is refused before it gets a single request.")
	s.load.closeShop()
	b := s.backend("shop", "v5")
	s.command(startCommand("v5", b.addr, "9"))
	_, err := s.admin.StartRollout(ctx, "shop", candidate("v5", b.addr, "9"))
	var problem *api.Problem
	refused := errors.As(err, &problem)
	if refused {
		s.result("%v", err)
	}
	s.line("")
	n, _ := b.requests()
	s.promise(refused && problem.Rule == state.RuleShape && n == 0, "v5 was refused for its shape, and got %s", several(int(n), "request"))
	if err != nil && !refused {
		return err
	}
	return nil
}

// rollOut starts a rollout of shop and tells of it until it is over.
func (s *story) rollOut(ctx context.Context, version, shape string) (*api.Rollout, error) {
	b := s.backend("shop", version)
	s.command(startCommand(version, b.addr, shape))
	r, err := s.admin.StartRollout(ctx, "shop", candidate(version, b.addr, shape))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.pace.Verdict)
	defer cancel()
	var told *api.RolloutMove
	for {
		for _, m := range r.Since(told) {
			s.tellMove(r, &m)
			told = &m
		}
		if r.Over {
			s.result("%s", r.Result())
			s.line("")
			return r, nil
		}
		next, err := s.admin.AwaitRollout(ctx, r.ID, r.Seq, time.Second)
		switch {
		case ctx.Err() != nil:
			return r, context.Cause(ctx)
		case err != nil:
			return nil, err
		}
		r = next
	}
}

// tellMove tells of a transition with the numbers that decided it.
func (s *story) tellMove(r *api.Rollout, m *api.RolloutMove) {
	s.line("")
	for _, line := range strings.Split(r.Progress(m), "\n") {
		s.result("%s", strings.TrimSpace(line))
	}
	for i := range m.Evidence {
		if m.Evidence[i].CandidateRequests == 0 {
			continue
		}
		for _, v := range m.Evidence[i].Metrics {
			s.line(fmt.Sprintf("      %-7s e-values: of harm %-9s of no harm %-9s ratio %.2f", v.Name, api.Exp(v.LogHarm), api.Exp(v.LogSafe), v.Ratio))
		}
	}
}

func startCommand(version, addr, shape string) string {
	return fmt.Sprintf("sluice rollout start shop %s --endpoint %s --shape %s --wait", version, addr, shape)
}

func candidate(version, addr, shape string) api.RolloutStart {
	return api.RolloutStart{
		Candidate:    api.Candidate{Version: version, Endpoints: []string{addr}, Shape: &state.Shape{Writes: shape, Reads: []string{shape}}},
		RolloutTerms: api.RolloutTerms{Reason: "demo"},
	}
}
