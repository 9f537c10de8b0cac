package demo

import (
	"context"
	"slices"
	"time"

	"sluice/admin/api"
)

// newTenants sign up during the story.
const newTenants = 20

// tenants shows pins by a header of the application, and how to void them.
func (s *story) tenants(ctx context.Context) error {
	s.say("API clients have no cookies. The api's pins are by the header X-Tenant: one tenant, one version, whichever client calls. "+
		"Half of the new tenants shall go to v2, and %d sign up.", newTenants)
	f, err := s.change("sluice shift api v2 50%", func() (*api.Change, error) {
		return s.admin.SetWeights(ctx, "api", api.Weights{Weights: map[string]int{"v1": 50, "v2": 50}, Reason: "demo"}, 0)
	})
	if err != nil {
		return err
	}
	s.load.tenants.Add(newTenants)
	known, err := s.awaitTenants(ctx, f.acked)
	if err != nil {
		return err
	}
	if err := s.watch(ctx, 0.5); err != nil {
		return err
	}
	saw, err := s.shares(ctx, "api", f.called)
	if err != nil {
		return err
	}
	saw = saw.since(f.acked)
	old := saw.where(func(a *answer) bool { return a.Session <= tenantsAtFirst })
	all, there := saw.newSessions("v2")
	s.promise(known && old.byVersion()["v1"].Requests == len(old), "the %d tenants that were there stayed on v1", tenantsAtFirst)
	s.promise(all == newTenants && saw.moved() == 0, "of the %d new ones, %d went to v2; each stayed on one version", all, there)
	return s.void(ctx, saw)
}

// void makes pins void, and checks that it touches no others.
func (s *story) void(ctx context.Context, before answers) error {
	s.line("")
	s.say("Say v1 has filled its tenants' caches with nonsense. Its pins are made void: those tenants are split anew, once.")
	f, err := s.change("sluice pins void api v1 --reason 'poisoned caches'", func() (*api.Change, error) {
		return s.admin.VoidPins(ctx, "api", api.VoidPins{Version: "v1", Reason: "poisoned caches"})
	})
	if err != nil {
		return err
	}
	heard, err := s.awaitTenants(ctx, f.acked)
	if err != nil {
		return err
	}
	if err := s.watch(ctx, 0.5); err != nil {
		return err
	}
	after, err := s.shares(ctx, "api", f.called)
	if err != nil {
		return err
	}
	after = after.since(f.acked)
	now, split, left, touched := after.sessions(), 0, 0, 0
	for tenant, path := range before.sessions() {
		switch {
		case path[len(path)-1] == "v2" && slices.Contains(now[tenant], "v1"):
			touched++
		case path[len(path)-1] == "v1":
			split++
			if slices.Contains(now[tenant], "v2") {
				left++
			}
		}
	}
	s.promise(heard && after.moved() == 0, "of the %d tenants of v1, %d are on v2 now; since then each keeps its version", split, left)
	s.promise(touched == 0, "no tenant of v2 was touched")
	all := s.of("api", s.began)
	s.promise(all.failed() == 0, "of %d requests to api, %d failed", len(all), all.failed())
	return nil
}

// awaitTenants waits until every tenant has been answered since a moment.
func (s *story) awaitTenants(ctx context.Context, since time.Time) (bool, error) {
	return s.await(ctx, func() bool {
		return len(s.of("api", since).sessions()) == int(s.load.tenants.Load())
	})
}
