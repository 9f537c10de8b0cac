package proxy

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/proxy/upstream"
	"sluice/stats"
)

// countsOf returns what was counted of a version.
func countsOf(r *rig, version string) stats.VersionStats {
	for _, v := range r.stats.ServiceSnapshot("web") {
		if v.Version == version {
			return v
		}
	}
	return stats.VersionStats{}
}

// held starts a backend that answers only once the test ends, or release is
// closed.
func held(t *testing.T, release chan struct{}) string {
	return backend(t, func(w http.ResponseWriter, req *http.Request) {
		select {
		case <-release:
		case <-req.Context().Done():
		case <-time.After(10 * time.Second):
		}
	})
}

// A request that may be repeated goes elsewhere when its try runs out of time;
// another is answered 504.
func TestTryTimeout(t *testing.T) {
	for _, test := range []struct {
		request, status string
		retries         uint64
	}{
		{get("/", closing), "200", 1},
		{post("hello", "Content-Length: 5", closing), "504", 0},
	} {
		never := make(chan struct{})
		slow, quick := held(t, never), named(t, "quick")
		// By hash, so that the slow one is certainly asked first by some path.
		r := newRig(t, map[string]string{"v1": slow + "," + quick}, byHash(HashBy{Kind: HashPath}), func(r *rig) {
			r.settings.TryTimeout = 60 * time.Millisecond
		})
		got := map[string]bool{}
		for n := 0; n < 100 && len(got) == 0; n++ {
			path := fmt.Sprint("/", n)
			before := countsOf(r, "v1").Retries
			status := statuses(r.exchangeRaw(strings.Replace(test.request, " /", " "+path, 1)))
			if after := countsOf(r, "v1").Retries; after > before || status == "504" {
				got[status] = true
			}
		}
		if !got[test.status] || len(got) != 1 {
			t.Errorf("%.6q: requests whose first try timed out were answered %v, want %s", test.request, got, test.status)
		}
		close(never)
	}
}

// Without a try timeout of its own, a timeout is the end of the request.
func TestResponseTimeoutIsNotRetried(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	r := newRig(t, map[string]string{"v1": held(t, never) + "," + held(t, never)}, func(r *rig) {
		r.settings.ResponseTimeout = 60 * time.Millisecond
	})
	if s := statuses(r.exchangeRaw(get("/", closing))); s != "504" || countsOf(r, "v1").Retries != 0 {
		t.Errorf("answered %s after %d retries", s, countsOf(r, "v1").Retries)
	}
}

// The total timeout bounds all tries together, and each wait.
func TestTotalTimeout(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	r := newRig(t, map[string]string{"v1": held(t, never) + "," + held(t, never)}, func(r *rig) {
		r.settings.TryTimeout = 120 * time.Millisecond
		r.settings.TotalTimeout = time.Second // far more than a try takes, however slow the machine
		r.settings.Retries = 100
	})
	begun := time.Now()
	if s := statuses(r.exchangeRaw(get("/", closing))); s != "504" {
		t.Errorf("answered %s", s)
	}
	if took := time.Since(begun); took > 6*time.Second {
		t.Errorf("it took %v", took)
	}
	if n := countsOf(r, "v1").Retries; n == 0 || n > 10 {
		t.Errorf("%d retries", n)
	}
}

func TestRetryOnStatus(t *testing.T) {
	for _, test := range []struct {
		request string
		bad     int32 // answers of 503 before the good one
		want    string
		asked   int32
	}{
		{get("/", closing), 1, "200", 2},
		{get("/", closing), 2, "200", 3},
		{get("/", closing), 5, "503", 3}, // the last answer stands
		{post("hello", "Content-Length: 5", closing), 1, "503", 1},
		{"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", 1, "200", 2},
	} {
		var asked atomic.Int32
		b := backend(t, func(w http.ResponseWriter, _ *http.Request) {
			if asked.Add(1) <= test.bad {
				w.WriteHeader(503)
			}
		})
		r := newRig(t, map[string]string{"v1": b}, func(r *rig) {
			r.settings.RetryOn = []int{503}
			r.settings.Retries = 2
		})
		if s := statuses(r.exchangeRaw(test.request)); s != test.want || asked.Load() != test.asked {
			t.Errorf("%.6q, %d bad answers: answered %s after %d, want %s after %d", test.request, test.bad, s, asked.Load(), test.want, test.asked)
		}
	}
}

func TestPendingRequests(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, map[string]string{"v1": held(t, release)}, func(r *rig) {
		r.upstream.MaxConnections, r.upstream.MaxPending = 1, 1
		r.upstream.PendingTimeout = 5 * time.Second
	})
	ask := func() net.Conn {
		c := r.dial()
		c.Write([]byte(get("/", closing)))
		return c
	}
	first := ask()
	eventually(t, "the first is under way", func() bool { return r.clusters["v1"].InUse() == 1 })
	second := ask()
	eventually(t, "the second waits", func() bool { return r.clusters["v1"].Pending() == 1 })
	third := readAll(t, ask())
	if statuses(third) != "503" || !strings.Contains(third, "Retry-After: ") {
		t.Errorf("one too many was answered %q", third)
	}
	close(release)
	for _, c := range []net.Conn{first, second} {
		if s := statuses(readAll(t, c)); s != "200" {
			t.Errorf("answered %s", s)
		}
	}
	if n := countsOf(r, "v1").Overloaded; n != 1 {
		t.Errorf("%d counted as refused", n)
	}
}

func TestPendingTimeout(t *testing.T) {
	release := make(chan struct{})
	for _, test := range []struct {
		change func(*rig)
		want   string
	}{
		{func(r *rig) { r.upstream.PendingTimeout = 30 * time.Millisecond }, "503"},
		{func(r *rig) { r.settings.TotalTimeout = 30 * time.Millisecond }, "504"},
	} {
		r := newRig(t, map[string]string{"v1": held(t, release)}, func(r *rig) {
			r.upstream.MaxConnections, r.upstream.MaxPending = 1, 1
			test.change(r)
		})
		conn, err := r.clusters["v1"].Acquire(upstream.Acquire{})
		if err != nil {
			t.Fatal(err)
		}
		if s := statuses(r.exchangeRaw(get("/", closing))); s != test.want {
			t.Errorf("answered %s, want %s", s, test.want)
		}
		conn.Release(0)
	}
	close(release)
}

func TestRetryWait(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		retry, r := rapid.IntRange(-1, 100).Draw(t, "retry"), rapid.Uint64().Draw(t, "r")
		if d := retryWait(retry, r); d < 0 || d > retryMost || retry <= 0 && d > retryBase || retry == 1 && d > 2*retryBase {
			t.Fatalf("waits %v", d)
		}
	})
	if retryWait(1, uint64(2*retryBase)) != 2*retryBase {
		t.Error("the bound is not reached")
	}
}
