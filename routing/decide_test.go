package routing

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestSplitMakesAPin(t *testing.T) {
	s := build(t, web())
	req := ask()
	req.Draw = 0x0123456789abcdef
	d := s.Decide(req)
	want(t, d, "v1 split make")
	if d.Session != req.Draw || d.Epoch != 7 || d.MovedFrom != nil {
		t.Errorf("session %x, epoch %d, moved from %v", d.Session, d.Epoch, d.MovedFrom)
	}
	cookie := string(AppendPinCookie(nil, &d, d.Service, false))
	if cookie != "sluice_web=7.0123456789abcdef.v1; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax" {
		t.Errorf("Set-Cookie: %s", cookie)
	}
	cookie = string(AppendPinCookie([]byte("Set-Cookie: "), &d, d.Service, true))
	if !strings.HasPrefix(cookie, "Set-Cookie: sluice_web=") || !strings.HasSuffix(cookie, "; SameSite=Lax; Secure") {
		t.Errorf("over TLS: %s", cookie)
	}
}

func TestDrawOfZeroIsASessionAllTheSame(t *testing.T) {
	req := ask()
	req.Draw = 0
	if d := build(t, web()).Decide(req); d.Session == 0 || d.Pin != PinMake {
		t.Errorf("session %d, pin %v", d.Session, d.Pin)
	}
}

func TestPinHolds(t *testing.T) {
	s := build(t, web())
	d := s.Decide(ask("Cookie: a=b; sluice_web=3.00000000000000ff.v2"))
	want(t, d, "v2 pin held")
	if d.Session != 255 || d.Epoch != 3 {
		t.Errorf("session %d of epoch %d", d.Session, d.Epoch)
	}
	if got := AppendPinCookie(nil, &d, d.Service, false); len(got) != 0 {
		t.Errorf("a held pin is set again: %s", got)
	}
}

func TestPinThatHoldsNoLonger(t *testing.T) {
	void := func(svc *ServiceConfig) { svc.Versions[1].LeastEpoch = 6 }
	for _, test := range []struct {
		name, cookie string
		kept, moved  bool
	}{
		{"dark", "7.00000000000000ff.v3", true, true},
		{"gone", "7.00000000000000ff.v9", true, false},
		{"voided", "5.00000000000000ff.v2", true, true},
		{"from an epoch to come", "8.00000000000000ff.v2", false, false},
		{"malformed", "7.ff.v2", false, false},
		{"empty", "", false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := build(t, web(void)).Decide(ask("Cookie: sluice_web=" + test.cookie))
			want(t, d, d.Version.String()+" split make")
			if kept := d.Session == 255; kept != test.kept {
				t.Errorf("session %x", d.Session)
			}
			moved := d.MovedFrom != nil && d.MovedFrom != d.Version
			if moved != (test.moved && !strings.HasSuffix(test.cookie, d.Version.Name)) {
				t.Errorf("moved from %v to %v", d.MovedFrom, d.Version)
			}
			if d.Epoch != 7 {
				t.Errorf("epoch %d", d.Epoch)
			}
		})
	}
}

func TestAMovedSessionsRequestsAgree(t *testing.T) {
	s := build(t, web(func(svc *ServiceConfig) {
		svc.Versions[0].Weight, svc.Versions[1].Weight = 50, 50
	}))
	req := ask("Cookie: sluice_web=7.00000000000000ff.v3")
	first := s.Decide(req).Version
	for draw := range uint64(20) {
		req.Draw = draw << 59
		if v := s.Decide(req).Version; v != first {
			t.Fatalf("draw %x moves the session to %v, another to %v", req.Draw, v, first)
		}
	}
}

func TestFirstValidPinCookieCounts(t *testing.T) {
	s := build(t, web())
	d := s.Decide(ask("Cookie: sluice_web=junk; sluice_web=7.0000000000000001.v3; sluice_web=7.0000000000000002.v2; sluice_web=7.0000000000000003.v1"))
	want(t, d, "v2 pin held")
	if d.Session != 2 {
		t.Errorf("session %d", d.Session)
	}
}

func TestDrainingServesItsPinsUntilTheDeadline(t *testing.T) {
	s := build(t, web(func(svc *ServiceConfig) {
		svc.Versions[1] = VersionConfig{Name: "v2", Slot: 2, Draining: true, DrainUntil: now + 10}
	}))
	req := ask("Cookie: sluice_web=7.00000000000000ff.v2")
	want(t, s.Decide(req), "v2 pin held")
	req.Now = now + 9
	want(t, s.Decide(req), "v2 pin held")
	req.Now = now + 10
	d := s.Decide(req)
	want(t, d, "v1 split make")
	if d.MovedFrom == nil || d.MovedFrom.Name != "v2" {
		t.Errorf("moved from %v", d.MovedFrom)
	}
}

func TestNoSessions(t *testing.T) {
	s := build(t, web(pinBy(PinNone, "")))
	d := s.Decide(ask("Cookie: sluice_web=7.00000000000000ff.v2"))
	want(t, d, "v1 split none")
	if d.Session != 0 {
		t.Errorf("session %d", d.Session)
	}
}

func TestKeyedPins(t *testing.T) {
	for _, test := range []struct {
		by         PinBy
		name, line string
	}{
		{PinHeader, "X-Session", "X-Session: abc"},
		{PinAppCookie, "sid", "Cookie: x=1; sid=abc"},
		{PinClientIP, "", "X: y"},
	} {
		t.Run(test.by.String(), func(t *testing.T) {
			s := build(t, web(pinBy(test.by, test.name)))
			d := s.Decide(ask(test.line))
			want(t, d, d.Version.Name+" split make")
			if got := AppendPinCookie(nil, &d, d.Service, false); len(got) != 0 {
				t.Errorf("a cookie is set: %s", got)
			}
			d.Remember(now)
			again := s.Decide(ask(test.line))
			want(t, again, d.Version.Name+" pin held")
			if again.Session != d.Session || again.Epoch != 7 || d.Session == 0 {
				t.Errorf("session %x, then %x", d.Session, again.Session)
			}
			late := ask(test.line)
			late.Now = now + int64(DefaultPinTTL)
			want(t, s.Decide(late), d.Version.Name+" split make")
		})
	}
}

func TestWithoutAKeyThereIsNoSession(t *testing.T) {
	for _, line := range []string{"X: y", "X-Session: "} {
		d := build(t, web(pinBy(PinHeader, "X-Session"))).Decide(ask(line))
		want(t, d, "v1 split none")
	}
}

func TestKeyedPinOutlivesTheSnapshot(t *testing.T) {
	cfg := web(pinBy(PinHeader, "X-Session"))
	d := build(t, cfg).Decide(ask("X-Session: abc"))
	d.Remember(now)
	// All weight to the other version: the pin holds, until it is voided.
	versions := cfg.Services[0].Versions
	for i := range versions {
		if versions[i].Weight = 100; versions[i].Name == d.Version.Name {
			versions[i].Weight, versions[i].Draining = 0, true
		}
	}
	cfg.Services[0].Epoch = 8
	want(t, build(t, cfg).Decide(ask("X-Session: abc")), d.Version.Name+" pin held")
	for i := range versions {
		versions[i].LeastEpoch = 8
	}
	moved := build(t, cfg).Decide(ask("X-Session: abc"))
	if moved.Pin != PinMake || moved.MovedFrom == nil || moved.MovedFrom.Name != d.Version.Name || moved.Session != d.Session {
		t.Errorf("after the pins were voided: %+v", moved)
	}
}

func TestFirstByClient(t *testing.T) {
	s := build(t, web(func(svc *ServiceConfig) {
		svc.Pin.First = FirstClient
		svc.Versions[1].Weight = 90
	}))
	seen := map[string]bool{}
	for agent := range 64 {
		line := "User-Agent: " + strings.Repeat("x", agent)
		first := s.Decide(ask(line))
		other := ask(line)
		other.Draw = 1
		second := s.Decide(other)
		if first.Version != second.Version || first.Session == second.Session {
			t.Fatalf("one client: %v and %v, sessions %x and %x", first.Version, second.Version, first.Session, second.Session)
		}
		seen[first.Version.Name] = true
	}
	if len(seen) != 2 {
		t.Errorf("64 clients all went to %v", seen)
	}
}

func TestEveryWeightZero(t *testing.T) {
	d := build(t, web(func(svc *ServiceConfig) {
		svc.Versions[0].Weight, svc.Versions[1].Weight = 0, 0
	})).Decide(ask())
	want(t, d, "none split none")
	if d.Service == nil || d.Failed != nil {
		t.Errorf("%+v", d)
	}
}

func TestFailover(t *testing.T) {
	shapes := func(svc *ServiceConfig) {
		svc.Versions = append(svc.Versions, VersionConfig{Name: "v4", Slot: 4, Weight: 1, Writes: "12"},
			VersionConfig{Name: "v5", Slot: 5, Weight: 0})
	}
	for _, test := range []struct {
		name, cookie string
		sick         sick
		want         string
	}{
		{"a pinned session keeps its pin", "7.00000000000000ff.v1", sick{1: true}, "v2(v1) failover held"},
		{"a new session makes none", "", sick{1: true}, "v2(v1) failover none"},
		{"neither other shapes nor dark versions stand in", "7.00000000000000ff.v1", sick{1: true, 2: true}, "none(v1) failover held"},
		{"a shape of its own", "7.00000000000000ff.v4", sick{4: true}, "none(v4) failover held"},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := ask("Cookie: sluice_web=" + test.cookie)
			req.Health = test.sick
			d := build(t, web(shapes)).Decide(req)
			want(t, d, test.want)
			if d.MovedFrom != nil || (d.Pin == NoPin) != (d.Session == 0) {
				t.Errorf("%+v", d)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	cfg := Config{Routes: []Route{
		{Hosts: []string{"shop.test"}, Service: "exact"},
		{Hosts: []string{"shop.test"}, Paths: []string{"/api", "/api/v2/"}, Service: "api"},
		{Hosts: []string{"*.shop.test", "*.test"}, Paths: []string{"/w"}, Service: "wild"},
		{Hosts: []string{"*.deep.shop.test"}, Service: "deep"},
		{Hosts: []string{"onlyapi.test"}, Paths: []string{"/api"}, Service: "api"},
		{Hosts: []string{"[::1]", "127.0.0.1"}, Service: "local"},
		{Paths: []string{"/any"}, Service: "any"},
	}}
	for _, name := range []string{"exact", "api", "wild", "deep", "local", "any"} {
		cfg.Services = append(cfg.Services, ServiceConfig{Name: name})
	}
	s := build(t, cfg)
	for _, test := range []struct{ host, path, want string }{
		{"shop.test", "/", "exact"},
		{"SHOP.Test.:8080", "/x", "exact"},
		{"shop.test", "/api", "api"},
		{"shop.test", "/api/", "api"},
		{"shop.test", "/api/x", "api"},
		{"shop.test", "/apix", "exact"},
		{"shop.test", "/api/v2", "api"},
		{"shop.test", "*", "exact"},
		{"shop.test", "", "exact"},
		{"a.shop.test", "/w", "wild"},
		{"a.b.shop.test", "/w/x", "wild"},
		{"a.shop.test", "/x", "none"},
		{"a.shop.test", "/any", "any"},
		{"a.deep.shop.test", "/w", "deep"},
		{"deep.shop.test", "/w", "wild"},
		{".shop.test", "/w", "wild"},
		{"test", "/w", "none"},
		{"onlyapi.test", "/w", "wild"},
		{"onlyapi.test", "/any/x", "any"},
		{"onlyapi.test", "/", "none"},
		{"[::1]:80", "/", "local"},
		{"127.0.0.1:80", "/", "local"},
		{"", "/any", "any"},
		{strings.Repeat("a", 300) + ".test", "/w", "none"},
		{strings.Repeat("a.", 120) + "test", "/w", "wild"},
	} {
		got := "none"
		if svc := s.Decide(&Request{Host: test.host, Path: test.path}).Service; svc != nil {
			got = svc.Name
		}
		if got != test.want {
			t.Errorf("%s%s leads to %s, want %s", test.host, test.path, got, test.want)
		}
	}
}

func TestNoRoute(t *testing.T) {
	cfg := web()
	cfg.Routes = nil
	want(t, build(t, cfg).Decide(ask()), "none no_route none")
}

func TestTokenCookieLivesAsLongAsTheToken(t *testing.T) {
	d := Decision{Redirect: true, TokenExpires: now/int64(time.Second) + 60}
	got := AppendTokenCookie(nil, &d, "a.b.c", now, true)
	if want := "sluice_token=a.b.c; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"; !bytes.Equal(got, []byte(want)) {
		t.Errorf("%s", got)
	}
}
