package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/bench/peers"
	"sluice/bench/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeProxy answers as a proxy would whose weights are all on one version or
// on both. Its faults are switched on by tests.
type fakeProxy struct {
	winner atomic.Pointer[string]
	// lag is how many requests the old winner still answers after a flip was
	// acknowledged.
	lag   int64
	stale atomic.Int64
	old   atomic.Pointer[string]
	// refuseFrom is the number of the first flip that is refused; 0: none.
	refuseFrom int64
	flips      atomic.Int64
	noPins     bool
}

func (p *fakeProxy) serve(w http.ResponseWriter, r *http.Request) {
	version := *p.winner.Load()
	if p.stale.Add(-1) >= 0 {
		version = *p.old.Load()
	}
	w.Header().Set("Answered-By", version)
	if !p.noPins {
		http.SetCookie(w, &http.Cookie{Name: peers.CookieName, Value: version})
	}
	_, _ = w.Write([]byte("ok"))
}

func (p *fakeProxy) admin(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Weights map[string]int
		Pins    string
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Method != http.MethodPut || r.URL.Path != "/v1/services/web/weights" || body.Pins != "move" {
		http.Error(w, fmt.Sprint(r.Method, r.URL, body, err), http.StatusBadRequest)
		return
	}
	if n := p.flips.Add(1); p.refuseFrom != 0 && n >= p.refuseFrom {
		http.Error(w, "weights.v2: refused", http.StatusConflict)
		return
	}
	winner := "v1"
	if body.Weights["v2"] > body.Weights["v1"] {
		winner = "v2"
	}
	p.old.Store(p.winner.Swap(&winner))
	p.stale.Store(p.lag)
}

// drillOf starts the fake and returns a drill of 20 flips through it.
func drillOf(t *testing.T, p *fakeProxy) drill {
	t.Helper()
	first := "v1"
	p.winner.Store(&first)
	proxy := httptest.NewServer(http.HandlerFunc(p.serve))
	admin := httptest.NewServer(http.HandlerFunc(p.admin))
	c := newControl(admin.Listener.Addr().String(), "web")
	t.Cleanup(func() {
		c.client.CloseIdleConnections()
		proxy.Close()
		admin.Close()
	})
	return drill{Proxy: proxy.Listener.Addr().String(), Control: c, Flips: 20, Span: 100 * time.Millisecond, Checks: 2, Tracers: 2}
}

func TestAGoodProxyPasses(t *testing.T) {
	a := drillOf(t, &fakeProxy{}).run(t.Context())
	l := judge(a)
	if first, n := a.Failures.list(); n != 0 {
		t.Errorf("%d failures: %v", n, first)
	}
	// 20 flips, 4 of them partial.
	if len(a.Flips) != 20 || a.New != 32 || a.Pinned != 16 || len(l.Ack) != 20 || len(a.Traces) == 0 {
		t.Errorf("%d flips, %d and %d checks, %d latencies, %d traces", len(a.Flips), a.New, a.Pinned, len(l.Ack), len(a.Traces))
	}
}

func TestFaultsAreFound(t *testing.T) {
	for _, tc := range []struct {
		name  string
		proxy *fakeProxy
		want  string
	}{
		{"old version after the acknowledgement", &fakeProxy{lag: 1000}, "a new session went to v1"},
		{"refused flip", &fakeProxy{refuseFrom: 3}, "flip 3 to {V1:0 V2:100}: PUT /v1/services/web/weights: 409 Conflict: weights.v2: refused"},
		{"no pins", &fakeProxy{noPins: true}, "the answer sets no pin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := drillOf(t, tc.proxy).run(t.Context())
			first, _ := a.Failures.list()
			if !strings.Contains(strings.Join(first, "\n"), tc.want) {
				t.Errorf("failures %q, want %q", first, tc.want)
			}
		})
	}
}

func TestADrillStopsWithItsContext(t *testing.T) {
	d := drillOf(t, &fakeProxy{})
	d.Flips, d.Span = 1000, time.Hour
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(fmt.Errorf("interrupted"))
	a := d.run(ctx)
	if _, n := a.Failures.list(); n == 0 || len(a.Flips) > 1 {
		t.Errorf("%d flips and %d failures after the end of the context", len(a.Flips), n)
	}
}

func TestJudge(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	flips := []flip{
		{Weights: peers.Weights{V2: 100}, Call: at(100), Ack: at(110)},
		{Weights: peers.Weights{V1: 50, V2: 50}, Call: at(200), Ack: at(205)},
		{Weights: peers.Weights{V1: 100}, Call: at(300), Ack: at(302)},
	}
	good := []trace{
		{at(90), at(95), "v1"},
		{at(99), at(104), "v1"},  // under way at the call
		{at(103), at(108), "v1"}, // sent before the acknowledgement
		{at(111), at(112), "v2"},
		{at(190), at(210), "v1"}, // under way at the next call: may belong to it
		{at(220), at(221), "v1"}, // partial: both may answer
		{at(222), at(223), "v2"},
		{at(310), at(311), "v1"},
	}
	a := &account{Flips: flips, Traces: good}
	l := judge(a)
	if first, n := a.Failures.list(); n != 0 {
		t.Errorf("%d failures: %v", n, first)
	}
	if len(l.LastSent) != 1 || l.LastSent[0] != 3*time.Millisecond || l.LastGot[0] != 8*time.Millisecond {
		t.Errorf("last decision by the old table between %v and %v, want 3ms and 8ms", l.LastSent, l.LastGot)
	}
	if l.Ack[0] != 10*time.Millisecond || l.Ack[2] != 2*time.Millisecond {
		t.Errorf("acknowledgements %v", l.Ack)
	}
	for _, bad := range []trace{{at(115), at(120), "v1"}, {at(303), at(304), "v2"}} {
		a := &account{Flips: flips, Traces: append([]trace{bad}, good...)}
		judge(a)
		if first, n := a.Failures.list(); n != 1 {
			t.Errorf("trace %v: failures %v, want one", bad, first)
		}
	}
}

func TestWeightsOf(t *testing.T) {
	last := ""
	partial := 0
	for i := range 1000 {
		w := weightsOf(i)
		if w.V1+w.V2 != 100 {
			t.Fatalf("flip %d: %+v", i, w)
		}
		winner := flip{Weights: w}.Winner()
		if winner == "" {
			partial++
		} else if winner == last {
			t.Fatalf("flip %d changes nothing", i)
		}
		last = winner
	}
	if partial != 200 {
		t.Errorf("%d partial flips, want 200", partial)
	}
}

func TestQuantiles(t *testing.T) {
	var values []time.Duration
	for i := 100; i >= 0; i-- {
		values = append(values, time.Duration(i)*time.Millisecond)
	}
	if got, want := quantiles(values), "p50 50ms, p90 90ms, p99 99ms, max 100ms (101 flips)"; got != want {
		t.Errorf("quantiles = %s, want %s", got, want)
	}
	if got := quantiles(nil); got != "none seen" {
		t.Errorf("quantiles of nothing = %s", got)
	}
}

func TestConclusion(t *testing.T) {
	f := flip{Call: time.Unix(0, 0), Ack: time.Unix(0, 5e6)}
	good := func() summary {
		return summary{Options: options{flips: 1, span: time.Second, out: filepath.Join(t.TempDir(), "FLIPS.md")},
			Account: &account{Flips: []flip{f}}, Loads: map[string]rig.Result{"wrk-new": {Requests: 7}}}
	}
	if err := good().conclude(&failures{}); err != nil {
		t.Error(err)
	}
	slow := good()
	slow.Account.Flips[0].Ack = time.Unix(3, 0)
	few := good()
	few.Options.flips = 2
	var curl failures
	curl.add("curl: 502")
	for name, err := range map[string]error{
		"too slow": slow.conclude(&failures{}), "too few": few.conclude(&failures{}), "curl failed": good().conclude(&curl),
	} {
		if err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFlagsNameTheBinary(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"", "the path of the sluice binary is needed"},
		{"/no/such/sluice", "make build"},
		{"-flips 0 /bin/sh", "-flips is 2 or more"},
	} {
		if _, err := parseFlags(strings.Fields(tc.args)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error = %v, want %q", tc.args, err, tc.want)
		}
	}
	if o, err := parseFlags([]string{"/bin/sh"}); err != nil || o.flips != 1000 || o.span != time.Minute {
		t.Errorf("defaults: %+v, %v", o, err)
	}
}
