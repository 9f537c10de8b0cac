package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"sluice/admin/api"
)

// calm shows the state before anything changes.
func (s *story) calm(ctx context.Context) error {
	s.say("v1 has all the weight. v2 and v3 are deployed and run, and are dark: no visitor reaches them.")
	since := time.Now()
	s.command("sluice status web")
	if err := s.watch(ctx, 1); err != nil {
		return err
	}
	ok, err := s.await(ctx, func() bool { return len(s.of("web", since)) >= s.pace.Browsers })
	if err != nil {
		return err
	}
	if !ok {
		return errUnanswered
	}
	saw, err := s.shares(ctx, "web", since)
	if err != nil {
		return err
	}
	s.promise(saw.byVersion()["v1"].Requests == len(saw), "all %d requests to web were answered by v1", len(saw))
	return nil
}

// dark lets a tester see what nobody else does.
func (s *story) dark(ctx context.Context) error {
	s.say("Before v2 gets any traffic a tester looks at it, on the real address, with a signed token. The link sets a cookie " +
		"and leads on to the clean URL, so that the token stays out of logs and bookmarks.")
	since := time.Now()
	before, _ := s.backend("web", "v2").requests()
	s.command("sluice token web=v2 --ttl 1h --subject tester")
	token, err := s.admin.SignToken(ctx, api.TokenRequest{
		Overrides: map[string]string{"web": "v2"}, TTL: api.Duration(time.Hour), Subject: "tester",
	})
	if err != nil {
		return err
	}
	s.result("%s...", token.Token[:24])
	s.command(fmt.Sprintf("curl -L -c jar -b jar '%s/?sluice-token=%s...'", s.proxyURL, token.Token[:12]))
	tester := newVisitor(s.proxyURL, s.load.transport)
	visits := answers{tester.get("/?sluice-token=" + token.Token)}
	clean := tester.path == "/"
	for _, page := range pages {
		visits = append(visits, tester.get(page))
	}
	forger := newVisitor(s.proxyURL, s.load.transport)
	forger.header.Set("Sluice-Token", forged(token.Token))
	fake := forger.get("/")
	if err := s.watch(ctx, 0.5); err != nil {
		return err
	}
	after, _ := s.backend("web", "v2").requests()
	saw, err := s.shares(ctx, "web", since)
	if err != nil {
		return err
	}
	others := saw.byVersion()["v2"].Requests
	onV2 := visits.byVersion()["v2"]
	s.promise(onV2.Requests == len(visits) && onV2.Failed == 0 && clean, "the tester saw v2 on all %d pages, at clean URLs", len(visits))
	s.promise(others == 0 && int(after-before) == len(visits), "nobody else did: v2 got %d requests, all from the tester", after-before)
	s.promise(fake.Version == "v1" && !fake.failed(), "a forged token was ignored: its sender got v1")
	return nil
}

// forged returns a token with another signature of the right form.
func forged(token string) string {
	at := strings.LastIndexByte(token, '.') + 1
	other := "A"
	if strings.HasPrefix(token[at:], other) {
		other = "B"
	}
	return token[:at] + other + token[at+1:]
}

// fivePercent lets the first real sessions in.
func (s *story) fivePercent(ctx context.Context) error {
	s.say("The weights decide about new sessions only. Whoever is on a version stays there, so no visitor sees two versions in one visit.")
	return s.shift(ctx, 5, map[string]int{"v1": 95, "v2": 5}, 1.3)
}

// half raises the share.
func (s *story) half(ctx context.Context) error {
	s.say("v2 does well. Sessions on v1 go on there, so v2's part of the requests follows its weight slowly. (The " +
		"proxy's sessions are those of the last ten minutes, its requests those of the last minute.)")
	return s.shift(ctx, 50, map[string]int{"v1": 50, "v2": 50}, 1)
}

// shift gives v2 a share and checks what it promises.
func (s *story) shift(ctx context.Context, share int, weights map[string]int, steps float64) error {
	f, err := s.change(fmt.Sprintf("sluice shift web v2 %d%%", share), func() (*api.Change, error) {
		return s.admin.SetWeights(ctx, "web", api.Weights{Weights: weights, Reason: "demo"}, 0)
	})
	if err != nil {
		return err
	}
	if err := s.watch(ctx, steps); err != nil {
		return err
	}
	reached, err := s.await(ctx, func() bool { _, n := s.of("web", f.acked).newSessions("v2"); return n > 0 })
	if err != nil {
		return err
	}
	saw, err := s.shares(ctx, "web", f.called)
	if err != nil {
		return err
	}
	all, there := saw.since(f.acked).newSessions("v2")
	s.promise(reached && plausible(all, there, float64(share)/100),
		"%d of %s since then began on v2, which %d%% makes likely", there, several(all, "session"), share)
	s.kept()
	return nil
}

// kept checks what holds at every flip so far: sessions stay, nothing fails.
func (s *story) kept() {
	saw := s.of("web", s.began)
	s.promise(saw.moved() == 0, "of %s so far, %d changed version", several(len(saw.sessions()), "session"), saw.moved())
	s.promise(saw.failed() == 0, "of %d requests, %d failed", len(saw), saw.failed())
}

// whole ends v1's time without cutting anybody off.
func (s *story) whole(ctx context.Context) error {
	s.say("Nobody new comes to v1 any more. The sessions there have up to 30 minutes to finish (--pins drain:30m, the default); " +
		"then they would move.")
	f, err := s.change("sluice shift web v2 100%", func() (*api.Change, error) {
		return s.admin.SetWeights(ctx, "web", api.Weights{Weights: map[string]int{"v2": 100}, Reason: "demo"}, 0)
	})
	if err != nil {
		return err
	}
	begun := s.load.sessions.Load()
	if err := s.watch(ctx, 0.5); err != nil {
		return err
	}
	if _, err := s.shares(ctx, "web", f.called); err != nil {
		return err
	}
	left, err := s.await(ctx, func() bool { return s.load.oldest() > begun })
	if err != nil {
		return err
	}
	saw := s.of("web", f.acked)
	last := f.acked
	for i := range saw {
		if saw[i].Version == "v1" && saw[i].Got.After(last) {
			last = saw[i].Got
		}
	}
	all, there := saw.newSessions("v2")
	s.promise(there == all && all > 0, "all %s since then began on v2", several(all, "session"))
	s.promise(left, "v1 emptied by itself: its last session finished there after %s", span(last.Sub(f.acked)))
	s.kept()
	return nil
}
