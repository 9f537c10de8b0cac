package demo

import (
	"context"
	"time"

	"sluice/admin/api"
)

// enoughErrors is how many failed requests it takes for somebody to press the
// button.
const enoughErrors = 10

// bad lets a broken version in and takes that back.
func (s *story) bad(ctx context.Context) error {
	s.say("The next version, v3, gets 10%%. It has a fault that no test found: every third request fails.")
	raise, err := s.change("sluice shift web v3 10%", func() (*api.Change, error) {
		return s.admin.SetWeights(ctx, "web", api.Weights{Weights: map[string]int{"v2": 90, "v3": 10}, Reason: "demo"}, 0)
	})
	if err != nil {
		return err
	}
	shown, err := s.await(ctx, func() bool { return s.of("web", raise.called).failed() >= enoughErrors })
	if err != nil {
		return err
	}
	if _, err := s.shares(ctx, "web", raise.called); err != nil {
		return err
	}
	s.say("Clients see errors. A rollback needs no argument: it leads back to the weights before the newest raise, and moves the " +
		"sessions that are on v3 at once.")
	v3 := s.backend("web", "v3")
	before, _ := v3.requests()
	back, err := s.change("sluice rollback web --reason 'v3 fails'", func() (*api.Change, error) {
		return s.admin.Rollback(ctx, "web", api.Rollback{Reason: "v3 fails"})
	})
	if err != nil {
		return err
	}
	if err := s.watch(ctx, 0.7); err != nil {
		return err
	}
	if _, err := s.shares(ctx, "web", back.called); err != nil {
		return err
	}
	after, last := v3.requests()
	s.toldRollback(back, int(after-before), last)
	s.judgeRollback(s.of("web", raise.called), back, shown)
	return nil
}

// toldRollback says how long the old table was in force, as v3 itself saw it.
func (s *story) toldRollback(back flip, late int, last time.Time) {
	if late == 0 {
		s.say("No request reached v3 after the call: the last came %s before it. The call was answered after %s.",
			span(back.called.Sub(last)), span(back.acked.Sub(back.called)))
	} else {
		s.say("%s reached v3 after the call, the last %s after it. The call was answered after %s.",
			several(late, "request"), span(last.Sub(back.called)), span(back.acked.Sub(back.called)))
	}
}

// judgeRollback checks what clients saw since v3 got weight.
func (s *story) judgeRollback(saw answers, back flip, shown bool) {
	onV3 := saw.where(func(a *answer) bool { return a.Version == "v3" })
	stale := onV3.since(back.acked)
	arrived := onV3.count(func(a *answer) bool { return a.failed() && a.Got.After(back.acked) })
	went := map[int64]bool{}
	for _, a := range onV3 {
		went[a.Session] = true
	}
	next := saw.where(func(a *answer) bool { return went[a.Session] && a.Sent.After(back.acked) })
	s.say("In all, v3 answered %s of %s, and %d of them failed; %d of those were under way when the rollback was in force.",
		several(len(onV3), "request"), several(len(went), "session"), onV3.failed(), arrived)
	s.line("")
	s.promise(shown && onV3.failed() > 0, "the fault showed: %d requests failed on v3", onV3.failed())
	s.promise(len(stale) == 0, "requests sent after the rollback was acknowledged that v3 still answered: %d", len(stale))
	s.promise(next.byVersion()["v2"].Requests == len(next) && next.failed() == 0,
		"the sessions that v3 had, as far as they went on (%s), were answered by v2", several(len(next), "request"))
	s.promise(saw.failed() == onV3.failed(), "requests that failed elsewhere: %d", saw.failed()-onV3.failed())
}
