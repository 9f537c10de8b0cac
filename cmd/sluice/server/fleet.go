package server

import (
	"maps"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"sluice/configs"
	"sluice/proxy"
	"sluice/proxy/upstream"
	"sluice/routing"
	"sluice/state"
	"sluice/stats"
)

// fleet is what outlives a table: the way to each version, with its
// connections and its slot, and the remembered pins of each service.
type fleet struct {
	log     *zap.Logger
	stats   *stats.Registry
	onEvent func(upstream.Event)

	members map[string]map[string]*member // by service and version
	pins    map[string]pinTable
	rates   map[string]serviceRates
	trials  map[string]onTrial // of the services with a rollout under way
	copied
	size    int   // slots ever given out
	free    []int // those of them that nobody has
	retired retired
}

// member is a version as the data path reaches it, from when it is registered
// until it is removed.
type member struct {
	slot    int // of the version in every table
	cluster *upstream.Cluster
	config  upstream.Config // of the cluster
	stats   *stats.Version
}

// pinTable is a service's table of pins and the capacity that it was made for.
type pinTable struct {
	table    *routing.PinTable
	capacity int
}

func newFleet(log *zap.Logger, r *stats.Registry, onEvent func(upstream.Event)) fleet {
	return fleet{
		log: log, stats: r, onEvent: onEvent,
		members: map[string]map[string]*member{}, pins: map[string]pinTable{}, rates: map[string]serviceRates{}, trials: map[string]onTrial{},
		copied: newCopied(),
	}
}

// member returns a version's member, brought up to date. A version that this
// build can't reach, as a state written by another build may have it, is one
// without endpoints: it must not keep the other versions from being changed.
func (f *fleet) member(service string, declared *configs.Service, v *state.Version) (*member, error) {
	config := clusterConfig(service, declared, v)
	m := f.members[service][v.Name]
	if m != nil && sameConfig(config, m.config) {
		return m, nil
	}
	wanted := config
	if err := config.Validate(); err != nil {
		f.log.Error("a version is served without endpoints, since they can't be reached",
			zap.String("service", service), zap.String("version", v.Name), zap.Error(err))
		config.Endpoints = nil
	}
	if m == nil {
		return f.join(service, v.Name, wanted, config)
	}
	m.config = wanted
	return m, m.cluster.Update(config)
}

// join makes the member of a version that is new.
func (f *fleet) join(service, version string, wanted, config upstream.Config) (*member, error) {
	m := &member{config: wanted, stats: f.stats.Version(service, version)}
	var err error
	m.cluster, err = upstream.New(config, upstream.Deps{Log: f.log, OnEvent: func(e upstream.Event) {
		switch e.Kind {
		case upstream.Ejected:
			m.stats.Ejected(1)
		case upstream.LookupFailed:
			m.stats.LookupFailed()
		case upstream.Shortage:
			f.stats.DescriptorsExhausted()
		}
		if !e.Repeated {
			f.onEvent(e)
		}
	}})
	if err != nil {
		return nil, err
	}
	if n := len(f.free); n > 0 {
		m.slot, f.free = f.free[n-1], f.free[:n-1]
	} else {
		m.slot = f.size
		f.size++
	}
	if f.members[service] == nil {
		f.members[service] = map[string]*member{}
	}
	f.members[service][version] = m
	return m, nil
}

// sameConfig tells whether two clusters are configured alike.
func sameConfig(a, b upstream.Config) bool {
	return slices.Equal(a.Endpoints, b.Endpoints) && slices.Equal(a.DNSServers, b.DNSServers) &&
		a.HTTP2 == b.HTTP2 && a.ProxyProtocol == b.ProxyProtocol && a.TLS.Equal(b.TLS) && a.Health == b.Health && a.Outlier == b.Outlier &&
		a.ConnectTimeout == b.ConnectTimeout && a.IdleTimeout == b.IdleTimeout && a.MaxConnections == b.MaxConnections &&
		a.MaxPending == b.MaxPending && a.PendingTimeout == b.PendingTimeout && a.Balance == b.Balance && a.SlowStart == b.SlowStart
}

// cluster returns the endpoints of a version, nil if it has no member.
func (f *fleet) cluster(service, version string) *upstream.Cluster {
	if m := f.members[service][version]; m != nil {
		return m.cluster
	}
	return nil
}

// target returns the member as the data path sees it.
func (m *member) target(declared *configs.Service, v *state.Version) proxy.Target {
	t := proxy.Target{Cluster: m.cluster, Stats: m.stats, Settings: settings(declared), Tags: v.Spec.Tags}
	if v.Spec.Shape != nil {
		t.Shape = v.Spec.Shape.Writes
	}
	return t
}

// pinTable returns the table of a service whose sessions have keys of the
// application's, and nil for others.
func (f *fleet) pinTable(service string, declared *configs.Service) *routing.PinTable {
	switch declared.Pin.By.Kind {
	case configs.PinCookie, configs.PinNone:
		delete(f.pins, service)
		return nil
	}
	p, has := f.pins[service]
	if !has || p.capacity != declared.Pin.MaxKeys {
		p = pinTable{routing.NewPinTable(declared.Pin.MaxKeys), declared.Pin.MaxKeys}
		f.pins[service] = p
	}
	return p.table
}

// retire lets go what a file and a state no longer have, among these services.
func (f *fleet) retire(services []string, file *configs.File, st state.State) {
	for _, name := range services {
		svc := st.Services[name]
		if svc == nil || file.Services[name] == nil {
			svc = &state.Service{}
			delete(f.pins, name)
			delete(f.rates, name)
			delete(f.trials, name)
			delete(f.compared, name)
		}
		f.compared[name].retire(svc)
		for version, m := range f.members[name] {
			if svc.Versions[version] != nil {
				continue
			}
			delete(f.members[name], version)
			f.free = append(f.free, m.slot)
			f.stats.Forget(name, version)
			f.retired.add(m.cluster)
		}
		if len(f.members[name]) == 0 {
			delete(f.members, name)
		}
	}
}

// close closes every cluster.
func (f *fleet) close() {
	for _, versions := range f.members {
		for _, m := range versions {
			m.cluster.Close()
		}
	}
	f.retired.close()
}

// retireAfter is how long a version that was removed still gives connections:
// requests that the table before has decided come a moment later.
const retireAfter = 5 * time.Second

// retired are the clusters that no table has any more and that are still open.
// The zero value is empty.
type retired struct {
	mu   sync.Mutex
	open map[*upstream.Cluster]*time.Timer
}

// add closes a cluster when its time has come.
func (r *retired) add(c *upstream.Cluster) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open = map[*upstream.Cluster]*time.Timer{}
	}
	r.open[c] = time.AfterFunc(retireAfter, func() {
		c.Close()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.open, c)
	})
}

// close closes at once what is left.
func (r *retired) close() {
	r.mu.Lock()
	left := maps.Clone(r.open)
	r.mu.Unlock()
	for c, timer := range left {
		timer.Stop()
		c.Close()
	}
}
