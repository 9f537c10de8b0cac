package server

import (
	"context"
	"time"

	"go.uber.org/zap"

	"sluice/rollout/driver"
	"sluice/rollout/hook"
	"sluice/state"
	"sluice/stats"
)

// newDriver makes what moves the rollouts, and what tells of them.
func (s *Server) newDriver() {
	s.hooks = hook.New(hook.Options{Log: s.log, Now: s.now, Failed: s.stats.RolloutHookFailed, Secret: s.hookSecret})
	s.driver = driver.New(driver.Options{
		Control: s.keeper, Documents: s.keeper, Log: s.log, Now: s.now,
		Endpoints: s.endpoints, Facts: s.facts, Probe: s.probe, Shadow: s.shadowSeen,
		Lost: func(events int64) { s.stats.EvidenceLost(uint64(events)) },
		Trial: func(rollout, service string) driver.Trial {
			if t := s.trialOf(rollout, service); t != nil {
				return t
			}
			return nil
		},
		Tell: func(t hook.Transition, hooks []state.Hook) {
			s.stats.RolloutMoved(string(t.To))
			s.logMove(&t)
			s.hooks.Tell(t, hooks)
		},
	})
}

// logMove writes a line about a rollout's transition, as a warning where a person
// may have to look.
func (s *Server) logMove(t *hook.Transition) {
	level := zap.InfoLevel
	switch t.To {
	case state.PhasePaused, state.PhaseRollingBack, state.PhaseRolledBack:
		level = zap.WarnLevel
	}
	versions := make([]string, len(t.Legs))
	for i, l := range t.Legs {
		versions[i] = l.Service + "=" + l.Candidate
	}
	s.log.Log(level, "a rollout has moved", zap.String("rollout", t.Rollout), zap.Strings("versions", versions),
		zap.String("from", string(t.From)), zap.String("to", string(t.To)), zap.Float64("share", t.Share),
		zap.String("by", t.By), zap.String("why", t.Why))
}

// hookGrace is how long hooks have at the end to be told of what came last.
const hookGrace = time.Second

// stopDriver ends what newDriver has made. The store is open still.
func (s *Server) stopDriver() {
	if s.driver == nil {
		return
	}
	s.driver.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), hookGrace)
	defer cancel()
	s.hooks.Close(ctx)
}

// renewCohorts lets the sessions of rollouts count anew. No session is assigned
// by this process before.
func (s *Server) renewCohorts(ctx context.Context) error {
	_, err := s.keeper.Do(ctx, state.RenewCohorts{}, state.Meta{
		By: "restart", Why: "this process doesn't know which sessions were bad before it", At: s.now(),
	})
	return err
}

// endpoints returns how many endpoints of a version are neither down nor ejected,
// and how many there are.
func (s *Server) endpoints(service, version string) (healthy, known int) {
	if c := s.clusterOf(service, version); c != nil {
		return c.Counts()
	}
	return 0, 0
}

// hookSecret returns the secret of a hook of the file in force; nil: it has none.
func (s *Server) hookSecret(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	secret, _ := hookSecret(s.file, name)
	return secret
}

// rolloutsUnderWay tells the metrics where rollouts stand.
func (s *Server) rolloutsUnderWay() []stats.Rollout {
	var all []stats.Rollout
	for _, r := range s.keeper.State().Rollouts {
		if !r.UnderWay() {
			continue
		}
		seen := map[string]state.Evidence{}
		for _, e := range s.driver.Evidence(r.ID) {
			seen[e.Service] = e
		}
		for _, l := range r.Legs {
			e, judged := seen[l.Service]
			all = append(all, stats.Rollout{
				Service: l.Service, Phase: string(r.Phase), Share: float64(r.Share()) / 1e4, Evidence: e.LogR, Judged: judged,
			})
		}
	}
	return all
}
