package proxy

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/proxy/head"
	"sluice/routing"
	"sluice/stats/trial"
)

// told is what shadows told, kept.
type told struct {
	mu    sync.Mutex
	pairs []ShadowPair
}

// take is a Shadow's Tell.
func (k *told) take(p *ShadowPair) {
	clone := func(a ShadowAnswer) ShadowAnswer {
		fields := make([]head.Field, len(a.Fields))
		for i, f := range a.Fields {
			fields[i] = head.Field{ID: f.ID, Name: strings.Clone(f.Name), Value: strings.Clone(f.Value)}
		}
		a.Fields, a.Body = fields, []byte(string(a.Body))
		return a
	}
	c := ShadowPair{Service: strings.Clone(p.Service), Method: strings.Clone(p.Method), Path: strings.Clone(p.Path),
		Baseline: clone(p.Baseline), Candidate: clone(p.Candidate)}
	if p.Again != nil {
		again := clone(*p.Again)
		c.Again = &again
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.pairs = append(k.pairs, c)
}

// len returns how many pairs were told.
func (k *told) len() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.pairs)
}

// await waits for so many pairs, and returns and forgets them.
func (k *told) await(t *testing.T, n int) []ShadowPair {
	t.Helper()
	eventually(t, fmt.Sprintf("%d answers were told", n), func() bool { return k.len() >= n })
	k.mu.Lock()
	defer k.mu.Unlock()
	pairs := k.pairs
	k.pairs = nil
	if len(pairs) != n {
		t.Fatalf("%d answers were told, not %d", len(pairs), n)
	}
	return pairs
}

// one is await for one pair.
func (k *told) one(t *testing.T) ShadowPair {
	t.Helper()
	return k.await(t, 1)[0]
}

// shadowsV1 copies what v1 answers to v2, which is dark, and has it told to k.
func shadowsV1(k *told, change ...func(*Shadow)) option {
	return func(r *rig) {
		s := &Shadow{To: 1, Share: 1, Timeout: 20 * time.Second, Tell: k.take}
		for _, c := range change {
			c(s)
		}
		r.shadows = map[string]*Shadow{"v1": s}
		r.service.Versions[1].Weight = 0
		r.upstream.Outlier.Disabled = true
		r.settings.Retries = -1
	}
}

// fates returns what became of the copies to a version.
func (r *rig) fates(version string) map[string]uint64 { return r.of(version).Shadows }

// awaitFates waits until copies to v2 have come to what is wanted.
func (r *rig) awaitFates(t *testing.T, want map[string]uint64) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !maps.Equal(r.fates("v2"), want); <-time.After(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("copies came to %v, want %v", r.fates("v2"), want)
		}
	}
}

// TestRequestIsCopied: the candidate gets what the baseline got, but for what is
// the version's, and the answers are told as they came.
func TestRequestIsCopied(t *testing.T) {
	v1 := newRecorder(t, always(response(200, "hello", "X-Version: 1", "Connection: X-Hop", "X-Hop: y")))
	v2 := newRecorder(t, always(response(404, "goodbye", "X-Version: 2", "Connection: X-Hop", "X-Hop: y")))
	k := new(told)
	r := newRig(t, map[string]string{"v1": v1.addr, "v2": v2.addr}, shadowsV1(k, func(s *Shadow) { s.Again = true }))
	res, body := r.get(client(t), "/a/b?c=d", "X-Mine", "1", "Cookie", "a=b", "Sluice-Shadow", "no", "Traceparent",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if res.StatusCode != 200 || body != "hello" {
		t.Fatalf("the customer got %d %q", res.StatusCode, body)
	}
	p := k.one(t)
	if p.Service != "web" || p.Method != "GET" || p.Path != "/a/b" {
		t.Errorf("told of %s %s %s", p.Service, p.Method, p.Path)
	}
	for _, test := range []struct {
		got           ShadowAnswer
		version, body string
		status        int
		field         string
	}{{p.Baseline, "v1", "hello", 200, "1"}, {p.Candidate, "v2", "goodbye", 404, "2"}, {*p.Again, "v1", "hello", 200, "1"}} {
		a := test.got
		res := head.Response{Fields: a.Fields}
		field, _ := res.Get("x-version")
		_, hop := res.Get("x-hop")
		if a.Version != test.version || a.Status != test.status || string(a.Body) != test.body || a.Cut || a.Failure != "" || field != test.field || hop || a.Took <= 0 {
			t.Errorf("told of %+v (%q), want %+v", a, a.Body, test)
		}
	}
	seen, _ := v1.take()
	if len(seen) != 2 {
		t.Fatalf("v1 was asked %d times", len(seen))
	}
	customers, again, copied := seen[0], seen[1], v2.one()
	for _, m := range []message{again, copied} {
		if m.target != "/a/b?c=d" || m.get("host") != r.addr || m.get("sluice-shadow") != "1" || m.get("traceparent") != "" {
			t.Errorf("a copy asks for %s of %s: %v", m.target, m.get("host"), m.fields)
		}
		for _, name := range []string{"x-mine", "cookie", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "via", "x-request-id", "user-agent", "accept-encoding"} {
			if m.get(name) == "" || m.get(name) != customers.get(name) {
				t.Errorf("a copy has %s %q, the customer's has %q", name, m.get(name), customers.get(name))
			}
		}
	}
	if customers.get("sluice-shadow") != "" || customers.get("traceparent") == "" {
		t.Errorf("the customer's request has %v", customers.fields)
	}
	if v := copied.get("sluice-version"); v != "v2" || again.get("sluice-version") != "v1" {
		t.Errorf("a copy says it is for %s", v)
	}
	r.awaitFates(t, map[string]uint64{"answered": 1})
	if got := r.fates("v1"); got["answered"] != 1 {
		t.Errorf("second copies came to %v", got)
	}
}

// TestCopiesCountNowhere: neither in statistics nor in a trial, nor do they make
// pins.
func TestCopiesCountNowhere(t *testing.T) {
	bad := newRecorder(t, always(response(500, "bad", "Set-Cookie: a=b")))
	var tr *trial.Trial
	k := new(told)
	r := newRig(t, map[string]string{"v1": newRecorder(t, nil).addr, "v2": bad.addr}, onTrial(&tr), shadowsV1(k))
	const n = 20
	for range n {
		if answer := r.exchangeRaw(get("/", closing)); statuses(answer) != "200" || strings.Contains(answer, "a=b") {
			t.Fatalf("a customer got %q", answer)
		}
	}
	k.await(t, n)
	r.awaitFates(t, map[string]uint64{"answered": n})
	if s := awaitTrial(t, tr, n); s.candidate != (trial.Counts{}) {
		t.Errorf("the trial saw %+v", s)
	}
	if v := r.of("v2"); v.Requests != 0 || v.InFlight != 0 || v.PinsMade != 0 || v.LiveSessions != 0 || len(v.Counts) > 0 || len(v.UpstreamErrors) > 0 {
		t.Errorf("copies count: %+v", v)
	}
	if v := r.of("v1"); v.Requests != n {
		t.Errorf("%d requests of v1", v.Requests)
	}
	if st := r.clusters["v2"].Status()[0]; st.Failures != 0 || st.Active != 0 || r.clusters["v2"].InUse() != 0 {
		t.Errorf("copies count at the endpoint: %+v", st)
	}
}

// TestWhatIsCopied: by method, rule, share, and who asks.
func TestWhatIsCopied(t *testing.T) {
	matcher, err := routing.NewMatcher("match", routing.Match{Path: "/api"})
	if err != nil {
		t.Fatal(err)
	}
	trusting := func(r *rig) { r.listener.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }
	for name, test := range map[string]struct {
		request string
		shadow  func(*Shadow)
		copied  bool
		option  option
	}{
		"GET":                            {get("/", closing), nil, true, nil},
		"HEAD":                           {strings.Replace(get("/", closing), "GET", "HEAD", 1), nil, true, nil},
		"OPTIONS":                        {strings.Replace(get("/", closing), "GET", "OPTIONS", 1), nil, true, nil},
		"OPTIONS of the server":          {strings.Replace(get("*", closing), "GET", "OPTIONS", 1), nil, true, nil},
		"POST":                           {post("hello", "Content-Length: 5", closing), nil, false, nil},
		"POST by name":                   {post("hello", "Content-Length: 5", closing), func(s *Shadow) { s.Methods = []string{"POST"} }, true, nil},
		"GET, not named":                 {get("/", closing), func(s *Shadow) { s.Methods = []string{"POST"} }, false, nil},
		"a rule that takes it":           {get("/api/x", closing), func(s *Shadow) { s.Match = matcher }, true, nil},
		"a rule that does not":           {get("/x", closing), func(s *Shadow) { s.Match = matcher }, false, nil},
		"no share":                       {get("/", closing), func(s *Shadow) { s.Share = 0 }, false, nil},
		"a share that is none":           {get("/", closing), func(s *Shadow) { s.Share = -1 }, false, nil},
		"to itself":                      {get("/", closing), func(s *Shadow) { s.To = 0 }, false, nil},
		"to nobody":                      {get("/", closing), func(s *Shadow) { s.To = 7 }, false, nil},
		"to nothing":                     {get("/", closing), func(s *Shadow) { s.To = -1 }, false, nil},
		"a copy, as a stranger says":     {get("/", "Sluice-Shadow: 1", closing), nil, true, nil},
		"a copy, as a trusted peer says": {get("/", "Sluice-Shadow: 1", closing), nil, false, trusting},
		"of a trusted peer":              {get("/", closing), nil, true, trusting},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v1, v2 := newRecorder(t, nil), newRecorder(t, nil)
			k := new(told)
			options := []option{shadowsV1(k)}
			if test.shadow != nil {
				options = append(options, shadowsV1(k, test.shadow))
			}
			if test.option != nil {
				options = append(options, test.option)
			}
			r := newRig(t, map[string]string{"v1": v1.addr, "v2": v2.addr}, options...)
			if s := statuses(r.exchangeRaw(test.request)); s != "200" {
				t.Fatalf("the customer got %q", s)
			}
			asked := v1.one()
			if !test.copied {
				r.srv.shadows.tasks.Wait()
				if seen, _ := v2.take(); len(seen) > 0 || len(r.fates("v2")) > 0 {
					t.Errorf("it was copied: %v, %v", seen, r.fates("v2"))
				}
				return
			}
			k.one(t)
			if m := v2.one(); m.method != asked.method || m.target != asked.target || m.body != asked.body {
				t.Errorf("copied as %v, want %v", m, asked)
			}
		})
	}
}

// TestCopyOfACopyIsNotOnTrial: a proxy behind another passes the mark on and
// counts the copy in no trial.
func TestCopyOfACopyIsNotOnTrial(t *testing.T) {
	v1 := newRecorder(t, nil)
	var tr *trial.Trial
	r := newRig(t, map[string]string{"v1": v1.addr, "v2": v1.addr}, onTrial(&tr), func(r *rig) {
		r.listener.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	r.exchangeRaw(get("/", onV2, "Sluice-Shadow: 1", closing))
	if m := v1.one(); m.get("sluice-shadow") != "1" {
		t.Errorf("the mark is lost: %v", m.fields)
	}
	r.exchangeRaw(get("/", onV2, closing))
	if s := awaitTrial(t, tr, 1); s.candidate.Requests != 1 {
		t.Errorf("counted %+v", s)
	}
}

// TestShareIsDrawn: about as many are copied as the share says, whatever the split
// drew.
func TestShareIsDrawn(t *testing.T) {
	v1, v2 := newRecorder(t, nil), newRecorder(t, nil)
	k := new(told)
	r := newRig(t, map[string]string{"v1": v1.addr, "v2": v2.addr}, shadowsV1(k, func(s *Shadow) { s.Share = 0.25 }))
	c := client(t)
	const n = 1000
	for range n {
		r.get(c, "/")
	}
	r.srv.shadows.tasks.Wait()
	// The standard deviation is 14.
	if got := k.len(); got < n/4-100 || got > n/4+100 {
		t.Errorf("%d of %d requests were copied, want a quarter", got, n)
	}
}

// TestAnswersThatAreNotCompared: what did not come whole from the version itself,
// or lasts.
func TestAnswersThatAreNotCompared(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(net.Conn, *message) bool
		option option
	}{
		"events":     {last("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"), nil},
		"broken off": {last("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), nil},
		"none":       {func(net.Conn, *message) bool { return false }, nil},
		"malformed":  {last("nonsense\r\n\r\n"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v2 := newRecorder(t, nil)
			k := new(told)
			options := []option{shadowsV1(k)}
			if test.option != nil {
				options = append(options, test.option)
			}
			r := newRig(t, map[string]string{"v1": newRecorder(t, test.answer).addr, "v2": v2.addr}, options...)
			r.exchangeRaw(get("/", closing))
			r.awaitFates(t, map[string]uint64{"baseline": 1})
			if seen, _ := v2.take(); len(seen) > 0 {
				t.Errorf("it was copied: %v", seen)
			}
		})
	}
}

// TestShieldedAnswersAreNotCompared: they are another version's.
func TestShieldedAnswersAreNotCompared(t *testing.T) {
	good := newRecorder(t, nil)
	bad := newRecorder(t, always(response(503, "no")))
	k := new(told)
	r := newRig(t, map[string]string{"v1": good.addr, "v2": bad.addr, "v3": good.addr}, shield(), func(r *rig) {
		r.shadows = map[string]*Shadow{"v2": {To: 2, Share: 1, Tell: k.take}}
		r.upstream.Outlier.Disabled = true
	})
	if s := statuses(r.exchangeRaw(get("/", onV2, closing))); s != "200" {
		t.Fatalf("the customer got %q", s)
	}
	eventually(t, "the copy was dropped", func() bool { return r.of("v3").Shadows["baseline"] == 1 })
}

// TestTunnelsAreNotCopied.
func TestTunnelsAreNotCopied(t *testing.T) {
	v1 := newRecorder(t, nil)
	v1.answer = func(c net.Conn, _ *message) bool {
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nbye")
		return false
	}
	v2 := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": v1.addr, "v2": v2.addr}, shadowsV1(new(told)))
	if s := r.exchangeRaw(get("/", "Connection: upgrade", "Upgrade: echo")); !strings.HasSuffix(s, "bye") {
		t.Fatalf("got %q", s)
	}
	r.srv.shadows.tasks.Wait()
	if seen, _ := v2.take(); len(seen) > 0 || len(r.fates("v2")) > 0 {
		t.Errorf("a tunnel was copied: %v, %v", seen, r.fates("v2"))
	}
}

// TestClientsOfHTTP2AreCopied, to endpoints of HTTP/2.
func TestClientsOfHTTP2AreCopied(t *testing.T) {
	k := new(told)
	start := func(version string) string {
		return backend2(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s %s %s %q %s", version, r.Proto, r.Method, r.Host, r.URL.Path, body, r.Header.Get("Sluice-Shadow"))
		})
	}
	r := newRig(t, map[string]string{"v1": start("v1"), "v2": start("v2")}, h2c, speaksHTTP2,
		shadowsV1(k, func(s *Shadow) { s.Methods, s.Again = []string{"GET", "POST"}, true }))
	c := client2(t, nil)
	const rounds = 20
	for range rounds {
		for _, body := range []string{"", "hello"} {
			req, err := http.NewRequest("POST", "http://"+r.addr+"/x", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf("HTTP/2.0 POST %s /x %q ", r.addr, body)
			if _, got := r.do(c, req); got != "v1 "+want {
				t.Fatalf("the customer got %q, want %q", got, want)
			}
			p := k.one(t)
			if string(p.Baseline.Body) != "v1 "+want || string(p.Candidate.Body) != "v2 "+want+"1" || string(p.Again.Body) != "v1 "+want+"1" {
				t.Fatalf("told of %q, %q and %q", p.Baseline.Body, p.Candidate.Body, p.Again.Body)
			}
		}
	}
	if n := r.clusters["v2"].Status()[0].Connections; n != 1 {
		t.Errorf("%d connections for the copies", n)
	}
}

// TestCopyFollowsTheAnswer: the candidate hears of a request when its customer has
// the whole answer, and not before.
func TestCopyFollowsTheAnswer(t *testing.T) {
	halfway, on := make(chan struct{}), make(chan struct{})
	v1 := newRecorder(t, func(c net.Conn, _ *message) bool {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
		close(halfway)
		<-on
		_, err := io.WriteString(c, "world")
		return err == nil
	})
	v2 := newRecorder(t, nil)
	k := new(told)
	r := newRig(t, map[string]string{"v1": v1.addr, "v2": v2.addr}, shadowsV1(k))
	c := r.dial()
	io.WriteString(c, get("/"))
	until(t, c, "hello")
	<-halfway
	if n := r.srv.shadows.copies.used.Load(); n != 0 || v2.connections() != 0 {
		t.Errorf("%d copies are under way before the answer is", n)
	}
	close(on)
	until(t, c, "world")
	if p := k.one(t); string(p.Baseline.Body) != "helloworld" {
		t.Errorf("told of %q", p.Baseline.Body)
	}
	v2.one()
}
