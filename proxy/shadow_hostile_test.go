package proxy

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/proxy/upstream"
)

// forever writes a text until it can't.
func forever(c net.Conn, text string) {
	for {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
	}
}

// idle reports whether no copy is under way and nothing is held for one.
func (s *shadows) idle() bool { return s.copies.used.Load() == 0 && s.bytes.used.Load() == 0 }

// awaitIdle waits until all copies have ended, and given everything back.
func (r *rig) awaitIdle(t *testing.T) {
	t.Helper()
	eventually(t, "all copies have ended", r.srv.shadows.idle)
	for _, target := range r.srv.Table().Targets {
		if n := target.shadows.copies.Load() + target.shadows.bytes.Load(); n != 0 {
			t.Errorf("%d is left in use for %s", n, target.name)
		}
	}
}

// TestCandidatesThatFail: whatever a candidate does, the customer has an answer as
// ever, and the copy's failure is told, bounded in time and memory.
func TestCandidatesThatFail(t *testing.T) {
	const body = 256 << 10
	hang := func(c net.Conn, _ *message) bool { io.Copy(io.Discard, c); return false }
	endless := func(before, text string) func(net.Conn, *message) bool {
		return func(c net.Conn, _ *message) bool {
			io.WriteString(c, before)
			forever(c, text)
			return false
		}
	}
	big := strings.Repeat("x", 32<<10)
	for name, test := range map[string]struct {
		answer  func(net.Conn, *message) bool // nil: nobody listens
		failure string                        // "": answered
		status  int
		cut     bool
	}{
		"hangs":             {hang, shadowTimedOut, 0, false},
		"hangs in the head": {func(c net.Conn, m *message) bool { io.WriteString(c, "HTTP/1.1 200 OK\r\nX: "); return hang(c, m) }, shadowTimedOut, 0, false},
		"hangs in the body": {func(c net.Conn, m *message) bool {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
			return hang(c, m)
		}, shadowTimedOut, 200, true},
		"nobody listens":             {nil, "the endpoint can't be reached", 0, false},
		"closes":                     {func(net.Conn, *message) bool { return false }, shadowBroken, 0, false},
		"resets":                     {func(c net.Conn, _ *message) bool { c.(*net.TCPConn).SetLinger(0); return false }, shadowBroken, 0, false},
		"breaks off":                 {last("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), shadowBroken, 200, true},
		"breaks off a chunk":         {last("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"), shadowBroken, 200, true},
		"speaks nonsense":            {last("nonsense\r\n\r\n"), "it is malformed: ", 0, false},
		"a malformed chunk":          {last("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), "it is malformed: ", 200, true},
		"two lengths":                {last("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), "it is malformed: ", 0, false},
		"upgrades unasked":           {last("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"), "it is malformed: ", 0, false},
		"a head without end":         {endless("HTTP/1.1 200 OK\r\nX: ", big), "it is malformed: ", 0, false},
		"fields without end":         {endless("HTTP/1.1 200 OK\r\n", "X: y\r\n"), "it is malformed: ", 0, false},
		"interim answers for ever":   {endless("", "HTTP/1.1 102 Processing\r\n\r\n"), "it is malformed: ", 0, false},
		"a body without end":         {endless("HTTP/1.1 200 OK\r\n\r\n", big), "", 200, true},
		"chunks without end":         {endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "8000\r\n"+big+"\r\n"), "", 200, true},
		"a body of 1 GB":             {endless("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n", big), "", 200, true},
		"a body as long as may be":   {last("HTTP/1.1 200 OK\r\nContent-Length: 262144\r\n\r\n" + strings.Repeat("x", body)), "", 200, false},
		"a byte more":                {last("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40001\r\n" + strings.Repeat("x", body+1) + "\r\n0\r\n\r\n"), "", 200, true},
		"no content":                 {always("HTTP/1.1 204 No Content\r\n\r\n"), "", 204, false},
		"interim, then an answer":    {always("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "", 200, false},
		"trailers behind its answer": {always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n"), "", 200, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			candidate := refusing(t)
			if test.answer != nil {
				candidate = newRecorder(t, test.answer).addr
			}
			k := new(told)
			r := newRig(t, map[string]string{"v1": newRecorder(t, nil).addr, "v2": candidate}, shadowsV1(k, func(s *Shadow) {
				s.MaxBody = body
				if strings.HasPrefix(name, "hangs") {
					s.Timeout = short
				}
			}))
			for range 3 {
				if answer := r.exchangeRaw(get("/", closing)); !strings.HasSuffix(answer, "\r\n\r\nok") {
					t.Fatalf("the customer got %q", answer)
				}
				p := k.one(t)
				got := p.Candidate
				if got.Status != test.status || got.Cut != test.cut || (got.Failure == "") != (test.failure == "") || !strings.HasPrefix(got.Failure, test.failure) {
					t.Errorf("told of %d, cut %v, %q; want %+v", got.Status, got.Cut, got.Failure, test)
				}
				if p.Baseline.Status != 200 || string(p.Baseline.Body) != "ok" {
					t.Errorf("told of %+v as the customer's", p.Baseline)
				}
			}
			r.awaitIdle(t)
			want := map[string]uint64{"answered": 3}
			if test.failure != "" {
				want = map[string]uint64{"failed": 3}
			}
			if got := r.fates("v2"); !maps.Equal(got, want) {
				t.Errorf("copies came to %v, want %v", got, want)
			}
			if v := r.of("v1"); v.Requests != 3 || v.ByClass("2xx") != 3 {
				t.Errorf("%+v", v)
			}
		})
	}
}

// TestLongAnswersStaySpliced: of an answer that says it is too long, nothing is
// kept; of one that doesn't, as much as is allowed. The customer gets all.
func TestLongAnswersStaySpliced(t *testing.T) {
	lengths := map[string]int64{"/length": 1 << 30, "/chunked": 128 << 20} // the latter goes through this process's memory
	if testing.Short() || raceEnabled {
		lengths = map[string]int64{"/length": 64 << 20, "/chunked": 8 << 20}
	}
	piece := strings.Repeat("0123456789abcdef", 4096)
	var most atomic.Int64
	var r *rig
	v1 := backend(t, func(w http.ResponseWriter, req *http.Request) {
		length := lengths[req.URL.Path]
		if req.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(length))
		}
		for n := int64(0); n < length; n += int64(len(piece)) {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
			most.Store(max(most.Load(), r.srv.shadows.bytes.used.Load()))
		}
	})
	k := new(told)
	const maxBody = 1 << 20
	r = newRig(t, map[string]string{"v1": v1, "v2": v1}, shadowsV1(k, func(s *Shadow) { s.MaxBody, s.Again = maxBody, true }))
	c := client(t)
	c.Timeout = 5 * time.Minute
	for path, length := range lengths {
		res, err := c.Get("http://" + r.addr + path)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if n != length || err != nil {
			t.Errorf("%s: the customer got %d of %d bytes: %v", path, n, length, err)
		}
		p := k.one(t)
		for _, a := range []ShadowAnswer{p.Baseline, p.Candidate, *p.Again} {
			if !a.Cut || a.Status != 200 || a.Failure != "" || len(a.Body) > 0 {
				t.Errorf("%s: told of %d bytes, cut %v, %d %q", path, len(a.Body), a.Cut, a.Status, a.Failure)
			}
		}
	}
	if n := most.Load(); n > 4*maxBody {
		t.Errorf("%d bytes were held", n)
	}
	r.awaitIdle(t)
}

// TestCopiesAreBounded: a candidate that hangs holds half of the copies, and keeps
// none from another; what is too much is dropped at once.
func TestCopiesAreBounded(t *testing.T) {
	v1 := newRecorder(t, nil)
	release := make(chan struct{})
	v2 := newRecorder(t, func(c net.Conn, m *message) bool { <-release; return always(response(200, "late"))(c, m) })
	k := new(told)
	r := newRig(t, map[string]string{"v1": v1.addr, "v2": v2.addr, "v3": v1.addr, "v4": v1.addr}, shadowsV1(k), func(r *rig) {
		r.options.Shadows.Copies = 8
		r.service.Versions[3].Weight = 0
		r.shadows["v3"] = &Shadow{To: 3, Share: 1, Timeout: 20 * time.Second, Tell: func(*ShadowPair) {}}
	})
	const n = 20
	for range n {
		if s := statuses(r.exchangeRaw(get("/", "Cookie: sluice_web=1.94f1492df24517ec.v1", closing))); s != "200" {
			t.Fatalf("a customer got %q", s)
		}
		r.exchangeRaw(get("/", "Cookie: sluice_web=1.94f1492df24517ec.v3", closing))
		eventually(t, "the other's copy was sent", func() bool { return r.srv.shadows.copies.used.Load() <= 4 })
	}
	if got := r.srv.Table().Targets[1].shadows.copies.Load(); got != 4 {
		t.Errorf("%d copies are under way, want half of 8", got)
	}
	close(release)
	r.awaitIdle(t)
	r.awaitFates(t, map[string]uint64{"answered": 4, "busy": n - 4})
	if got := r.of("v4").Shadows; got["answered"] != n {
		t.Errorf("the other version's copies came to %v", got)
	}
}

// TestMemoryIsBounded: copies whose answers find no room are dropped, the
// customers' answers are not.
func TestMemoryIsBounded(t *testing.T) {
	body := strings.Repeat("0123456789", 3000)
	release := make(chan struct{})
	v2 := newRecorder(t, func(c net.Conn, m *message) bool { <-release; return always(response(200, body))(c, m) })
	k := new(told)
	r := newRig(t, map[string]string{"v1": newRecorder(t, always(response(200, body))).addr, "v2": v2.addr}, shadowsV1(k), func(r *rig) {
		r.options.Shadows.Bytes = 256 << 10
	})
	const n = 20
	for range n {
		if answer := r.exchangeRaw(get("/", closing)); !strings.HasSuffix(answer, body) {
			t.Fatalf("a customer got %.200q", answer)
		}
		if held := r.srv.shadows.bytes.used.Load(); held > 128<<10 {
			t.Fatalf("%d bytes are held, more than half", held)
		}
	}
	close(release)
	r.awaitIdle(t)
	fates := r.fates("v2")
	if fates["memory"] < n/2 || fates["answered"] == 0 || fates["memory"]+fates["answered"] != n {
		t.Errorf("copies came to %v", fates)
	}
}

// TestCandidateVanishes: a copy to a version without endpoints is dropped; one
// under way when the table is replaced goes on under its own.
func TestCandidateVanishes(t *testing.T) {
	release := make(chan struct{})
	v2 := newRecorder(t, func(c net.Conn, m *message) bool { <-release; return always(response(200, "late"))(c, m) })
	k := new(told)
	r := newRig(t, map[string]string{"v1": newRecorder(t, nil).addr, "v2": v2.addr}, shadowsV1(k))
	r.exchangeRaw(get("/", closing))
	eventually(t, "the copy is under way", func() bool { seen, _ := v2.take(); return len(seen) == 1 })
	before := r.srv.Table()
	r.service.Versions, r.shadows = r.service.Versions[:1], nil
	r.srv.Swap(r.table())
	r.exchangeRaw(get("/", closing))
	close(release)
	if p := k.one(t); string(p.Candidate.Body) != "late" {
		t.Errorf("told of %+v", p.Candidate)
	}
	r.srv.Swap(before)
	r.clusters["v2"].Close()
	r.exchangeRaw(get("/", closing))
	r.awaitFates(t, map[string]uint64{"answered": 1, "connections": 1})
	r.awaitIdle(t)
}

// TestStopEndsCopies: a server that stops waits for none and tells of none.
func TestStopEndsCopies(t *testing.T) {
	v2 := newRecorder(t, func(c net.Conn, _ *message) bool { io.Copy(io.Discard, c); return false })
	k := new(told)
	r := newRig(t, map[string]string{"v1": newRecorder(t, nil).addr, "v2": v2.addr}, shadowsV1(k, func(s *Shadow) { s.Timeout = time.Hour }))
	const n = 5
	for range n {
		r.exchangeRaw(get("/", closing))
	}
	eventually(t, "the copies are under way", func() bool { seen, _ := v2.take(); return len(seen) > 0 && r.srv.shadows.copies.used.Load() == n })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	r.awaitFates(t, map[string]uint64{"stopped": n})
	if k.len() > 0 {
		t.Errorf("%d answers were told", k.len())
	}
	if !r.srv.shadows.idle() {
		t.Error("a copy goes on")
	}
}

// TestOverloadDropsCopiesFirst: what is admitted is not copied.
func TestOverloadDropsCopiesFirst(t *testing.T) {
	var delay atomic.Int64
	v2 := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": newRecorder(t, nil).addr, "v2": v2.addr}, shadowsV1(new(told)), func(r *rig) {
		r.options.OverloadTarget = DefaultOverloadTarget
		r.options.probe = func() (time.Duration, error) { return time.Duration(delay.Load()), nil }
		r.options.load = func() int { return overloadFloor }
	})
	delay.Store(int64(30 * time.Millisecond)) // a third is refused at first
	eventually(t, "some requests are refused", r.srv.overload.limit.Refusing)
	delay.Store(int64(15 * time.Millisecond)) // and it stays so
	for served := 0; served == 0; {
		if statuses(r.exchangeRaw(get("/", closing))) == "200" {
			served++
		}
	}
	r.awaitFates(t, map[string]uint64{"overload": 1})
	if seen, _ := v2.take(); len(seen) > 0 {
		t.Errorf("a request was copied under overload: %v", seen)
	}
}

// TestConnectionsThatWereClosedFailNoCopy: an endpoint that closes each connection
// after its answer, without saying so.
func TestConnectionsThatWereClosedFailNoCopy(t *testing.T) {
	v2 := newRecorder(t, last(response(200, "ok")))
	k := new(told)
	r := newRig(t, map[string]string{"v1": newRecorder(t, nil).addr, "v2": v2.addr}, shadowsV1(k))
	const n = 50
	for range n {
		r.exchangeRaw(get("/", closing))
		if p := k.one(t); p.Candidate.Failure != "" {
			t.Fatalf("told of %q", p.Candidate.Failure)
		}
	}
}

// TestCopiesAreSentAsTheVersionWants: its host, its endpoint by hash, the header
// of the PROXY protocol.
func TestCopiesAreSentAsTheVersionWants(t *testing.T) {
	v1, v2 := newRecorder(t, nil), newRecorder(t, nil)
	k := new(told)
	r := newRig(t, map[string]string{"v1": v1.addr, "v2": v2.addr}, shadowsV1(k), func(r *rig) { r.settings.HostOfEndpoint = true })
	r.exchangeRaw(get("/", closing))
	k.one(t)
	if m := v2.one(); m.get("host") != v2.addr || m.get("x-forwarded-host") != "a.example" {
		t.Errorf("the copy's fields are %v", m.fields)
	}
	var endpoints []string
	for range 3 {
		endpoints = append(endpoints, backend(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
		}))
	}
	r = newRig(t, map[string]string{"v1": strings.Join(endpoints, ","), "v2": strings.Join(endpoints, ",")}, shadowsV1(k), func(r *rig) {
		r.upstream.Balance = upstream.Hash
		r.settings.HashBy = HashBy{Kind: HashPath}
	})
	for i := range 20 {
		r.exchangeRaw(get(fmt.Sprint("/", i), closing))
		if p := k.one(t); string(p.Baseline.Body) != string(p.Candidate.Body) {
			t.Errorf("the copy went to %s, the request to %s", p.Candidate.Body, p.Baseline.Body)
		}
	}
	told := toldBackend(t)
	r = newRig(t, map[string]string{"v1": told, "v2": told}, shadowsV1(k), func(r *rig) { r.upstream.ProxyProtocol = upstream.ProxyV2 })
	r.exchangeRaw(get("/", closing))
	if p := k.one(t); len(p.Baseline.Body) == 0 || string(p.Baseline.Body) != string(p.Candidate.Body) {
		t.Errorf("the endpoint was told of %s, for the copy of %s", p.Baseline.Body, p.Candidate.Body)
	}
}

// TestCopiesHaveNoLine: neither in the access log nor in a trace.
func TestCopiesHaveNoLine(t *testing.T) {
	var lines atomic.Int64
	k := new(told)
	r := newRig(t, map[string]string{"v1": newRecorder(t, nil).addr, "v2": newRecorder(t, always(response(500, "no"))).addr}, shadowsV1(k), func(r *rig) {
		r.options.Access = AccessLog{Mode: AccessAll, Write: func(line []byte) { lines.Add(int64(strings.Count(string(line), "\n"))) }}
	})
	const n = 10
	for range n {
		r.exchangeRaw(get("/", closing))
	}
	k.await(t, n)
	r.awaitIdle(t)
	eventually(t, "each request has a line", func() bool { return lines.Load() == n })
}

// TestCopiesUnderFire: customers by the dozen, candidates that do anything, tables
// that change, and a stop in the middle. Every request is answered as ever, every
// copy has one fate, and nothing is left in use.
func TestCopiesUnderFire(t *testing.T) {
	body := strings.Repeat("body ", 2000)
	v1 := newRecorder(t, always(response(200, body)))
	wild := func(c net.Conn, m *message) bool {
		switch rand.IntN(6) {
		case 0:
			return false
		case 1:
			c.(*net.TCPConn).SetLinger(0)
			return false
		case 2:
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\nabc")
			return false
		case 3:
			return always(response(500, "no"))(c, m)
		}
		return always(response(200, body))(c, m)
	}
	v2 := newRecorder(t, wild)
	var pairs atomic.Int64
	shadow := &Shadow{To: 1, Share: 0.9, Again: true, Timeout: 5 * time.Second, Methods: []string{"GET", "POST"}, Tell: func(p *ShadowPair) {
		if p.Baseline.Status != 200 || string(p.Baseline.Body) != body || p.Again != nil && p.Again.Failure == "" && string(p.Again.Body) != body || p.Path != "/first" {
			t.Errorf("told of %s: %d, %d bytes", p.Path, p.Baseline.Status, len(p.Baseline.Body))
		}
		pairs.Add(1)
	}}
	r := newRig(t, map[string]string{"v1": v1.addr, "v2": v2.addr}, shadowsV1(new(told)), func(r *rig) {
		r.shadows["v1"] = shadow
		r.options.Shadows = ShadowLimits{Copies: 16, Bytes: 2 << 20}
	})
	with := r.srv.Table()
	r.shadows = nil
	without := r.table()
	var customers sync.WaitGroup
	for range 16 {
		customers.Go(func() {
			c := r.dial()
			defer c.Close()
			for i := range 60 {
				request, end := get("/first"), body
				if i%3 == 0 {
					request = post("hello", "Content-Length: 5")
				}
				io.WriteString(c, request)
				got := make([]byte, 0, len(body)+1024)
				piece := make([]byte, 16<<10)
				for !strings.HasSuffix(string(got), end) {
					n, err := c.Read(piece)
					if err != nil {
						t.Errorf("a customer got %d bytes, then %v", len(got), err)
						return
					}
					got = append(got, piece[:n]...)
				}
			}
		})
	}
	swapped := make(chan struct{})
	stop := make(chan struct{})
	go func() {
		defer close(swapped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				r.srv.Swap([]*Table{without, with, with}[i%3])
			}
		}
	}()
	customers.Wait()
	close(stop)
	<-swapped
	r.awaitIdle(t)
	fates := r.fates("v2")
	if int64(fates["answered"]+fates["failed"]) != pairs.Load() || pairs.Load() == 0 {
		t.Errorf("%d pairs were told of, copies came to %v", pairs.Load(), fates)
	}
	if v := r.of("v1"); v.Requests != 16*60 || v.ByClass("2xx") != v.Requests {
		t.Errorf("%+v", v)
	}
	if r.clusters["v1"].InUse() != 0 || r.clusters["v2"].InUse() != 0 {
		t.Error("a connection is left in use")
	}
}
