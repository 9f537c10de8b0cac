package upstream

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/proxy/upstream/resolve"
)

// names is a DNS for tests: lookups are answered as it is set, as soon as it is
// set.
type names struct {
	mu     sync.Mutex
	answer map[string][]resolve.Endpoint // by host
	failed map[string]error
	turn   chan struct{} // closed at each change
	asked  int
}

func newNames() *names {
	return &names{answer: map[string][]resolve.Endpoint{}, failed: map[string]error{}, turn: make(chan struct{})}
}

// set says what a host has: addresses of servers.
func (n *names) set(host string, addresses ...string) {
	var all []resolve.Endpoint
	for _, a := range addresses {
		all = append(all, resolve.Endpoint{Addr: netip.MustParseAddrPort(a), Host: host, Weight: 1})
	}
	n.put(host, all, nil)
}

func (n *names) put(host string, all []resolve.Endpoint, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answer[host], n.failed[host] = all, err
	close(n.turn)
	n.turn = make(chan struct{})
}

// lookUp blocks while nothing is set of a name, and is for Deps.
func (n *names) lookUp(ctx context.Context, name resolve.Name) (resolve.Answer, error) {
	for {
		n.mu.Lock()
		all, err, turn := n.answer[name.Host], n.failed[name.Host], n.turn
		n.asked++
		n.mu.Unlock()
		if err != nil || all != nil {
			return resolve.Answer{Endpoints: slices.Clone(all), TTL: time.Second}, err
		}
		select {
		case <-ctx.Done():
			return resolve.Answer{}, ctx.Err()
		case <-turn:
		}
	}
}

// addresses are those of all endpoints.
func addresses(c *Cluster) string {
	var all []string
	for _, s := range c.Status() {
		all = append(all, s.Address)
	}
	return strings.Join(all, " ")
}

// named is a configuration with one name.
func named(endpoints ...string) Config {
	cfg := quietly()
	cfg.Endpoints = endpoints
	return cfg
}

func TestEndpointsFromTheDNS(t *testing.T) {
	a, b := serveTCP(t), serveTCP(t)
	n := newNames()
	n.set("web", a.address)
	var ev events
	c := start(t, named("dns://web:80"), Deps{LookUp: n.lookUp, OnEvent: ev.add})
	conn := acquire(t, c, Acquire{}) // waits for the first answer
	mustEcho(t, conn)
	conn.Release(Reusable)
	if s := c.Status()[0]; s.Address != a.address || s.Source != "dns://web:80" {
		t.Errorf("status: %+v", s)
	}
	if want := "web:" + a.address[strings.LastIndex(a.address, ":")+1:]; conn.Endpoint.Authority != want {
		t.Errorf("authority is %s, want %s", conn.Endpoint.Authority, want)
	}
	n.set("web", a.address, b.address)
	await(t, "the second address", func() bool { _, total := c.Counts(); return total == 2 })
	if c.Status()[slices.IndexFunc(c.Status(), func(s EndpointStatus) bool { return s.Address == a.address })].Idle != 1 {
		t.Error("the endpoint that stayed lost its pool")
	}
	n.put("web", nil, errors.New("the DNS is down"))
	await(t, "the failure", func() bool { _, ok := ev.has(LookupFailed, "dns://web:80"); return ok })
	if _, total := c.Counts(); total != 2 || !c.Usable() {
		t.Error("endpoints were lost with the DNS")
	}
	n.set("web", b.address)
	await(t, "one address alone", func() bool { return addresses(c) == b.address })
	await(t, "the recovery", func() bool { _, ok := ev.has(LookupRecovered, "dns://web:80"); return ok })
}

func TestNamesAndAddressesTogether(t *testing.T) {
	n := newNames()
	n.set("web", "127.0.0.1:81", "127.0.0.1:82")
	n.set("api", "127.0.0.1:82", "127.0.0.1:83")
	c := start(t, named("127.0.0.1:80", "dns://web:80", "dns://api:80"), Deps{LookUp: n.lookUp})
	await(t, "all addresses, each once", func() bool {
		return addresses(c) == "127.0.0.1:80 127.0.0.1:81 127.0.0.1:82 127.0.0.1:83"
	})
	if err := c.Update(named("dns://api:80", "127.0.0.1:80")); err != nil {
		t.Fatal(err)
	}
	if got := addresses(c); got != "127.0.0.1:82 127.0.0.1:83 127.0.0.1:80" {
		t.Errorf("after a name was dropped: %s", got)
	}
	// Other servers are asked anew; what was found stays meanwhile.
	n.put("api", nil, nil)
	cfg := named("dns://api:80")
	cfg.DNSServers = []string{"127.0.0.1:53"}
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	if got := addresses(c); got != "127.0.0.1:82 127.0.0.1:83" {
		t.Errorf("with other servers: %s", got)
	}
	n.set("api", "127.0.0.1:84")
	await(t, "the new answer", func() bool { return addresses(c) == "127.0.0.1:84" })
}

func TestWaitingForTheFirstLookup(t *testing.T) {
	n := newNames()
	cfg := named("dns://web:80")
	cfg.ConnectTimeout = 30 * time.Millisecond
	c := start(t, cfg, Deps{LookUp: n.lookUp})
	if !c.Usable() {
		t.Error("not usable before the first lookup has ended")
	}
	if _, err := c.Acquire(Acquire{}); err != ErrNoEndpoint {
		t.Errorf("got %v", err)
	}
	n.put("web", nil, errors.New("down"))
	await(t, "the verdict", func() bool { return !c.Usable() })
	if _, err := c.Acquire(Acquire{}); err != ErrNoEndpoint {
		t.Errorf("got %v", err)
	}

	// Closing wakes who waits.
	slow := start(t, named("dns://other:80"), Deps{LookUp: n.lookUp})
	failed := make(chan error)
	go func() { _, err := slow.Acquire(Acquire{}); failed <- err }()
	slow.Close()
	if err := <-failed; err != ErrNoEndpoint {
		t.Errorf("got %v", err)
	}
}

// A lookup that hangs keeps nobody from the addresses that are known.
func TestSlowLookupBlocksNobody(t *testing.T) {
	s := serveTCP(t)
	n := newNames()
	n.set("web", s.address)
	c := start(t, named("dns://web:80", "dns://slow:80"), Deps{LookUp: n.lookUp})
	await(t, "the address", func() bool { _, total := c.Counts(); return total == 1 })
	n.put("web", nil, nil) // from now on nothing is answered
	begun := time.Now()
	conn := acquire(t, c, Acquire{})
	mustEcho(t, conn)
	conn.Release(Reusable)
	if took := time.Since(begun); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

// Those of the first tier serve; the next only when none of these can.
func TestTiers(t *testing.T) {
	first, second := serveTCP(t), serveTCP(t)
	n := newNames()
	n.put("web", []resolve.Endpoint{
		{Addr: netip.MustParseAddrPort(second.address), Host: "web", Weight: 1, Tier: 1},
		{Addr: netip.MustParseAddrPort(first.address), Host: "web", Weight: 1},
	}, nil)
	c := start(t, named("dns://web:80"), Deps{LookUp: n.lookUp})
	for range 20 {
		conn := acquire(t, c, Acquire{})
		if conn.Endpoint.Address != first.address {
			t.Fatal("the second tier is asked before the first has failed")
		}
		conn.Release(Reusable)
	}
	if healthy, total := c.Counts(); healthy != 2 || total != 2 {
		t.Errorf("%d of %d are healthy", healthy, total)
	}
	for range DefaultConsecutive {
		acquire(t, c, Acquire{}).Release(Failed)
	}
	conn := acquire(t, c, Acquire{})
	if conn.Endpoint.Address != second.address {
		t.Error("the second tier is not asked though the first is ejected")
	}
	conn.Release(Reusable)
}
