package driver

import (
	"cmp"
	"context"
	"maps"
	"sync"
	"time"

	"sluice/rollout"
	"sluice/state"
)

// The pace of probes where the stage does not say, and how long one round may
// take at the very most: whoever sends probes has closer limits.
const (
	defaultProbeEvery = 2 * time.Second
	probeTimeout      = 10 * time.Minute
)

// probing sends the synthetic requests of one stage until it is ended.
type probing struct {
	stage  int
	began  time.Time // of the stage
	cancel context.CancelFunc

	mu   sync.Mutex
	seen map[string]rollout.Probes // by service
}

// probe sees to it that probes are sent while the rollout is in a stage for
// them, and returns what came of them, by service.
func (r *runner) probe(ro *state.Rollout) map[string]rollout.Probes {
	if ro.Phase != state.PhaseProbing {
		r.endProbes()
		return nil
	}
	if p := r.probing; p == nil || p.stage != ro.Stage || !p.began.Equal(ro.StageBegan) {
		r.endProbes()
		r.beginProbes(ro)
	}
	r.probing.mu.Lock()
	defer r.probing.mu.Unlock()
	return maps.Clone(r.probing.seen)
}

func (r *runner) endProbes() {
	if r.probing != nil {
		r.probing.cancel()
		r.probing = nil
	}
}

func (r *runner) beginProbes(ro *state.Rollout) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &probing{stage: ro.Stage, began: ro.StageBegan, cancel: cancel, seen: map[string]rollout.Probes{}}
	r.probing = p
	stage := ro.Policy.Stages[ro.Stage]
	for _, l := range ro.Legs {
		r.tasks.Go(func() {
			ticks, stop := r.d.opts.Ticks(cmp.Or(stage.Every, defaultProbeEvery))
			defer stop()
			for {
				p.round(ctx, l.Service, func(ctx context.Context) error { return r.d.opts.Probe(ctx, l.Service, l.Candidate, stage) })
				poke(r.poke)
				select {
				case <-ticks:
				case <-ctx.Done():
					return
				}
			}
		})
	}
}

// round probes a candidate once.
func (p *probing) round(ctx context.Context, service string, probe func(context.Context) error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	err := probe(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := p.seen[service]
	if seen.Passed++; err != nil {
		seen = rollout.Probes{Failed: err.Error()}
	}
	p.seen[service] = seen
}
