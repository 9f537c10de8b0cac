package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/proxy/accesslog"
	"sluice/proxy/limit"
	"sluice/proxy/upstream"
	"sluice/routing"
	"sluice/stats"
	"sluice/stats/trial"
)

// synthetic sends raw requests over one connection of the server to itself and
// returns all that comes back.
func (r *rig) synthetic(listener, raw string) string {
	r.t.Helper()
	nc, err := r.srv.DialSynthetic(r.t.Context(), listener)
	if err != nil {
		r.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(nc, raw)
	answer, err := io.ReadAll(nc)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(answer)
}

// apart waits until all requests of a version have ended, and fails if any of its
// counters tells of one.
func (r *rig) apart(synthetic uint64, versions ...string) {
	r.t.Helper()
	total := func() (n uint64) {
		for _, v := range versions {
			n += r.stats.Version("web", v).Synthetics()
		}
		return n
	}
	eventually(r.t.(*testing.T), "all are counted apart", func() bool { return total() == synthetic })
	for _, v := range r.stats.Snapshot() {
		if v.Requests+v.InFlight+v.LiveSessions+v.PinsMade+v.PinsMoved+v.PinsVoided+v.Retries+v.FailedOver+v.Hedges+v.Ejections+v.BytesIn+v.BytesOut+v.Overloaded+v.TunnelsOpened > 0 ||
			len(v.Counts)+len(v.UpstreamErrors) > 0 {
			r.t.Errorf("%s: %+v", v.Version, v)
		}
	}
	p := r.stats.Process()
	if len(p.NoRoute)+len(p.Refused)+len(p.OverrideIgnored) > 0 {
		r.t.Errorf("%+v", p)
	}
}

// A synthetic request takes a customer's way, with an override to a dark version,
// and is told who answered; what the endpoint says of that is not believed.
func TestSyntheticTakesTheWayOfCustomers(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, always("HTTP/1.1 200 OK\r\nSluice-Version: forged\r\nSluice-Endpoint: forged\r\nX-App: 1\r\nContent-Length: 2\r\n\r\nhi"))
	server, _ := tlsConfigs(t)
	r := newRig(t, map[string]string{"v1": b.addr, "v2": b.addr}, weights(map[string]int{"v1": 1}), trust("127.0.0.0/8"),
		func(r *rig) { r.listener.TLS, r.listener.HSTS = server, "max-age=1" })
	answer := r.synthetic("test", get("/cart?a=b", "Sluice-Synthetic: checkout", `Sluice-Override: web="v2"`, "Sluice-Client-Identity: forged",
		"X-Forwarded-For: 192.0.2.1", "Connection: close, sluice-synthetic"))
	m := b.one()
	checkFields(t, m, "Sluice-Synthetic", "checkout", "Sluice-Version", "v2", "Sluice-Override", "web=v2", "X-Forwarded-Proto", "https",
		"X-Forwarded-For", "127.0.0.1", "Sluice-Client-Identity", "-", "Via", "1.1 sluice")
	for name, want := range map[string]string{"Sluice-Service": "web", "Sluice-Version": "v2", "Sluice-Endpoint": b.addr, "Sluice-Reason": "override",
		"X-App": "1", "Strict-Transport-Security": "max-age=1"} {
		if got := field(answer, name); got != want || strings.Count(answer, name+":") != 1 {
			t.Errorf("%s: %q, want %q, in %q", name, got, want, answer)
		}
	}
	r.apart(1, "v2")
}

// The same over HTTP/2, as gRPC needs it.
func TestSyntheticOverHTTP2(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, always(response(200, "ok")))
	r := newRig(t, map[string]string{"v1": b.addr})
	tr := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return r.srv.DialSynthetic(ctx, "") }}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(tr.CloseIdleConnections)
	for range 3 {
		res, body := r.get(&http.Client{Transport: tr, Timeout: 30 * time.Second}, "/", "Sluice-Synthetic", "checkout")
		if res.ProtoMajor != 2 || res.StatusCode != 200 || body != "ok" || res.Header.Get("Sluice-Version") != "v1" {
			t.Errorf("%v %q", res, body)
		}
		checkFields(t, b.one(), "Sluice-Synthetic", "checkout")
	}
	r.apart(3, "v1")
}

// Nothing that customers are counted, judged, pinned, limited or refused by hears
// of synthetic requests, whatever becomes of them.
func TestSyntheticCountsForNobody(t *testing.T) {
	t.Parallel()
	bad := newRecorder(t, always(response(503, "no")))
	const gone = "127.0.0.1:1,127.0.0.1:2" // nobody listens
	var tr *trial.Trial
	j := &journal{}
	r := newRig(t, map[string]string{"v1": bad.addr + "," + newRecorder(t, always(response(503, "no"))).addr, "v2": gone}, onTrial(&tr), j.logged(AccessErrors, accesslog.Layout{}), func(r *rig) {
		r.upstream.Outlier = upstream.OutlierConfig{Consecutive: 1, Base: time.Hour, MaxPercent: 100}
		r.listener.ClientRate = limit.Rate{PerSecond: 1e-4, Burst: 1}
		r.settings.Rates = NewRates(limit.Rate{PerSecond: 1e-4, Burst: 1}, limit.Rate{PerSecond: 1e-4, Burst: 1})
		r.listener.BodyBytes = 10
		r.keys = []routing.Key{{ID: "k", Secret: make([]byte, 32)}}
		r.service.Pin = routing.PinConfig{By: routing.PinAppCookie, Name: "sid", TTL: time.Hour}
		r.service.Pins = routing.NewPinTable(100)
	})
	for i := range 20 {
		answer := r.synthetic("", get(fmt.Sprint("/", i), "Sluice-Synthetic: checkout", "Sluice-Token: rubbish", fmt.Sprintf("Cookie: sid=s%d", i), closing))
		if s := statuses(answer); s != "503" && s != "502" || field(answer, "Sluice-Endpoint") == "" {
			t.Errorf("answered %q", answer)
		}
	}
	if s := statuses(r.synthetic("", post("hello, world", "Content-Length: 12", closing))); s != "413" {
		t.Errorf("answered %s", s)
	}
	if s := statuses(r.synthetic("", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n")); s != "400" {
		t.Errorf("answered %s", s)
	}
	r.apart(20, "v1", "v2")
	if in := tr.Drain(time.Now()); in.Candidate.Requests+in.Baseline.Requests != 0 || len(in.Events) > 0 {
		t.Errorf("the trial saw %+v", in)
	}
	if n := r.service.Pins.Len(); n != 0 {
		t.Errorf("%d pins are remembered", n)
	}
	for v, c := range r.clusters {
		if healthy, known := c.Counts(); healthy != known {
			t.Errorf("%s: %d of %d", v, healthy, known)
		}
	}
	eventually(t, "the log tells of them", func() bool { return j.count() >= 20 })
	for _, line := range j.lines()[:20] {
		if !strings.Contains(line, `"synthetic":"checkout"`) || !strings.Contains(line, `"client":"127.0.0.1"`) {
			t.Error(line)
		}
	}
	// The next is a customer's, whose rate is still there, and of whom the endpoint is to blame.
	r.exchangeRaw(get("/", "Cookie: sid=s1", closing))
	if n := r.service.Pins.Len(); n != 1 {
		t.Errorf("%d pins are remembered", n)
	}
}

// Who is not trusted can't say that its requests are synthetic; who is, may.
func TestSyntheticFromOutside(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, always(response(200, "ok")))
	for trusted, network := range map[bool]string{false: "192.0.2.0/24", true: "127.0.0.0/8"} {
		r := newRig(t, map[string]string{"v1": b.addr}, trust(network))
		answer := r.exchangeRaw(get("/", "sluice-SYNTHETIC: checkout", closing))
		want := "-"
		if trusted {
			want = "checkout"
		}
		checkFields(t, b.one(), "Sluice-Synthetic", want)
		if strings.Contains(answer, "Sluice-") {
			t.Errorf("told %q", answer)
		}
		if trusted {
			r.apart(1, "v1")
		} else {
			eventually(t, "it is counted", func() bool { return r.of("v1").Requests == 1 })
			if n := r.stats.Version("web", "v1").Synthetics(); n != 0 {
				t.Error(n)
			}
		}
	}
}

// A customer's retries and ejections are as ever: what is synthetic takes a
// connection from the pool and gives it back.
func TestSyntheticConnectionsArePooled(t *testing.T) {
	t.Parallel()
	var opened int
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened++ // the server's accept loop alone is here
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	r := newRig(t, map[string]string{"v1": strings.TrimPrefix(s.URL, "http://")})
	for range 5 {
		r.synthetic("", get("/", closing))
		r.exchangeRaw(get("/", closing))
	}
	if opened != 1 {
		t.Errorf("%d connections", opened)
	}
}

// Without a name, the listener is taken that serves as customers are served.
func TestSyntheticListeners(t *testing.T) {
	t.Parallel()
	server, _ := tlsConfigs(t)
	r := newRig(t, map[string]string{"v1": newRecorder(t, always(response(200, "ok"))).addr})
	redirecting := ListenerConfig{Name: "a-redirects", Address: "127.0.0.1:0", RedirectHTTPS: 443}
	plain := ListenerConfig{Name: "b-plain", Address: "127.0.0.1:0"}
	secure := ListenerConfig{Name: "c-secure", Address: "127.0.0.1:0", TLS: server}
	for _, test := range []struct {
		open []ListenerConfig
		want string
	}{
		{[]ListenerConfig{redirecting}, "a-redirects"},
		{[]ListenerConfig{plain, redirecting}, "b-plain"},
		{[]ListenerConfig{plain, secure, redirecting}, "c-secure"},
	} {
		if err := r.srv.Listen(test.open); err != nil {
			t.Fatal(err)
		}
		if l, err := r.srv.listenerFor(""); err != nil || l.config.Load().Name != test.want {
			t.Errorf("%v, %v, want %s", l.config.Load().Name, err, test.want)
		}
	}
	if s := statuses(r.synthetic("a-redirects", get("/", closing))); s != "308" {
		t.Errorf("answered %s", s)
	}
	if _, err := r.srv.DialSynthetic(t.Context(), "d"); err == nil || err.Error() != `proxy: no listener is named "d"` {
		t.Error(err)
	}
}

// A request under way is finished by a server that stops; after that none begins.
func TestSyntheticAndTheEnd(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-answer
		io.WriteString(w, "late")
	}))
	t.Cleanup(s.Close)
	srv := New(Options{Stats: stats.New(stats.Options{}), OverloadTarget: -1})
	if nc, err := srv.DialSynthetic(t.Context(), ""); err == nil || err.Error() != "proxy: no listener is open" {
		t.Error(nc, err)
	}
	r := newRig(t, map[string]string{"v1": strings.TrimPrefix(s.URL, "http://")})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.srv.DialSynthetic(gone, ""); err != context.Canceled {
		t.Error(err)
	}
	got := make(chan string)
	go func() { got <- r.synthetic("", get("/")) }()
	<-asked
	ended := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		ended <- r.srv.Shutdown(ctx)
	}()
	eventually(t, "no more are taken", func() bool {
		nc, err := r.srv.DialSynthetic(context.Background(), "")
		if err == nil {
			nc.Close()
		}
		return err != nil
	})
	close(answer)
	if text := <-got; statuses(text) != "200" || !strings.HasSuffix(text, "late") {
		t.Errorf("answered %q", text)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Overload refuses customers, and no journey: it would tell of the version what is
// the load's.
func TestSyntheticUnderOverload(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, always(response(200, "ok")))
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) {
		r.options.OverloadTarget = DefaultOverloadTarget
		r.options.probe = func() (time.Duration, error) { return time.Second, nil }
		r.options.load = func() int { return overloadFloor }
	})
	eventually(t, "hardly any request is admitted", func() bool { return r.stats.Edge().Admitted < 0.05 })
	for range 20 {
		if answer := r.synthetic("", get("/", closing)); statuses(answer) != "200" {
			t.Errorf("answered %q", answer)
		}
	}
	if n := r.stats.Edge().Shed; n != 0 {
		t.Errorf("%d are shed", n)
	}
	r.apart(20, "v1")
}

// Copies are made of customers' requests alone.
func TestSyntheticIsNotCopied(t *testing.T) {
	t.Parallel()
	b, to := newRecorder(t, always(response(200, "ok"))), newRecorder(t, always(response(200, "ok")))
	r := newRig(t, map[string]string{"v1": b.addr, "v2": to.addr}, weights(map[string]int{"v1": 1}))
	table := r.table()
	table.Targets[0].Shadow = &Shadow{To: 1, Share: 1}
	r.srv.Swap(table)
	for range 10 {
		r.synthetic("", get("/", closing))
	}
	r.exchangeRaw(get("/copied", closing))
	eventually(t, "the customer's is copied", func() bool {
		seen, _ := to.take()
		for _, m := range seen {
			if m.target != "/copied" {
				t.Errorf("copied %s", m.target)
			}
		}
		return len(seen) > 0
	})
}

// Whoever leaves a synthetic request in the middle leaves nothing behind, here or
// at the endpoint.
func TestSyntheticIsGivenUp(t *testing.T) {
	t.Parallel()
	left := make(chan struct{})
	asked := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		close(asked)
		<-req.Context().Done()
		close(left)
	}))
	t.Cleanup(s.Close)
	r := newRig(t, map[string]string{"v1": strings.TrimPrefix(s.URL, "http://")})
	nc, err := r.srv.DialSynthetic(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(nc, get("/"))
	<-asked
	nc.Close()
	select {
	case <-left:
	case <-time.After(30 * time.Second):
		t.Error("the endpoint still answers")
	}
	r.apart(1, "v1")
}

// A peer that is synthetic is the client, whoever the listener trusts.
func TestSyntheticPeer(t *testing.T) {
	p := syntheticPeer(&ListenerConfig{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, 1)
	if p.trusted || p.countsAlone() || p.vouches() || p.addr.Addr().String() != "127.0.0.1" {
		t.Errorf("%+v", p)
	}
}
