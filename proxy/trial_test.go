package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/routing"
	"sluice/stats"
	"sluice/stats/trial"
)

// onTrial puts v2 on trial beside v1, from epoch 1 on, at half of the sessions.
func onTrial(tr **trial.Trial, change ...func(*trial.Config)) option {
	return func(r *rig) {
		cfg := trial.Config{Bad: trial.DefaultBad()}
		for _, c := range change {
			c(&cfg)
		}
		*tr = trial.New(cfg)
		(*tr).Flip(1, 0.5)
		v2, v1 := (*tr).Arms()
		r.arms = map[string]*trial.Arm{"v1": v1, "v2": v2}
		r.upstream.Outlier.Disabled = true
	}
}

// sums adds increments up.
type sums struct {
	candidate, baseline trial.Counts
	events              []trial.Event
}

func (s *sums) add(in *trial.Increments) {
	for _, c := range []struct{ to, from *trial.Counts }{{&s.candidate, &in.Candidate}, {&s.baseline, &in.Baseline}} {
		c.to.Requests += c.from.Requests
		c.to.Bad += c.from.Bad
		c.to.Sessions += c.from.Sessions
		c.to.BadSessions += c.from.BadSessions
	}
	s.events = append(s.events, in.Events...)
}

// awaitTrial drains the trial until so many requests of both versions have ended.
func awaitTrial(t *testing.T, tr *trial.Trial, requests int64) (s sums) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; <-time.After(2 * time.Millisecond) {
		in := tr.Drain(time.Now())
		s.add(&in)
		if n := s.candidate.Requests + s.baseline.Requests; n == requests {
			return s
		} else if n > requests || time.Now().After(end) {
			t.Fatalf("%d requests were counted, want %d: %+v", n, requests, s)
		}
	}
}

// TestTrialCountsWhatIsBad: a request of the candidate's session, by what becomes
// of it.
func TestTrialCountsWhatIsBad(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(net.Conn, *message) bool // nil: nobody listens
		bad    bool
		change func(*trial.Config)
		option option
	}{
		"200":                           {always(response(200, "ok")), false, nil, nil},
		"404":                           {always(response(404, "no")), false, nil, nil},
		"500":                           {always(response(500, "no")), true, nil, nil},
		"500 that is left out":          {always(response(500, "no")), false, func(c *trial.Config) { c.Bad.Except = []trial.Statuses{{From: 500, To: 500}} }, nil},
		"404 that is bad":               {always(response(404, "no")), true, func(c *trial.Config) { c.Bad.Statuses = []trial.Statuses{{From: 404, To: 404}} }, nil},
		"refused":                       {nil, true, nil, nil},
		"refused, which does not count": {nil, false, func(c *trial.Config) { c.Bad.Connect = false }, nil},
		"broken off":                    {last("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), true, nil, nil},
		"too late": {func(c net.Conn, _ *message) bool { io.Copy(io.Discard, c); return false }, true, nil,
			func(r *rig) { r.settings.ResponseTimeout = 100 * time.Millisecond }},
		"too late, which does not count": {func(c net.Conn, _ *message) bool { io.Copy(io.Discard, c); return false }, false,
			func(c *trial.Config) { c.Bad.Timeout = false }, func(r *rig) { r.settings.ResponseTimeout = 100 * time.Millisecond }},
		"a field":            {always(response(200, "ok", "X-Broken: yes")), true, func(c *trial.Config) { c.Bad.Headers = []trial.Header{{Name: "x-broken", Value: "*"}} }, nil},
		"another value":      {always(response(200, "ok", "X-Broken: no")), false, func(c *trial.Config) { c.Bad.Headers = []trial.Header{{Name: "x-broken", Value: "yes"}} }, nil},
		"slow":               {always(response(200, "ok")), true, func(c *trial.Config) { c.Bad.Latency = 1 }, nil},
		"shielded":           {always(response(503, "no")), true, func(c *trial.Config) { c.Bad.Statuses = nil }, shield()},
		"shielded by a list": {always(response(404, "no")), true, nil, shield(404)},
	} {
		t.Run(name, func(t *testing.T) {
			candidate := refusing(t)
			if test.answer != nil {
				candidate = newRecorder(t, test.answer).addr
			}
			var tr *trial.Trial
			change := func(*trial.Config) {}
			if test.change != nil {
				change = test.change
			}
			options := []option{onTrial(&tr, change), func(r *rig) { r.settings.Retries = -1 }}
			if test.option != nil {
				options = append(options, test.option)
			}
			r := newRig(t, map[string]string{"v1": newRecorder(t, nil).addr, "v2": candidate}, options...)
			r.exchangeRaw(get("/page", onV2, closing))
			want := trial.Counts{Requests: 1}
			if test.bad {
				want.Bad, want.BadSessions = 1, 1
			}
			if s := awaitTrial(t, tr, 1); s.candidate != want || s.baseline != (trial.Counts{}) {
				t.Errorf("counted %+v and %+v, want %+v of the candidate", s.candidate, s.baseline, want)
			}
		})
	}
}

// TestTrialLeavesAlone: who did not come by the split is no evidence.
func TestTrialLeavesAlone(t *testing.T) {
	bad := newRecorder(t, always(response(500, "bad")))
	var tr *trial.Trial
	r := newRig(t, map[string]string{"v1": bad.addr, "v2": bad.addr}, onTrial(&tr), func(r *rig) {
		r.listener.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		r.service.Rules = []routing.RuleConfig{
			{Name: "staff", Match: routing.Match{Header: map[string]string{"X-Staff": "1"}}, Version: "v2"},
			{Name: "some", Match: routing.Match{Header: map[string]string{"X-Some": "1"}}, Split: &routing.SplitConfig{Weights: map[string]int{"v2": 1}}},
		}
	})
	for _, request := range []string{
		get("/", "Sluice-Override: web=v2", closing),
		get("/", "X-Staff: 1", closing),
		get("/", "X-Some: 1", closing),
		get("/", "Cookie: sluice_web=0.94f1492df24517ec.v2", closing), // from before the trial
	} {
		r.exchangeRaw(request)
	}
	r.exchangeRaw(get("/", onV2, closing))
	if s := awaitTrial(t, tr, 1); s.candidate.Bad != 1 {
		t.Errorf("counted %+v", s)
	}
}

// TestTrialCountsWhatFailsOver: sessions that the split gave to a version without
// endpoints count against it, and not for the one that answers.
func TestTrialCountsWhatFailsOver(t *testing.T) {
	var tr *trial.Trial
	r := newRig(t, map[string]string{"v1": newRecorder(t, nil).addr, "v2": ""}, onTrial(&tr))
	const n = 40
	for range n {
		r.exchangeRaw(get("/", closing))
	}
	s := awaitTrial(t, tr, n)
	failed := s.candidate.Requests
	if failed == 0 || failed == n || s.candidate != (trial.Counts{Requests: failed, Bad: failed, Sessions: failed, BadSessions: failed}) {
		t.Errorf("the candidate has %+v", s.candidate)
	}
	if s.baseline != (trial.Counts{Requests: n - failed, Sessions: n - failed}) {
		t.Errorf("the baseline has %+v", s.baseline)
	}
	r.exchangeRaw(get("/", onV2, closing))
	if s := awaitTrial(t, tr, 1); s.candidate != (trial.Counts{Requests: 1, Bad: 1, BadSessions: 1}) {
		t.Errorf("a session of the candidate's: %+v", s.candidate)
	}
}

// TestTrialLeavesConnectingOut: a candidate's pool is colder than its baseline's,
// and a new connection is no fault of its version.
func TestTrialLeavesConnectingOut(t *testing.T) {
	t.Parallel()
	past := new(stats.Histogram)
	past.Counts[stats.BucketOf(int64(300*time.Millisecond))] = 1000
	var tr *trial.Trial
	dials := make(chan struct{}, 100)
	r := newRig(t, map[string]string{"v1": newRecorder(t, nil).addr, "v2": newRecorder(t, nil).addr},
		onTrial(&tr, func(c *trial.Config) { c.History = past }), func(r *rig) {
			r.upstream.ConnectTimeout = 5 * time.Second
			r.deps.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				<-time.After(600 * time.Millisecond)
				dials <- struct{}{}
				return new(net.Dialer).DialContext(ctx, network, address)
			}
		})
	r.exchangeRaw(get("/", onV2, closing))
	if s := awaitTrial(t, tr, 1); len(s.events) > 0 || s.candidate != (trial.Counts{Requests: 1}) || len(dials) == 0 {
		t.Errorf("%d dials; counted %+v", len(dials), s)
	}
}

// TestTrialSeesWhatHangs before it ends, and counts it once.
func TestTrialSeesWhatHangs(t *testing.T) {
	asked, done := make(chan struct{}, 1), make(chan struct{})
	b := newRecorder(t, func(c net.Conn, _ *message) bool {
		asked <- struct{}{}
		<-done
		io.WriteString(c, response(500, "late"))
		return true
	})
	var tr *trial.Trial
	r := newRig(t, map[string]string{"v1": b.addr, "v2": b.addr}, onTrial(&tr, func(c *trial.Config) { c.Bad.Latency = time.Minute }))
	c := r.dial()
	io.WriteString(c, get("/", onV2, closing))
	<-asked
	if in := tr.Drain(time.Now()); len(in.Events) > 0 {
		t.Errorf("at once: %v", in.Events)
	}
	in := tr.Drain(time.Now().Add(2 * time.Minute))
	if len(in.Events) != 1 || in.Events[0].X != 1 || in.Candidate.Bad != 1 || in.FailuresInARow != 1 {
		t.Errorf("under way: %+v", in)
	}
	close(done)
	readAll(t, c)
	if s := awaitTrial(t, tr, 1); len(s.events) > 0 || s.candidate.Bad != 0 {
		t.Errorf("ended: %+v", s)
	}
}

// TestTrialForgivesClients that break off, or send what can't be read.
func TestTrialForgivesClients(t *testing.T) {
	asked := make(chan struct{}, 1)
	b := newRecorder(t, func(c net.Conn, _ *message) bool { asked <- struct{}{}; io.Copy(io.Discard, c); return false })
	var tr *trial.Trial
	r := newRig(t, map[string]string{"v1": b.addr, "v2": b.addr}, onTrial(&tr, func(c *trial.Config) { c.Bad.Statuses = []trial.Statuses{{From: 400, To: 599}} }))
	c := r.dial()
	io.WriteString(c, get("/", onV2))
	<-asked
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
	if s := awaitTrial(t, tr, 1); s.candidate.Bad != 0 {
		t.Errorf("a client that leaves: %+v", s)
	}
	r.exchangeRaw("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" + onV2 + "\r\n\r\nnot a length\r\n")
	if s := awaitTrial(t, tr, 1); s.candidate.Bad != 0 {
		t.Errorf("a client that sends nonsense: %+v", s)
	}
}

// TestTrialCountsWhatLastsByItsHead: tunnels and events.
func TestTrialCountsWhatLastsByItsHead(t *testing.T) {
	b := webSocketBackend(t, echoFrames)
	upgrade := b.answer
	b.answer = func(c net.Conn, m *message) bool {
		if m.has("Upgrade") {
			return upgrade(c, m)
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\n")
		io.Copy(io.Discard, c)
		return false
	}
	var tr *trial.Trial
	r := newRig(t, map[string]string{"v1": b.addr}, onTrial(&tr))
	tunnel, events := r.dial(), r.dial()
	io.WriteString(tunnel, upgradeTo)
	io.WriteString(events, get("/events"))
	if s := awaitTrial(t, tr, 2); s.baseline != (trial.Counts{Requests: 2, Sessions: 2}) {
		t.Errorf("counted %+v while they last", s)
	}
}

// TestTrialOverHTTP2: the same hooks, another codec; a tunnel, and gRPC's statuses.
func TestTrialOverHTTP2(t *testing.T) {
	b := upgradeBackend(t, func(c net.Conn) { io.Copy(io.Discard, c) })
	plain := b.answer
	b.answer = func(c net.Conn, m *message) bool {
		if m.has("Upgrade") {
			return plain(c, m)
		}
		fmt.Fprint(c, response(500, ""))
		return true
	}
	var tr *trial.Trial
	r := newRig(t, map[string]string{"v1": b.addr}, onTrial(&tr), h2c)
	c := r.dial2()
	c.connect2(1)
	c.headers(3, true, ":method", "GET", ":scheme", "http", ":authority", "a.example", ":path", "/", "cookie", "sluice_web=1.94f1492df24517ec.v1")
	if s := awaitTrial(t, tr, 2); s.baseline != (trial.Counts{Requests: 2, Sessions: 1, Bad: 1, BadSessions: 1}) {
		t.Errorf("counted %+v", s)
	}
	r.drop(c)
}

// TestTrialWithoutPins: the client is the unit.
func TestTrialWithoutPins(t *testing.T) {
	b := newRecorder(t, always(response(500, "bad")))
	var tr *trial.Trial
	r := newRig(t, map[string]string{"v2": b.addr}, onTrial(&tr), func(r *rig) { r.service.Pin.By = routing.PinNone })
	for range 3 {
		if answer := r.exchangeRaw(get("/", closing)); strings.Contains(answer, "Set-Cookie") {
			t.Fatalf("%q", answer)
		}
	}
	if s := awaitTrial(t, tr, 3); s.candidate != (trial.Counts{Requests: 3, Bad: 3, Sessions: 1, BadSessions: 1}) {
		t.Errorf("counted %+v", s)
	}
}

func TestTrialAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	addr := plainBackend(t, "\r\n\r\n")
	for name, line := range map[string]string{"new sessions": "X-A: b", "a session": "Cookie: sluice_web=1.94f1492df24517ec.v2"} {
		t.Run(name, func(t *testing.T) {
			var tr *trial.Trial
			r := newRig(t, map[string]string{"v1": addr, "v2": addr}, onTrial(&tr))
			a := newAsker(t, r.addr, get("/", line))
			if n := allocsPerRequest(t, a); n > maxAllocs {
				t.Errorf("%.3f allocations a request", n)
			}
			if in := tr.Drain(time.Now()); in.Candidate.Requests+in.Baseline.Requests < 1000 {
				t.Errorf("counted %+v and %+v", in.Candidate, in.Baseline)
			}
		})
	}
}

// BenchmarkProxyGetOnTrial is BenchmarkProxyGet with a version that is on trial.
func BenchmarkProxyGetOnTrial(b *testing.B) {
	addr := plainBackend(b, "\r\n\r\n")
	var tr *trial.Trial
	r := newRig(b, map[string]string{"v1": addr}, onTrial(&tr))
	a := newAsker(b, r.addr, get("/", "Cookie: sluice_web=1.94f1492df24517ec.v1"))
	for range 100 {
		a.ask(b)
	}
	b.ReportAllocs()
	for b.Loop() {
		a.ask(b)
	}
}
