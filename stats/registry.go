// Package stats counts what the proxy does: per version its requests, their
// durations, sessions, pins and failures; per process what no version answers
// for. Counting costs some tens of nanoseconds a request and no allocation:
// each shard of connections adds to counters of its own, and readers sum them
// up. Snapshot serves the API, Collector Prometheus.
package stats

import (
	"cmp"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Defaults of Options.
const (
	DefaultSessionWindow = 10 * time.Minute
	DefaultMaxExposed    = 10_000
)

// maxShards bounds the memory of a busy version: a shard takes about 5 KB.
const maxShards = 64

// maxReasons leaves room for "unknown" among 256 places.
const maxReasons = 255

// Options are the settings of a Registry. The zero value works.
type Options struct {
	// Reasons are the names of the reasons for which a version was chosen, by
	// reason number; a rule's own name does not belong in them. Numbers beyond
	// them, and beyond 254, count as "unknown".
	Reasons []string
	// Shards is how many sets of counters a version has at most. It is rounded
	// up to a power of two, at most 64; 0 or less means one for each core that
	// Go uses.
	Shards int
	// Now returns unix nanoseconds; nil means the system's clock.
	Now func() int64
	// SessionWindow is how long a session counts as live after a request, to
	// within a fifth; 0 or less means DefaultSessionWindow.
	SessionWindow time.Duration
	// MaxExposed is how many versions have Prometheus series of their own;
	// those made when so many exist are summed up as service "_other". 0 or
	// less means DefaultMaxExposed.
	MaxExposed int
	// Seed makes it unpredictable how sessions are sketched, so that clients,
	// who may choose their session ids, cannot inflate an estimate. 0 draws it
	// at random.
	Seed uint64
	// Describe returns what the desired state says of a version, and false if
	// there is no such version. Nil means that weights are not known.
	Describe func(service, version string) (Description, bool)
	// Certificates returns the certificates in force, each listener and name
	// once. Nil means that there are none.
	Certificates func() []Certificate
	// Rollouts returns the rollouts under way, each service once. Nil means that
	// there are none.
	Rollouts func() []Rollout
	// Probes returns how journeys do against versions, each pair once, and how often
	// those of a version were skipped. Nil means that there are none.
	Probes func() ([]Probe, []SkippedProbes)
	// Compared returns the comparisons of answers to copies of requests, each version
	// of a service once. Nil means that there are none.
	Compared func() []Compared
}

// Description is what is known of a version besides what is counted.
type Description struct {
	Weight int               // share of new sessions, relative to its siblings
	Tags   map[string]string // may be empty; not to be changed
	Shape  string            // the shape that it writes; may be empty
	// Pending is how many requests wait for a connection now.
	Pending int
}

// Registry holds the counters of a process. All methods are safe for
// concurrent use.
type Registry struct {
	opts       Options
	shards     int
	seed       uint64
	now        func() int64
	sliceNanos int64

	reasonNames []string   // without repetitions; the first is "unknown"
	reasonCells [256]uint8 // for each reason number, its place in reasonNames

	mu       sync.RWMutex
	services map[string]map[string]*Version
	exposed  int

	process process
	edge    edge
}

// New returns a registry without versions.
func New(opts Options) *Registry {
	r := &Registry{
		opts:     opts,
		shards:   shardCount(opts.Shards),
		seed:     opts.Seed,
		now:      opts.Now,
		services: make(map[string]map[string]*Version),
	}
	r.nameReasons(opts.Reasons)
	if r.seed == 0 {
		r.seed = rand.Uint64()
	}
	if r.now == nil {
		r.now = func() int64 { return time.Now().UnixNano() }
	}
	if r.opts.SessionWindow <= 0 {
		r.opts.SessionWindow = DefaultSessionWindow
	}
	r.sliceNanos = max(int64(r.opts.SessionWindow)/windowSlices, 1)
	if r.opts.MaxExposed <= 0 {
		r.opts.MaxExposed = DefaultMaxExposed
	}
	return r
}

// nameReasons gives each reason number the place of its name. A name that
// occurs twice is one reason, as it must be in Prometheus; none is "unknown".
func (r *Registry) nameReasons(names []string) {
	r.reasonNames = []string{"unknown"}
	for n, name := range names[:min(len(names), maxReasons)] {
		name = valid(name)
		place := slices.Index(r.reasonNames, name)
		if place < 0 && name != "" {
			place = len(r.reasonNames)
			r.reasonNames = append(r.reasonNames, name)
		}
		r.reasonCells[n] = uint8(max(place, 0))
	}
}

// valid repairs a text that is not UTF-8, which no Prometheus label can hold.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// shardCount returns the least power of two that is not below n.
func shardCount(n int) int {
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	shards := 1
	for shards < n && shards < maxShards {
		shards *= 2
	}
	return shards
}

// Version returns the counters of a version, and makes them at the first call.
// The same names give the same pointer until Forget, so that counts outlive
// changes of the routing table.
func (r *Registry) Version(service, version string) *Version {
	r.mu.RLock()
	v := r.services[service][version]
	r.mu.RUnlock()
	if v != nil {
		return v
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if v := r.services[service][version]; v != nil {
		return v
	}
	if r.services[service] == nil {
		r.services[service] = make(map[string]*Version)
	}
	v = &Version{registry: r, service: service, name: version}
	v.exposed = r.exposed < r.opts.MaxExposed && service != other && utf8.ValidString(service) && utf8.ValidString(version)
	if v.exposed {
		r.exposed++
	}
	r.services[service][version] = v
	return v
}

// Forget drops the counters of a version, and with them its Prometheus series.
// Whoever still holds the pointer may go on counting; nobody reads it.
func (r *Registry) Forget(service, version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v := r.services[service][version]
	if v == nil {
		return
	}
	if v.exposed {
		r.exposed--
	}
	delete(r.services[service], version)
	if len(r.services[service]) == 0 {
		delete(r.services, service)
	}
}

// versions returns the versions, of one service or, if it is "", of all, by
// service and name.
func (r *Registry) versions(service string) []*Version {
	var all []*Version
	r.mu.RLock()
	for name, versions := range r.services {
		if service != "" && name != service {
			continue
		}
		for _, v := range versions {
			all = append(all, v)
		}
	}
	r.mu.RUnlock()
	slices.SortFunc(all, func(a, b *Version) int {
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.name, b.name))
	})
	return all
}

// period returns the number of the session window's slice at a moment.
func (r *Registry) period(now int64) int64 { return now / r.sliceNanos }

// describe returns what the desired state says of a version.
func (r *Registry) describe(v *Version) (Description, bool) {
	if r.opts.Describe == nil {
		return Description{}, false
	}
	return r.opts.Describe(v.service, v.name)
}
