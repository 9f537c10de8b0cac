package proxy

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// TestOverload: while ready work waits, most requests are refused without asking
// an endpoint; when it waits no more, all are served again within a second.
func TestOverload(t *testing.T) {
	t.Parallel()
	var delay, load atomic.Int64
	load.Store(overloadFloor)
	core, logs := observer.New(zap.InfoLevel)
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) {
		r.options.OverloadTarget = DefaultOverloadTarget
		r.options.Log = zap.New(core)
		r.options.Access.Mode = AccessErrors
		r.options.probe = func() (time.Duration, error) { return time.Duration(delay.Load()), nil }
		r.options.load = func() int { return int(load.Load()) }
	})
	for round := range 2 {
		delay.Store(int64(time.Second))
		eventually(t, "hardly any request is admitted", func() bool { return r.stats.Edge().Admitted < 0.05 })
		served, refused := 0, 0
		for range 10 {
			switch answer := r.exchangeRaw(get("/", closing)); statuses(answer) {
			case "200":
				served++
			case "503":
				refused++
				if field(answer, "Retry-After") != "1" {
					t.Errorf("refused by %q", answer)
				}
			}
		}
		if refused < 5 || served+refused != 10 {
			t.Errorf("%d served, %d refused", served, refused)
		}
		if seen, _ := b.take(); len(seen) != served {
			t.Errorf("the endpoint saw %d requests of %d", len(seen), served)
		}
		over := time.Now()
		if round == 0 {
			delay.Store(0)
		} else {
			load.Store(overloadFloor - 1)
		}
		eventually(t, "all are admitted", func() bool { return r.stats.Edge().Admitted == 1 })
		if took := time.Since(over); took > 3*time.Second {
			t.Errorf("that took %v", took)
		}
		load.Store(overloadFloor)
	}
	eventually(t, "the log tells of both ends", func() bool { return logs.FilterMessageSnippet("overload is over").Len() == 2 })
	if r.stats.Edge().Shed < 10 || logs.FilterMessageSnippet("overload: ").Len() != 2 || logs.FilterMessageSnippet("overload is over").Len() != 2 {
		t.Errorf("counted %+v, logged %v", r.stats.Edge(), logs.All())
	}
	if n := logs.FilterMessage("request").Len(); n > 0 {
		t.Errorf("%d refusals have lines of their own", n)
	}
}

func TestOverloadWithoutAProbe(t *testing.T) {
	t.Parallel()
	var asked atomic.Bool
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) {
		r.options.OverloadTarget = DefaultOverloadTarget
		r.options.load = func() int { return overloadFloor }
		r.options.probe = func() (time.Duration, error) { asked.Store(true); return 0, errors.New("none") }
	})
	eventually(t, "the probe is asked", asked.Load)
	if s := statuses(r.exchangeRaw(get("/", closing))); s != "200" {
		t.Errorf("answered %s", s)
	}
}

func TestPipeProbe(t *testing.T) {
	p, err := newPipeProbe()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for range 100 {
		if delay, err := p.wait(); err != nil || delay <= 0 || delay > 5*time.Second {
			t.Fatalf("%v, %v", delay, err)
		}
	}
	p.w.Close()
	if _, err := p.wait(); err == nil {
		t.Error("a closed pipe delivers")
	}
}
