package driver

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"sluice/state"
)

// TestEvidenceIsSavedBeforeAStep, so that a process that dies in between finds it.
func TestEvidenceIsSavedBeforeAStep(t *testing.T) {
	w := begin(t)
	id := w.roll(policy(), "web")
	w.stage(id, state.PhaseShifting, 1)
	w.good("web", w.keeper.State().Services["web"].Epoch)
	w.stage(id, state.PhaseShifting, 2)
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	moves := 0
	for i, what := range w.store.written {
		if what == "commit move_rollout" {
			if moves++; moves == 3 && w.store.written[i-1] != "put rollout/"+id {
				t.Errorf("written %v", w.store.written)
			}
		}
	}
	if moves < 3 {
		t.Errorf("%d moves", moves)
	}
}

func TestEvidenceIsSavedNowAndThen(t *testing.T) {
	w := begin(t)
	id := w.roll(policy(), "web")
	w.stage(id, state.PhaseShifting, 1)
	w.bad("web", 1)
	w.await("the document", func() bool {
		doc, _ := w.keeper.Document(t.Context(), documentKey(id))
		return strings.Contains(string(doc), `"candidate_bad":1`)
	})
	count := func() int {
		w.store.mu.Lock()
		defer w.store.mu.Unlock()
		return len(w.store.written)
	}
	n := count()
	at := w.clock()
	w.await("a minute", func() bool { return w.clock().Sub(at) > 50*time.Second })
	if more := count() - n; more > 2 { // the judge is told of a minute's end
		t.Errorf("what had not changed was written %d times", more)
	}
}

// TestTheWorstDay: the store is down, and the candidate fails.
func TestTheWorstDay(t *testing.T) {
	for name, hang := range map[string]chan struct{}{"down": nil, "hangs": make(chan struct{})} {
		t.Run(name, func(t *testing.T) {
			w := begin(t)
			id := w.roll(policy(), "web")
			w.stage(id, state.PhaseShifting, 1)
			w.good("web", w.keeper.State().Services["web"].Epoch)
			if hang != nil {
				w.store.set(nil, hang)
			} else {
				w.store.set(errors.New("disk full"), nil)
			}
			// The evidence would promote, which waits for the store.
			w.await("the promotion's try", func() bool { e := w.driver.Evidence(id); return len(e) == 1 && e[0].Decision == "promote" })
			w.pass(time.Second)
			if hang == nil {
				w.await("the trouble", func() bool { return strings.Contains(w.driver.Trouble(id), "disk full") })
			}
			if r := w.rollout(id); r.Stage != 1 {
				t.Fatalf("moved without a store: %+v", r)
			}
			// Each minute bets anew, so that what was good before does not count for ever.
			w.awaitEvery(time.Minute, "the rollback", func() bool {
				if r := w.rollout(id); r.Phase == state.PhaseRollingBack {
					return true
				}
				w.bad("web", 5)
				return false
			})
			if v1 := w.keeper.State().Services["web"].Versions["v1"]; v1.Weight != 100 {
				t.Errorf("v1 has weight %d", v1.Weight)
			}
			w.store.set(nil, nil)
			if hang != nil {
				close(hang)
			}
			w.stage(id, state.PhaseRolledBack, -1)
			w.await("durable", func() bool { return len(w.keeper.Pending()) == 0 })
			w.await("the hooks", func() bool { return strings.HasSuffix(w.transitions(), "rolled_back") })
		})
	}
}

// TestAStepIsTakenOnceTheStoreIsBack.
func TestAStepIsTakenOnceTheStoreIsBack(t *testing.T) {
	w := begin(t)
	id := w.roll(policy(), "web")
	w.stage(id, state.PhaseShifting, 1)
	w.store.set(errors.New("disk full"), nil)
	w.good("web", w.keeper.State().Services["web"].Epoch)
	w.await("the trouble", func() bool { return strings.Contains(w.driver.Trouble(id), "disk full") })
	w.store.set(nil, nil)
	w.stage(id, state.PhaseShifting, 2)
	w.await("no trouble", func() bool { return w.driver.Trouble(id) == "" })
	failed := w.logs.FilterMessageSnippet("can't be moved").FilterLevelExact(zap.ErrorLevel).Len()
	if failed != 1 {
		t.Errorf("the same trouble was logged %d times", failed)
	}
}

// TestAProcessThatDies is followed by one that goes on where it stood, by the
// same evidence, at every stage. No hook is told twice.
func TestAProcessThatDies(t *testing.T) {
	for _, kill := range []bool{true, false} {
		t.Run(fmt.Sprint("kill ", kill), func(t *testing.T) {
			w := begin(t)
			id := w.roll(policy(), "web")
			w.stage(id, state.PhaseProbing, 0)
			w.restart(kill)
			w.stage(id, state.PhaseShifting, 1)
			w.restart(kill)
			w.stage(id, state.PhaseShifting, 1)
			w.bad("web", 1)
			w.await("the document", func() bool {
				doc, _ := w.keeper.Document(t.Context(), documentKey(id))
				return strings.Contains(string(doc), `"candidate_bad":1`)
			})
			before := w.driver.Evidence(id)[0]
			epoch := w.rollout(id).Legs[0].Counts()
			w.restart(kill)
			w.await("the evidence", func() bool { e := w.driver.Evidence(id); return len(e) == 1 && e[0].CandidateBad == 1 })
			after := w.driver.Evidence(id)[0]
			if after.LogR < before.LogR-0.01 || after.LogR > before.LogR+0.01 || after.Metrics[0].Events != before.Metrics[0].Events {
				t.Errorf("before %+v, after %+v", before, after)
			}
			if r := w.rollout(id); r.Legs[0].Counts() <= epoch || r.Stage != 1 {
				t.Errorf("sessions that were bad before count again: %+v", r.Legs)
			}
			w.good("web", w.rollout(id).Legs[0].Counts())
			w.stage(id, state.PhaseShifting, 2)
			w.restart(kill)
			w.stage(id, state.PhaseBaking, 3)
			w.restart(kill)
			w.awaitEvery(time.Minute, "the promotion", func() bool { return w.rollout(id).Phase == state.PhasePromoted })
			w.await("the hooks", func() bool { return strings.HasSuffix(w.transitions(), "promoted") })
			w.mu.Lock()
			defer w.mu.Unlock()
			var ids []string
			for _, tr := range w.told {
				if slices.Contains(ids, tr.ID) {
					t.Errorf("%s was told twice", tr.ID)
				}
				ids = append(ids, tr.ID)
			}
		})
	}
}

// TestEvidenceThatIsNoUse begins anew.
func TestEvidenceThatIsNoUse(t *testing.T) {
	w := begin(t)
	id := w.roll(policy(), "web")
	w.stage(id, state.PhaseShifting, 1)
	w.bad("web", 1)
	w.await("the document", func() bool { doc, _ := w.keeper.Document(t.Context(), documentKey(id)); return doc != nil })
	good, _ := w.keeper.Document(t.Context(), documentKey(id))
	for _, doc := range []string{"{", `{"legs":{"web":{}}}`, strings.Replace(string(good), `"candidate":"v2"`, `"candidate":"v9"`, 1),
		strings.Replace(string(good), `"marks":`, `"marks":-1,"x":`, 1)} {
		w.stop()
		if err := w.store.PutDocument(t.Context(), documentKey(id), []byte(doc)); err != nil {
			t.Fatal(err)
		}
		w.restart(false)
		w.await("new evidence", func() bool { e := w.driver.Evidence(id); return len(e) == 1 && e[0].CandidateBad == 0 })
		if n := w.logs.FilterMessageSnippet("begins anew").Len(); n == 0 {
			t.Errorf("nothing logged of %.30s", doc)
		}
		w.logs.TakeAll()
	}
}

// TestEvidenceThatCannotBeRead yet is waited for.
func TestEvidenceThatCannotBeReadIsWaitedFor(t *testing.T) {
	w := begin(t)
	id := w.roll(policy(), "web")
	w.stage(id, state.PhaseShifting, 1)
	w.bad("web", 1)
	w.await("the look", func() bool { e := w.driver.Evidence(id); return len(e) == 1 && e[0].CandidateBad == 1 })
	w.driver.Stop()
	w.store.set(errors.New("gone"), nil)
	w.driver = New(w.options())
	w.driver.Start()
	w.await("a try", func() bool { return w.logs.FilterMessageSnippet("can't be read").Len() > 0 })
	if e := w.driver.Evidence(id); e != nil {
		t.Errorf("judged without what was seen: %+v", e)
	}
	w.store.set(nil, nil)
	w.await("the evidence", func() bool { e := w.driver.Evidence(id); return len(e) == 1 && e[0].CandidateBad == 1 })
}

func TestEvidenceOfRolloutsThatAreOverGoes(t *testing.T) {
	w := begin(t)
	id := w.roll(policy(), "web")
	w.stage(id, state.PhaseShifting, 1)
	w.stop()
	for _, key := range []string{"rollout/r1", "rollout/gone", documentKey(id), "other"} {
		if err := w.store.PutDocument(t.Context(), key, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	w.restart(false)
	w.await("two documents left", func() bool {
		keys, _ := w.keeper.DocumentKeys(t.Context(), "")
		return slices.Equal(keys, []string{"other", documentKey(id)})
	})
}

// TestAPauseHandsOver all that is known, and a driver that goes on knows it too.
func TestAPauseHandsOver(t *testing.T) {
	w := begin(t)
	id := w.roll(policy(), "web")
	w.stage(id, state.PhaseShifting, 1)
	w.bad("web", 1)
	w.await("the look", func() bool { e := w.driver.Evidence(id); return len(e) == 1 && e[0].CandidateBad == 1 })
	w.driver.Pause()
	if doc, _ := w.keeper.Document(t.Context(), documentKey(id)); !strings.Contains(string(doc), `"candidate_bad":1`) {
		t.Errorf("handed over %.60s", doc)
	}
	w.bad("web", 9)
	w.pass(time.Second)
	if r := w.rollout(id); r.Phase != state.PhaseShifting {
		t.Errorf("moved in a pause: %s", r.Phase)
	}
	w.driver.Resume()
	w.stage(id, state.PhaseRolledBack, -1)
	if e := w.rollout(id).Moves; e[len(e)-1].Evidence[0].CandidateBad != 10 {
		t.Errorf("%+v", e[len(e)-1])
	}
}

// TestOldTransitionsAreNotTold by a process that starts, however many there were.
func TestOldTransitionsAreNotTold(t *testing.T) {
	w := begin(t)
	id := w.roll(policy(), "web")
	w.stage(id, state.PhaseShifting, 1)
	w.await("the hooks", func() bool { return strings.HasSuffix(w.transitions(), "shifting") })
	w.mu.Lock()
	w.told = nil
	w.mu.Unlock()
	w.restart(true)
	w.bad("web", 10)
	w.stage(id, state.PhaseRolledBack, -1)
	w.await("the hook", func() bool { return w.transitions() == "rolled_back" })
}
