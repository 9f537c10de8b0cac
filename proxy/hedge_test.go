package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
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

// pairOf starts two backends with one script, which is told how many requests
// came before, to either.
func pairOf(t *testing.T, script func(n int32, w http.ResponseWriter, r *http.Request)) string {
	var asked atomic.Int32
	h := func(w http.ResponseWriter, r *http.Request) { script(asked.Add(1)-1, w, r) }
	return backend(t, h) + "," + backend(t, h)
}

func hedged(after time.Duration) option { return func(r *rig) { r.settings.HedgeAfter = after } }

// settled waits until nothing of a request is left.
func (r *rig) settled() {
	r.t.Helper()
	eventually(r.t.(*testing.T), "nothing is under way", func() bool {
		target := r.srv.Table().Targets[0]
		return r.clusters["v1"].InUse() == 0 && r.of("v1").InFlight == 0 && target.retries.running.Load() == 0
	})
}

// failures returns how many were counted against the endpoints.
func (r *rig) failures() (n uint64) {
	for _, e := range r.clusters["v1"].Status() {
		n += e.Failures
	}
	return n
}

// TestTheFirstAnswerWins: a second endpoint answers in the place of one that is
// slow, which is not counted against that one.
func TestTheFirstAnswerWins(t *testing.T) {
	gone := make(chan bool, 1)
	r := newRig(t, map[string]string{"v1": pairOf(t, func(n int32, w http.ResponseWriter, r *http.Request) {
		if n == 0 {
			<-r.Context().Done()
			gone <- true
		}
		fmt.Fprint(w, n)
	})}, hedged(5*time.Millisecond))
	if res, body := r.get(client(t), "/"); res.StatusCode != 200 || body != "1" {
		t.Errorf("answered %d %q", res.StatusCode, body)
	}
	<-gone
	r.settled()
	if s := r.of("v1"); s.Hedges != 1 || s.HedgesWon != 1 || s.Retries != 0 || r.failures() != 0 {
		t.Errorf("%d hedges, %d won, %d retries, %d failures", s.Hedges, s.HedgesWon, s.Retries, r.failures())
	}
}

// TestASlowAnswerMayStillWin: the one that was asked first answers first, and the
// second is let go.
func TestASlowAnswerMayStillWin(t *testing.T) {
	second, gone := make(chan bool), make(chan bool, 1)
	r := newRig(t, map[string]string{"v1": pairOf(t, func(n int32, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			close(second)
			<-r.Context().Done()
			gone <- true
		}
		<-second
		fmt.Fprint(w, n)
	})}, hedged(5*time.Millisecond))
	if res, body := r.get(client(t), "/"); res.StatusCode != 200 || body != "0" {
		t.Errorf("answered %d %q", res.StatusCode, body)
	}
	<-gone
	r.settled()
	if s := r.of("v1"); s.Hedges != 1 || s.HedgesWon != 0 || r.failures() != 0 {
		t.Errorf("%d hedges, %d won, %d failures", s.Hedges, s.HedgesWon, r.failures())
	}
}

// TestTheOtherIsWaitedForWhenOneFails, whichever it is; where both fail, the
// request has failed.
func TestTheOtherIsWaitedForWhenOneFails(t *testing.T) {
	for _, test := range []struct {
		fail [2]bool
		want string
	}{
		{[2]bool{true, false}, "200"},
		{[2]bool{false, true}, "200"},
		{[2]bool{true, true}, "502"},
	} {
		both, one := make(chan bool), make(chan bool)
		r := newRig(t, map[string]string{"v1": pairOf(t, func(n int32, w http.ResponseWriter, r *http.Request) {
			if n == 1 {
				close(both)
			}
			<-both
			if test.fail[n] {
				if !test.fail[1-n] {
					defer close(one)
				}
				panic(http.ErrAbortHandler)
			}
			<-one
		})}, hedged(5*time.Millisecond), func(r *rig) { r.settings.Retries = -1 })
		if s := statuses(r.exchangeRaw(get("/", closing))); s != test.want {
			t.Errorf("%v: answered %s", test.fail, s)
		}
		r.settled()
		if s := r.of("v1"); s.Hedges != 1 || s.Retries != 0 {
			t.Errorf("%v: %d hedges, %d retries", test.fail, s.Hedges, s.Retries)
		}
	}
}

// TestAHedgeTellsOfTheClient too, where endpoints are told.
func TestAHedgeTellsOfTheClient(t *testing.T) {
	var asked atomic.Int32
	first := func(r *http.Request) {
		if asked.Add(1) == 1 {
			<-r.Context().Done()
		}
	}
	r := newRig(t, map[string]string{"v1": toldBackend(t, first) + "," + toldBackend(t, first)}, hedged(time.Millisecond), func(r *rig) {
		r.upstream.ProxyProtocol = upstream.ProxyV2
	})
	c := r.dial()
	if got, want := ask(t, c, bufio.NewReader(c)), fmt.Sprintf("%s to %s", c.LocalAddr(), c.RemoteAddr()); got != want {
		t.Errorf("told of %s, want %s", got, want)
	}
	if s := r.of("v1"); s.HedgesWon != 1 {
		t.Errorf("%d hedges won", s.HedgesWon)
	}
}

// TestAHedgeThatDialsHoldsNobodyUp: the first endpoint's answer goes to the client
// while the second is still being connected to.
func TestAHedgeThatDialsHoldsNobodyUp(t *testing.T) {
	dialling := make(chan bool)
	addr := backend(t, func(http.ResponseWriter, *http.Request) { <-dialling })
	r := newRig(t, map[string]string{"v1": ""}, hedged(time.Millisecond))
	r.clusters["v1"].Close()
	ended := make(chan bool)
	var err error
	r.clusters["v1"], err = upstream.New(upstream.Config{
		Service: "web", Version: "v1", Endpoints: []string{addr, "127.0.0.1:1"}, Balance: upstream.RoundRobin,
		ConnectTimeout: time.Minute, Health: upstream.HealthConfig{Disabled: true},
	}, upstream.Deps{Dial: func(ctx context.Context, network, to string) (net.Conn, error) {
		if to == addr {
			return new(net.Dialer).DialContext(ctx, network, to)
		}
		close(dialling)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.srv.Swap(r.table())
	if s := statuses(r.exchangeRaw(get("/", closing))); s != "200" {
		t.Errorf("answered %s", s)
	}
	r.clusters["v1"].Abort()
	<-ended
	r.settled()
	if n := r.of("v1").Hedges; n != 0 {
		t.Errorf("%d hedges, of which nobody was asked", n)
	}
}

// TestWhatIsNotHedged: what is not safe, has a body or changes the protocol, and
// what there is nobody else for.
func TestWhatIsNotHedged(t *testing.T) {
	for _, test := range []struct {
		name, request string
		single        bool
		after         time.Duration
	}{
		{"POST", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" + closing + "\r\n\r\n", false, time.Millisecond},
		{"a body", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n" + closing + "\r\n\r\nab", false, time.Millisecond},
		{"an upgrade", "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: x\r\n\r\n", false, time.Millisecond},
		{"one endpoint", get("/", closing), true, time.Millisecond},
		{"off", get("/", closing), false, 0},
	} {
		addr := pairOf(t, func(_ int32, w http.ResponseWriter, _ *http.Request) { <-time.After(20 * time.Millisecond) })
		if test.single {
			addr, _, _ = strings.Cut(addr, ",")
		}
		r := newRig(t, map[string]string{"v1": addr}, hedged(test.after))
		if s := statuses(r.exchangeRaw(test.request)); s != "200" {
			t.Errorf("%s: answered %s", test.name, s)
		}
		if n := r.of("v1").Hedges; n != 0 {
			t.Errorf("%s: %d hedges", test.name, n)
		}
	}
}

// TestAHedgeIsARequestLikeTheFirst but for the Host, where that is the
// endpoint's.
func TestAHedgeIsARequestLikeTheFirst(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	var mu sync.Mutex
	seen := map[string]string{}
	r := newRig(t, map[string]string{"v1": pairOf(t, func(_ int32, w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[r.Host] = fmt.Sprint(r.Method, r.URL, r.Header)
		mu.Unlock()
		both.Done()
		both.Wait()
	})}, hedged(time.Millisecond), func(r *rig) { r.settings.HostOfEndpoint = true })
	r.exchangeRaw(get("/a?b", "Cookie: c=d", closing))
	r.settled()
	status := r.clusters["v1"].Status()
	one, other := seen[status[0].Address], seen[status[1].Address]
	if one == "" || one != other || len(seen) != 2 {
		t.Errorf("seen: %v", seen)
	}
}

// TestAClientThatLeavesEndsBoth requests.
func TestAClientThatLeavesEndsBoth(t *testing.T) {
	for _, version := range []int{1, 2} {
		both, gone := make(chan bool), make(chan bool, 2)
		r := newRig(t, map[string]string{"v1": pairOf(t, func(n int32, w http.ResponseWriter, r *http.Request) {
			if n == 1 {
				close(both)
			}
			<-r.Context().Done()
			gone <- true
		})}, hedged(time.Millisecond), h2c)
		c := client(t)
		if version == 2 {
			c = client2(t, nil)
		}
		ctx, leave := context.WithCancel(t.Context())
		go func() { <-both; leave() }()
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+r.addr+"/", nil)
		if _, err := c.Do(req); err == nil {
			t.Error("answered")
		}
		<-gone
		<-gone
		r.settled()
		if n := r.failures(); n != 0 {
			t.Errorf("HTTP/%d: %d failures", version, n)
		}
	}
}

// TestHedgesAreWithinTheBudget of retries.
func TestHedgesAreWithinTheBudget(t *testing.T) {
	r := newRig(t, map[string]string{"v1": "127.0.0.1:1,127.0.0.1:2"}, func(r *rig) {
		r.settings.RetryBudget, r.settings.RetryFloor = -1, 2
	})
	target := r.srv.Table().Targets[0]
	for i, want := range []bool{true, true, false} {
		if target.retries.claim(target) != want {
			t.Errorf("claim %d: %v", i, !want)
		}
	}
	if n := target.retries.running.Load(); n != 2 {
		t.Errorf("%d run", n)
	}
	target.retries.giveBack()
	target.retries.giveBack()
}

func TestWithHost(t *testing.T) {
	got := string(withHost([]byte("GET / HTTP/1.1\r\nHost: a\r\nB: c\r\n\r\n"), "long.example:80"))
	if want := "GET / HTTP/1.1\r\nHost: long.example:80\r\nB: c\r\n\r\n"; got != want {
		t.Errorf("got %q", got)
	}
}

// whims is a backend that answers as it likes: at once, late, never, with a
// status, or not at all. What it says is what it was asked.
func whims(w http.ResponseWriter, r *http.Request) {
	answer := func() {
		w.Header().Set("Answer", r.URL.Path)
		fmt.Fprint(w, r.URL.Path)
	}
	switch rand.N(8) {
	case 0, 1, 2:
		answer()
	case 3, 4:
		<-time.After(rand.N(8 * time.Millisecond))
		answer()
	case 5:
		<-r.Context().Done()
	case 6:
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}
	case 7:
		<-time.After(rand.N(4 * time.Millisecond))
		w.WriteHeader(503)
	}
}

// TestHedgesUnderWhims: whatever the endpoints do, a request has one answer, its
// own, and nothing is left of it.
func TestHedgesUnderWhims(t *testing.T) {
	addr := strings.Join([]string{backend(t, whims), backend(t, whims), backend(t, whims), refusing(t)}, ",")
	r := newRig(t, map[string]string{"v1": addr}, hedged(2*time.Millisecond), h2c, func(r *rig) {
		r.settings.TryTimeout, r.settings.TotalTimeout = 40*time.Millisecond, 100*time.Millisecond
		r.settings.RetryOn = []int{503}
		r.settings.RetryFloor = 8
		r.upstream.Outlier = upstream.OutlierConfig{Disabled: true}
	})
	var all sync.WaitGroup
	for i := range 12 {
		c := client(t)
		if i%3 == 0 {
			c = client2(t, nil)
		}
		all.Go(func() {
			for j := range 40 {
				r.askOnAWhim(t, c, fmt.Sprintf("/%d/%d", i, j))
			}
		})
	}
	all.Wait()
	r.settled()
	s := r.of("v1")
	if s.Hedges == 0 || s.HedgesWon == 0 || s.HedgesWon > s.Hedges {
		t.Errorf("%d hedges, %d won", s.Hedges, s.HedgesWon)
	}
	for _, e := range r.clusters["v1"].Status() {
		if e.Active != 0 || e.Connections != e.Idle {
			t.Errorf("left: %+v", e)
		}
	}
}

// askOnAWhim asks, in one of ten cases without staying for the answer.
func (r *rig) askOnAWhim(t *testing.T, c *http.Client, path string) {
	ctx := t.Context()
	if rand.N(10) == 0 {
		limited, cancel := context.WithTimeout(ctx, rand.N(6*time.Millisecond))
		defer cancel()
		ctx = limited
	}
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+r.addr+path, nil)
	res, err := c.Do(req)
	if err != nil {
		if ctx.Err() == nil {
			t.Errorf("%s: %v", path, err)
		}
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	switch {
	case err != nil && ctx.Err() == nil:
		t.Errorf("%s: %v", path, err)
	case err == nil && res.StatusCode == 200 && (string(body) != path || res.Header.Get("Answer") != path):
		t.Errorf("%s was answered %q", path, body)
	}
}
