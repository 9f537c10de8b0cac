package demo

import (
	"context"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// answeredBy is the field by which a backend tells clients who it is. The proxy
// knows nothing of it.
const answeredBy = "X-Answered-By"

// slowPath is the path of requests that take long: until the demo ends, or
// slowLimit.
const (
	slowPath  = "/report"
	slowLimit = 5 * time.Second
)

// backend is one version of a service: a real HTTP server on a port of its own.
type backend struct {
	service, version string
	latency          time.Duration   // of an answer, on average
	failEvery        int64           // every how many-th request fails; 0: none does
	reports          <-chan struct{} // closed when slowPath may be answered
	broken           string          // a path that fails; "": none does
	priceAsText      bool            // books: the price is a string, and no number

	addr    string
	http    *http.Server
	running sync.WaitGroup
	waiting atomic.Int64 // requests of slowPath under way

	mu   sync.Mutex
	got  int64     // requests
	from origins   // of them
	last time.Time // when the newest came
}

// listen binds a port and begins to serve.
func (b *backend) listen() error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("server of %s %s: %w", b.service, b.version, err)
	}
	b.addr = ln.Addr().String()
	b.http = &http.Server{
		Handler: b, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0), // the clients tell of every failure
	}
	b.running.Go(func() { _ = b.http.Serve(ln) }) // ends by close; of anything else the clients tell
	return nil
}

// close ends the server; nobody asks it any more.
func (b *backend) close() {
	b.http.Close()
	b.running.Wait()
}

// ServeHTTP answers with the version, after a while.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := b.count(r)
	if r.URL.Path == slowPath {
		b.waiting.Add(1)
		defer b.waiting.Add(-1)
		b.report(r.Context())
	} else {
		pause(r.Context(), jitter(b.latency))
	}
	w.Header().Set(answeredBy, b.version)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if b.failEvery > 0 && n%b.failEvery == 0 {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprintf(w, "%s %s: this page is broken\n", b.service, b.version)
		return
	}
	if b.service == "books" {
		b.serveBooks(w, r)
		return
	}
	fmt.Fprintf(w, "%s %s: %s\n", b.service, b.version, r.URL.Path)
}

// report waits until slow requests may be answered.
func (b *backend) report(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, slowLimit)
	defer cancel()
	select {
	case <-ctx.Done():
	case <-b.reports:
	}
}

// origins are how many requests came from whom.
type origins struct{ journeys, copies, visitors int }

// origins returns from whom requests came.
func (b *backend) origins() origins {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.from
}

// count counts a request and returns its number, from 1.
func (b *backend) count(r *http.Request) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case r.Header.Get("Sluice-Synthetic") != "":
		b.from.journeys++
	case r.Header.Get("Sluice-Shadow") != "":
		b.from.copies++
	default:
		b.from.visitors++
	}
	b.got++
	b.last = time.Now()
	return b.got
}

// requests returns how many came, and when the newest did.
func (b *backend) requests() (n int64, last time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got, b.last
}

// pause waits, and reports whether it did to the end.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// jitter returns a duration between half and one and a half of the mean.
func jitter(mean time.Duration) time.Duration {
	return mean/2 + time.Duration(rand.Int64N(int64(mean)+1))
}
