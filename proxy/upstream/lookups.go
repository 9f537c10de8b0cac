package upstream

import (
	"context"
	"net"
	"slices"
	"strconv"
	"time"

	"sluice/proxy/upstream/resolve"
)

// lookup follows one name of the configuration through the DNS. Its fields are
// guarded by Cluster.mu.
type lookup struct {
	stop     context.CancelFunc
	found    []resolve.Endpoint // the newest, kept while the DNS fails
	answered bool               // found or failed, once
}

// place is where an endpoint is to be, whether written in the configuration or
// found in the DNS.
type place struct {
	address   string
	authority string
	source    string
	weight    float64
	tier      int
}

// places returns where all endpoints are to be, in the order of the
// configuration. An address that comes twice counts once. The caller holds mu.
func (c *Cluster) places(cfg *Config) []place {
	var all []place
	seen := map[string]bool{}
	add := func(p place) {
		if !seen[p.address] {
			seen[p.address] = true
			all = append(all, p)
		}
	}
	for _, endpoint := range cfg.Endpoints {
		l := c.lookups[endpoint]
		if l == nil {
			add(place{address: endpoint, authority: endpoint, weight: 1})
			continue
		}
		for _, f := range l.found {
			add(place{address: f.Addr.String(), authority: net.JoinHostPort(f.Host, strconv.Itoa(int(f.Addr.Port()))), source: endpoint, weight: f.Weight, tier: f.Tier})
		}
	}
	return all
}

// follow begins to look up the names of a configuration and ends what others
// are looked up; with other servers all begin anew, and keep what they have
// found. The caller holds mu.
func (c *Cluster) follow(old, cfg *Config) {
	anew := !slices.Equal(old.DNSServers, cfg.DNSServers)
	for endpoint, l := range c.lookups {
		if !slices.Contains(cfg.Endpoints, endpoint) {
			l.stop()
			delete(c.lookups, endpoint)
		} else if anew {
			l.stop()
			c.look(endpoint, cfg, l)
		}
	}
	for _, endpoint := range cfg.Endpoints {
		if c.lookups[endpoint] == nil && resolve.IsName(endpoint) {
			c.look(endpoint, cfg, &lookup{})
		}
	}
}

// look begins to look one name up, with what was found of it before.
func (c *Cluster) look(endpoint string, cfg *Config, before *lookup) {
	name, _ := resolve.Parse(endpoint)
	find := c.lookUp
	if find == nil {
		find = (&resolve.Resolver{Servers: slices.Clone(cfg.DNSServers)}).Lookup
	}
	l := &lookup{found: before.found, answered: before.answered}
	var ctx context.Context
	ctx, l.stop = context.WithCancel(c.ctx)
	c.lookups[endpoint] = l
	f := &resolve.Follower{
		Name: name, Lookup: find, Wait: resolve.Wait, Rand: c.rand, Known: before.found,
		Found: func(found []resolve.Endpoint) { c.found(endpoint, l, found) },
		Failed: func(err error, inARow int) {
			c.tell(Event{Kind: LookupFailed, Endpoint: endpoint, Err: err, Repeated: inARow > 1})
			c.found(endpoint, l, nil)
		},
		Recovered: func() { c.tell(Event{Kind: LookupRecovered, Endpoint: endpoint}) },
	}
	c.tasks.Go(func() { f.Run(ctx) })
}

// found takes in what a name was found to stand for; nil after a failure, which
// changes nothing but that nobody waits any more.
func (c *Cluster) found(endpoint string, l *lookup, found []resolve.Endpoint) {
	c.mu.Lock()
	if c.closed || c.lookups[endpoint] != l || found == nil && l.answered {
		c.mu.Unlock()
		return
	}
	l.answered = true
	if found != nil {
		l.found = found
	}
	v := c.view.Load()
	end := c.install(v.cfg, v.way)
	c.mu.Unlock()
	end()
}

// unsettled reports whether a name has neither been found nor failed yet. The
// caller holds mu.
func (c *Cluster) unsettled() bool {
	for _, l := range c.lookups {
		if !l.answered {
			return true
		}
	}
	return false
}

// settle waits, at most as long as a connection may take, until the endpoints
// are known of a version that has just come.
func (c *Cluster) settle(v *view, left time.Duration) *view {
	if v.unsettled == nil {
		return v
	}
	timeout := time.NewTimer(within(v.cfg.ConnectTimeout, left))
	defer timeout.Stop()
	select {
	case <-v.unsettled:
	case <-timeout.C:
	case <-c.ctx.Done():
	}
	return c.view.Load()
}
