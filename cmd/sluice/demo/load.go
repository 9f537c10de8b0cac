package demo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
)

// tenantsAtFirst are the customers of the API when the story begins.
const tenantsAtFirst = 20

// pages are what browsers look at, calls what API clients ask for.
var (
	pages = []string{"/", "/products", "/products/17", "/cart", "/checkout"}
	calls = []string{"/api/orders", "/api/orders/4711", "/api/stock"}
)

// load is browsers that come and go and API clients that stay.
type load struct {
	base      string
	pace      pace
	transport *http.Transport
	journal   journal
	tenants   atomic.Int64 // how many there are; they are numbered from 1

	sessions atomic.Int64   // browsers' visits so far, the number of the newest
	visiting []atomic.Int64 // by browser: the visit under way; 0: none yet

	end     context.CancelFunc
	running sync.WaitGroup
	shop    *shoppers // nil: none are there
}

func newLoad(base string, p pace) *load {
	l := &load{base: base, pace: p, visiting: make([]atomic.Int64, p.Browsers), end: func() {}}
	l.transport = &http.Transport{MaxIdleConnsPerHost: p.Browsers + p.Clients + p.Shoppers}
	l.tenants.Store(tenantsAtFirst)
	return l
}

// start lets the clients begin; stop ends them.
func (l *load) start() {
	ctx, cancel := context.WithCancel(context.Background())
	l.end = cancel
	for i := range l.pace.Browsers {
		l.running.Go(func() { l.browse(ctx, i) })
	}
	for i := range l.pace.Clients {
		l.running.Go(func() { l.call(ctx, i) })
	}
}

// stop lets every client finish the request that it has under way.
func (l *load) stop() {
	l.closeShop()
	l.end()
	l.running.Wait()
}

// close ends the load and its connections.
func (l *load) close() {
	l.stop()
	l.transport.CloseIdleConnections()
}

// browse is one browser after the other, each with no cookies at first and a
// visit of several pages.
func (l *load) browse(ctx context.Context, i int) {
	// Not all at once: the first visits begin over one pause.
	for pause(ctx, jitter(l.pace.Think)) {
		b := newVisitor(l.base, l.transport)
		id := l.sessions.Add(1)
		l.visiting[i].Store(id)
		views := l.pace.Views[0] + rand.IntN(l.pace.Views[1]-l.pace.Views[0]+1)
		for n := range views {
			if n > 0 && !pause(ctx, jitter(l.pace.Think)) {
				return
			}
			a := b.get(pages[rand.IntN(len(pages))])
			a.Service, a.Session, a.First = "web", id, n == 0
			l.journal.add(a)
		}
	}
}

// call is an API client that works for several tenants by turns. No tenant has
// two clients, so that its requests come one after the other.
func (l *load) call(ctx context.Context, i int) {
	c := newVisitor(l.base, l.transport)
	tenant, known := i+1-l.pace.Clients, map[int]bool{}
	for pause(ctx, jitter(l.pace.Call)) {
		tenant += l.pace.Clients
		if int64(tenant) > l.tenants.Load() {
			tenant = i + 1
		}
		c.header.Set("X-Tenant", fmt.Sprintf("tenant-%02d", tenant))
		a := c.get(calls[rand.IntN(len(calls))])
		a.Service, a.Session, a.First = "api", int64(tenant), !known[tenant]
		known[tenant] = true
		l.journal.add(a)
	}
}

// oldest returns the number of the oldest visit under way.
func (l *load) oldest() int64 {
	oldest := l.sessions.Load()
	for i := range l.visiting {
		if id := l.visiting[i].Load(); id > 0 {
			oldest = min(oldest, id)
		}
	}
	return oldest
}
