// Package routing decides which version of a service answers a request. It is
// pure: Build compiles plain data into an immutable Snapshot, and Decide reads
// that and a Request, which brings the time, the one random draw and the health
// of the versions along.
//
// The order of the steps, the first hit wins: override, rule, pin, split; then
// failover, if the version that they chose can't serve. An override alone does
// not fail over: a tester who asked for one version must not be shown another.
package routing

// Snapshot is the routing table that one request sees, whole. It is immutable
// and safe for concurrent use.
type Snapshot struct {
	Revision uint64 // of the Config

	routes   routeTable
	services []*Service // by name
	places   map[string]place
	verifier verifier
}

// place is where services holds a service: its index and one; 0: nowhere. Routes
// hold places, so that snapshots that differ in a service alone share them.
type place int32

// at returns the service of a place, or nil.
func (s *Snapshot) at(p place) *Service {
	if p == 0 {
		return nil
	}
	return s.services[p-1]
}

// Service returns the service of that name, or nil.
func (s *Snapshot) Service(name string) *Service { return s.at(s.places[name]) }

// Services returns every service, by name. The caller must not change the
// slice.
func (s *Snapshot) Services() []*Service { return s.services }

// Service is a service as compiled. Its fields are for reading alone.
type Service struct {
	Name     string
	Epoch    uint64
	Pin      PinConfig // with its defaults filled in
	Expose   bool
	Versions []*Version // by name
	Rules    []*Rule    // in order

	split split // of the live versions
	set   *set  // nil: the service is in no release set
	// See instead.go.
	shieldStatuses []int
	assets         []string   // prefixes, without trailing slash
	assetOrder     []*Version // whom to ask for one
	pins           *PinTable
	salt           uint64 // hash of the salt, for keyed splits
	hash           uint64 // of the name
}

// Version returns the version of that name, or nil. A service has a handful of
// versions, so looking through them beats hashing the name.
func (s *Service) Version(name string) *Version {
	for _, v := range s.Versions {
		if v.Name == name {
			return v
		}
	}
	return nil
}

// Version is a version as compiled. Its fields are for reading alone.
type Version struct {
	Name       string
	Slot       int // the caller's index
	Weight     int
	Draining   bool
	DrainUntil int64 // Unix time in ns; 0: no deadline
	LeastEpoch uint64
	Writes     string // "": undeclared
	Reads      []string
	// Shield is the version that answers what this one fails; nil: none, as this
	// is the baseline, or dark, or of another shape.
	Shield *Version

	hash uint64 // of the name, for the rendezvous
}

// Mode is where a version stands.
type Mode uint8

// The modes.
const (
	Dark     Mode = iota // reachable by overrides, rules with dark: true and probes alone
	Draining             // weight 0, still serving its pins
	Live                 // weight above 0
)

var modeNames = [...]string{"dark", "draining", "live"}

// String returns "dark", "draining" or "live".
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return "unknown"
}

// Mode returns where the version stands at a moment, in Unix ns.
func (v *Version) Mode(now int64) Mode {
	switch {
	case v.Weight > 0:
		return Live
	case v.Draining && (v.DrainUntil == 0 || now < v.DrainUntil):
		return Draining
	}
	return Dark
}
