package routing

import (
	"fmt"
	"net/netip"
	"testing"
)

// header is a request's head as a proxy holds it: a list to look through.
type header []struct{ name, value string }

func (h header) Get(name string) (string, bool) {
	for i := range h {
		if h[i].name == name {
			return h[i].value, true
		}
	}
	return "", false
}

// browser is a usual browser's head with a pin of the service's version v3.
func browser(service string) *header {
	return &header{
		{"host", service + ".example.com"},
		{"user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		{"accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
		{"accept-language", "en-US,en;q=0.5"},
		{"accept-encoding", "gzip, deflate, br, zstd"},
		{"cookie", "theme=dark; _ga=GA1.2.1234567890.1234567890; sluice_" + service + "=7.0123456789abcdef.v3; cart=a1b2c3d4e5"},
		{"connection", "keep-alive"},
	}
}

// manyServices returns a snapshot of n services of five versions each, every
// one with its host and a path of its own on a host that all share.
func manyServices(t testing.TB, n int, change ...func(*ServiceConfig)) *Snapshot {
	cfg := Config{Keys: []Key{testKey}}
	for i := range n {
		name := fmt.Sprintf("svc%d", i)
		svc := ServiceConfig{Name: name, Epoch: 7}
		for v := range 5 {
			svc.Versions = append(svc.Versions, VersionConfig{Name: fmt.Sprintf("v%d", v), Slot: i*5 + v, Weight: v})
		}
		for _, f := range change {
			f(&svc)
		}
		cfg.Services = append(cfg.Services, svc)
		cfg.Routes = append(cfg.Routes,
			Route{Hosts: []string{name + ".example.com"}, Service: name},
			Route{Hosts: []string{"shared.example.com"}, Paths: []string{"/" + name}, Service: name})
	}
	return build(t, cfg)
}

// pinned returns a request that a pin cookie leads to service 13.
func pinned() *Request {
	return &Request{
		Method: "GET", Host: "svc13.example.com", Path: "/products/42/reviews", Query: "page=3&sort=new",
		Fields: browser("svc13"), Client: netip.MustParseAddr("192.0.2.7"), Now: now, Draw: 1 << 62, Health: sick{},
	}
}

var sink Decision

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10_000} {
		s := manyServices(b, n)
		req := pinned()
		req.Host, req.Fields = "svc7.example.com", browser("svc7")
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = s.Decide(req)
			}
		})
	}
}

func BenchmarkDecideKinds(b *testing.B) {
	for _, kind := range kinds() {
		b.Run(kind.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = kind.snapshot.Decide(kind.req)
			}
			if got := ReasonText(&sink); got != kind.reason {
				b.Fatalf("reason %s, want %s", got, kind.reason)
			}
		})
	}
}

func BenchmarkSwap(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		manyServices(b, 10_000)
	}
}

type kind struct {
	name, reason string
	snapshot     *Snapshot
	req          *Request
}

// kinds are the usual kinds of requests, with 50 services of five versions.
func kinds() []kind {
	by := func(by PinBy, name string) *Snapshot {
		return manyServices(tb{}, 50, pinBy(by, name))
	}
	ruled := func(r RuleConfig) *Snapshot {
		return manyServices(tb{}, 50, rules(r))
	}
	with := func(change func(*Request)) *Request {
		req := pinned()
		change(req)
		return req
	}
	field := func(name, value string) *Request {
		return with(func(r *Request) { r.Fields = &header{{"host", r.Host}, {name, value}} })
	}
	plain := manyServices(tb{}, 50)
	keyed := by(PinHeader, "X-Session")
	remembered := keyed.Decide(field("x-session", "s-12345"))
	remembered.Remember(now)
	down := sick{13*5 + 3: true}
	return []kind{
		{"cookie pin", "pin", plain, pinned()},
		{"cookie pin by path", "pin", plain, with(func(r *Request) { r.Host, r.Path = "Shared.example.com:443", "/svc13/a/b/c/d" })},
		{"new session", "split", plain, field("accept", "*/*")},
		{"first by client", "split", manyServices(tb{}, 50, func(c *ServiceConfig) { c.Pin.First = FirstClient }), field("user-agent", "curl/8")},
		{"key remembered", "pin", keyed, field("x-session", "s-12345")},
		{"key new", "split", keyed, field("x-session", "s-67890")},
		{"client address", "split", by(PinClientIP, ""), pinned()},
		{"failover", "failover", plain, with(func(r *Request) { r.Health = down })},
		{"rule", "rule:r", ruled(RuleConfig{Name: "r", Version: "v1", Match: Match{Query: map[string]string{"sort": "n*"}, Cookie: map[string]string{"theme": "dark"}}}), pinned()},
		{"rule by key", "rule:r", ruled(RuleConfig{Name: "r", Split: &SplitConfig{By: "header:user-agent", Weights: map[string]int{"v1": 9, "v2": 1}}}), pinned()},
		{"rule by session", "rule:r", ruled(RuleConfig{Name: "r", Split: &SplitConfig{Weights: map[string]int{"v3": 9, "v2": 1}}}), pinned()},
	}
}

// tb fails by panic, for what is built outside of a test.
type tb struct{ testing.TB }

func (tb) Helper()           {}
func (tb) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

func TestDecideAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, kind := range kinds() {
		if n := testing.AllocsPerRun(100, func() { sink = kind.snapshot.Decide(kind.req) }); n != 0 {
			t.Errorf("%s: %v allocations", kind.name, n)
		}
		if got := ReasonText(&sink); got != kind.reason {
			t.Errorf("%s: reason %s, want %s", kind.name, got, kind.reason)
		}
	}
}

func TestCookiesAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := build(t, web())
	d := s.Decide(ask())
	dst := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() {
		dst = AppendPinCookie(dst[:0], &d, d.Service, true)
		dst = CookieWithout(dst[:0], "a=b; sluice_token=x; c=d", "c")
		_, _, _ = CleanQuery("a=b&c=d%20e")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
