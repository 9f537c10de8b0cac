package proxy

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/proxy/upstream"
)

// refusing returns an address of this machine where nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// dyingBackend answers the first request on each connection, and hangs up when
// it gets the second.
func dyingBackend(t *testing.T) *recorder {
	b := newRecorder(t, nil)
	var mu sync.Mutex
	served := map[net.Conn]bool{}
	b.answer = func(c net.Conn, m *message) bool {
		mu.Lock()
		defer mu.Unlock()
		if served[c] {
			return false
		}
		served[c] = true
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		return true
	}
	return b
}

// TestAPooledConnectionThatDiesUnderARequest: what may be sent twice is sent
// again, on a fresh connection; what may not is not.
func TestAPooledConnectionThatDiesUnderARequest(t *testing.T) {
	for _, test := range []struct {
		request string
		status  string
		sent    int
	}{
		{get("/x", closing), "200", 2},
		{"HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200", 2},
		{"DELETE /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "200", 2},
		{"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "200", 2},
		{post("hello", "Content-Length: 5", closing), "502", 1},
		{"PATCH /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", "502", 1},
		{"foo /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "502", 1},
		{"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "502", 1},
	} {
		b := dyingBackend(t)
		r := newRig(t, map[string]string{"v1": b.addr})
		r.exchangeRaw(get("/warm", closing))
		b.take()
		answer := r.exchangeRaw(test.request)
		if statuses(answer) != test.status {
			t.Errorf("%.20q: answered %q", test.request, answer)
		}
		seen, _ := b.take()
		if len(seen) != test.sent {
			t.Errorf("%.20q: sent %d times, want %d", test.request, len(seen), test.sent)
		}
		if len(seen) == 2 && seen[0].String() != seen[1].String() {
			t.Errorf("sent %q, and then %q", seen[0].String(), seen[1].String())
		}
		if n := r.stats.ServiceSnapshot("web")[0].Retries; n != uint64(test.sent-1) {
			t.Errorf("%.20q: %d retries counted", test.request, n)
		}
	}
}

// TestAPooledConnectionThatIsDead is found so before a POST goes out on it.
func TestAPooledConnectionThatIsDead(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	for _, request := range []string{
		post("hello", "Content-Length: 5", closing),
		post("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked", closing),
		get("/x", closing),
	} {
		r.exchangeRaw(get("/warm", closing))
		b.hangUp()
		eventually(t, "the endpoint has closed", func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return len(b.conns) == 0
		})
		b.take()
		if answer := r.exchangeRaw(request); statuses(answer) != "200" {
			t.Errorf("%.20q: answered %q", request, answer)
		}
		if seen, _ := b.take(); len(seen) != 1 {
			t.Errorf("%.20q: sent %d times", request, len(seen))
		}
	}
	checkNoEjection(t, r)
}

// TestNoRetryWithinAResponse: once a byte came back the answer is this one's.
func TestNoRetryWithinAResponse(t *testing.T) {
	b := newRecorder(t, last("HTTP/1.1 200"))
	r := newRig(t, map[string]string{"v1": b.addr})
	if answer := r.exchangeRaw(get("/", closing)); statuses(answer) != "502" {
		t.Errorf("answered %q", answer)
	}
	b.one()
}

func TestRetriesCanBeTurnedOff(t *testing.T) {
	b := dyingBackend(t)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.settings.Retries = -1 })
	r.exchangeRaw(get("/warm", closing))
	b.take()
	if answer := r.exchangeRaw(get("/", closing)); statuses(answer) != "502" {
		t.Errorf("answered %q", answer)
	}
	b.one()
}

// TestRetryBudget: of requests that all fail at once, no more are tried again
// than the budget has room for.
func TestRetryBudget(t *testing.T) {
	const clients, floor = 20, 2
	var first sync.WaitGroup
	first.Add(clients)
	var tries atomic.Int64
	release := make(chan struct{})
	b := newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		if tries.Add(1) <= clients {
			first.Done()
			first.Wait() // all fail together
		} else {
			<-release // the retries stay under way
		}
		return false
	}
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) {
		r.settings.RetryBudget, r.settings.RetryFloor = -1, floor
		r.upstream.Outlier.Disabled = true
	})
	answers := make(chan string, clients)
	for range clients {
		c := r.dial()
		go func() {
			io.WriteString(c, get("/", closing))
			answer, _ := io.ReadAll(c)
			answers <- statuses(string(answer))
		}()
	}
	for range clients - floor {
		if s := <-answers; s != "502" {
			t.Errorf("answered %s", s)
		}
	}
	close(release)
	for range floor {
		<-answers
	}
	if n := tries.Load(); n != clients+floor {
		t.Errorf("%d tries, want %d", n, clients+floor)
	}
	// The claims were given back.
	tries.Store(clients)
	r.exchangeRaw(get("/", closing))
	if n := tries.Load(); n != clients+2 {
		t.Errorf("%d tries of a single request", n-clients)
	}
}

func TestConnectRefusedGoesToAnotherEndpoint(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": refusing(t) + "," + b.addr}, func(r *rig) { r.upstream.Outlier.Disabled = true })
	requests := []string{get("/x", closing), post("hello", "Content-Length: 5", closing),
		post("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked", closing),
		post(strings.Repeat("x", 100_000), "Content-Length: 100000", closing)}
	for i := range 40 {
		if answer := r.exchangeRaw(requests[i%len(requests)]); statuses(answer) != "200" {
			t.Errorf("answered %q", answer)
		}
		b.one()
	}
	if r.clusters["v1"].Status()[0].Failures == 0 {
		t.Error("the endpoint that refuses was never chosen")
	}
}

// TestConnectRefusedToManyAtOnce: what was not sent multiplies nothing, so that
// no budget bounds it.
func TestConnectRefusedToManyAtOnce(t *testing.T) {
	const clients = 20
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": refusing(t) + "," + b.addr}, func(r *rig) {
		r.settings.RetryBudget, r.settings.RetryFloor = -1, -1
		r.upstream.Outlier.Disabled = true
	})
	answers := make(chan string, clients)
	for range clients {
		c := r.dial()
		go func() {
			io.WriteString(c, post("hello", "Content-Length: 5", closing))
			answer, _ := io.ReadAll(c)
			answers <- statuses(string(answer))
		}()
	}
	for range clients {
		if s := <-answers; s != "200" {
			t.Errorf("answered %s", s)
		}
	}
	if seen, _ := b.take(); len(seen) != clients {
		t.Errorf("%d requests came, want %d", len(seen), clients)
	}
}

func TestConnectRefusedByAll(t *testing.T) {
	r := newRig(t, map[string]string{"v1": refusing(t)})
	answer := r.exchangeRaw(get("/", closing))
	if statuses(answer) != "502" {
		t.Errorf("answered %q", answer)
	}
}

// TestFailingEndpointIsEjected: an endpoint that answers with nonsense gets no
// more requests, and clients don't notice after that.
func TestFailingEndpointIsEjected(t *testing.T) {
	bad, good := newRecorder(t, last("nonsense\r\n\r\n")), newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": bad.addr + "," + good.addr}, func(r *rig) { r.upstream.Outlier.Consecutive = 3 })
	eventually(t, "the endpoint is ejected", func() bool {
		r.exchangeRaw(get("/", closing))
		healthy, _ := r.clusters["v1"].Counts()
		return healthy == 1
	})
	for range 20 {
		if answer := r.exchangeRaw(get("/", closing)); statuses(answer) != "200" {
			t.Errorf("answered %q", answer)
		}
	}
}

// TestResponseTimeout becomes a 504, also while a body is on its way, and is
// not retried: the endpoint may be at work.
func TestResponseTimeout(t *testing.T) {
	b := newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		io.Copy(io.Discard, c)
		return false
	}
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.settings.ResponseTimeout = 100 * time.Millisecond })
	for _, request := range []string{get("/", closing), post("hello", "Content-Length: 5", closing), post("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked", closing)} {
		if answer := r.exchangeRaw(request); statuses(answer) != "504" {
			t.Errorf("answered %q", answer)
		}
		b.one()
	}
	if n := r.stats.ServiceSnapshot("web")[0].UpstreamErrors["timeout"]; n != 3 {
		t.Errorf("%d timeouts counted: %v", n, r.stats.ServiceSnapshot("web")[0].UpstreamErrors)
	}
}

// TestInterimResponsesDontRenewTheTimeout: an endpoint can't hold a client for
// ever by saying that it will be soon.
func TestInterimResponsesDontRenewTheTimeout(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		for range 50 {
			if _, err := io.WriteString(c, "HTTP/1.1 102 Processing\r\n\r\n"); err != nil {
				return false
			}
			<-time.After(30 * time.Millisecond)
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		return false
	}
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.settings.ResponseTimeout = 200 * time.Millisecond })
	if answer := r.exchangeRaw(get("/", closing)); !strings.HasSuffix(statuses(answer), " 504") {
		t.Errorf("answered %q", answer)
	}
}

// TestResponseBodyThatStalls is cut off.
func TestResponseBodyThatStalls(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 1 << 20} {
		b := newRecorder(t, nil)
		b.answer = func(c net.Conn, m *message) bool {
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\nhello", size)
			io.Copy(io.Discard, c)
			return false
		}
		r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.settings.BodyTimeout = 100 * time.Millisecond })
		checkCut(t, r.exchangeRaw(get("/", closing)))
		if n := r.clusters["v1"].Status()[0].Failures; n != 1 {
			t.Errorf("a body of %d bytes: %d failures counted", size, n)
		}
		if n := r.stats.ServiceSnapshot("web")[0].Aborted; n != 0 {
			t.Errorf("a body of %d bytes: the client was blamed", size)
		}
	}
}

// failingChecks lets health checks take endpoints down at once.
func failingChecks(r *rig) {
	r.upstream.Health = upstream.HealthConfig{Interval: 20 * time.Millisecond, Fall: 1, Rise: 1}
}

func TestAllEndpointsDown(t *testing.T) {
	r := newRig(t, map[string]string{"v1": refusing(t)}, failingChecks)
	eventually(t, "the endpoint is down", func() bool { return !r.clusters["v1"].Usable() })
	answer := r.exchangeRaw(get("/", closing))
	if statuses(answer) != "503" || !strings.Contains(answer, "\r\nRetry-After: 1\r\n") {
		t.Errorf("answered %q", answer)
	}
	if n := r.stats.ServiceSnapshot("web")[0].FailedOver; n != 1 {
		t.Errorf("%d requests counted against the version", n)
	}
}

// TestFailover: a version without endpoints is stood in for by one of the same
// shape, never of another, and its sessions stay its own.
func TestFailover(t *testing.T) {
	same, other := newRecorder(t, nil), newRecorder(t, nil)
	down := refusing(t)
	shapes := func(r *rig) {
		failingChecks(r)
		for i := range r.service.Versions {
			v := &r.service.Versions[i]
			v.Writes, v.Reads = "1", []string{"1", "2"}
			if v.Name == "v3" {
				v.Writes = "2"
			}
		}
	}
	r := newRig(t, map[string]string{"v1": down, "v2": same.addr, "v3": other.addr}, shapes)
	eventually(t, "v1 is down and the rest is up", func() bool {
		return !r.clusters["v1"].Usable() && r.clusters["v2"].Usable() && r.clusters["v3"].Usable()
	})
	same.take()
	other.take()
	for range 10 {
		answer := r.exchangeRaw(get("/", "Cookie: sluice_web=1.94f1492df24517ec.v1", closing))
		if statuses(answer) != "200" || strings.Contains(answer, "Set-Cookie") {
			t.Errorf("answered %q", answer)
		}
		checkFields(t, same.one(), "Sluice-Version", "v2", "Sluice-Shape", "1")
	}
	v1 := r.stats.ServiceSnapshot("web")[0]
	if v1.FailedOver != 10 {
		t.Errorf("%d failovers counted", v1.FailedOver)
	}
	if seen, _ := other.take(); len(seen) > 0 {
		t.Errorf("the other shape saw %v", shorts(seen))
	}

	alone := newRig(t, map[string]string{"v1": down, "v3": other.addr}, shapes)
	eventually(t, "v1 is down and the other is up", func() bool { return !alone.clusters["v1"].Usable() && alone.clusters["v3"].Usable() })
	if answer := alone.exchangeRaw(get("/", "Cookie: sluice_web=1.94f1492df24517ec.v1", closing)); statuses(answer) != "503" {
		t.Errorf("answered %q", answer)
	}
	if seen, _ := other.take(); len(seen) > 0 {
		t.Errorf("the other shape saw %v", shorts(seen))
	}
}

func TestTooManyConnections(t *testing.T) {
	release := make(chan struct{})
	b := newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		<-release
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		return true
	}
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.upstream.MaxConnections = 1 })
	c := r.dial()
	io.WriteString(c, get("/", closing))
	eventually(t, "the request is under way", func() bool { return r.clusters["v1"].InUse() == 1 })
	if answer := r.exchangeRaw(get("/", closing)); statuses(answer) != "503" || !strings.Contains(answer, "Retry-After") {
		t.Errorf("answered %q", answer)
	}
	close(release)
	if answer := readAll(t, c); statuses(answer) != "200" {
		t.Errorf("answered %q", answer)
	}
}
