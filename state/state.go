// Package state is the desired state of the services: which versions there
// are, how new sessions are split between them, which pins still hold, and who
// decided so. Apply is pure; a Store keeps what it returns.
package state

import (
	"maps"
	"slices"
	"time"
)

// State is all desired state at one revision. It is a value: whoever holds it
// never changes it or what it points to; Apply copies what it touches.
type State struct {
	// Revision counts commits, from 0 for an empty store. It is what
	// compare-and-swap compares.
	Revision uint64              `json:"revision"`
	Services map[string]*Service `json:"services"`
	// Rollouts are those under way and in the queue, and the newest that have
	// ended, by ID.
	Rollouts map[string]*Rollout `json:"rollouts,omitempty"`
}

// Service is the desired state of one service.
type Service struct {
	Name string `json:"name"`
	// Revision is the state's revision that last changed this service: the
	// ETag of its resource in the API.
	Revision uint64 `json:"revision"`
	// Epoch counts the changes of weights and the voidings of pins. A pin
	// carries the epoch in which it was made.
	Epoch    uint64              `json:"epoch"`
	Versions map[string]*Version `json:"versions"`
	// FileWeights are the weights last taken from the file. Only a file that
	// differs from them flips the service again.
	FileWeights map[string]int `json:"file_weights,omitempty"`
	// Level is the shape that is in the database now; "": not said.
	Level string `json:"level,omitempty"`
	// Barrier, where set, keeps traffic from versions that can't read Level.
	Barrier bool `json:"barrier,omitempty"`
	// Salt makes keyed splits of each rollout fall otherwise, and alike in all
	// services of a release set: the ID of the newest rollout that gave its
	// candidate sessions; "": there was none.
	Salt string `json:"salt,omitempty"`
	// Flips are the changes of weights, oldest first, at most MaxFlips.
	Flips []Flip `json:"flips,omitempty"`
}

// MaxFlips is how many changes of weights a service remembers.
const MaxFlips = 100

// MaxVersions is how many versions a service may have at a time.
const MaxVersions = 1000

// MaxWeight is the largest weight of a version. It keeps sums of weights far
// from overflow and lets shares go down to 0.0001%.
const MaxWeight = 1_000_000

// Version is one deployed build of a service.
type Version struct {
	Name string `json:"name"`
	Spec Spec   `json:"spec"`
	// Origin says who declared the version: the file or the API. The file's
	// versions go when the file drops them, the API's when the API does.
	Origin Origin `json:"origin"`
	// Weight is the version's share of new sessions, relative to its siblings.
	Weight int `json:"weight"`
	// Drain tells whether a version of weight 0 still serves its pins.
	Drain Drain `json:"drain"`
	// LeastEpoch is the oldest epoch whose pins the version still accepts.
	LeastEpoch uint64 `json:"least_epoch"`
	// Added is the state's revision that added the version; 0: before states
	// knew it.
	Added uint64 `json:"added,omitempty"`
}

// Spec is what a version is, as declared by the file or at registration.
type Spec struct {
	Endpoints []string            `json:"endpoints"`
	Shape     *Shape              `json:"shape,omitempty"`
	Provides  []string            `json:"provides,omitempty"`
	Requires  map[string][]string `json:"requires,omitempty"`
	Tags      map[string]string   `json:"tags,omitempty"`
	// Capacity is how many requests a second one endpoint serves; 0: not declared.
	Capacity int `json:"capacity,omitempty"`
}

// Shape is the data shape that a version writes and the ones it can read.
type Shape struct {
	Writes string   `json:"writes"`
	Reads  []string `json:"reads"`
}

// Drain is how a version of weight 0 treats the sessions pinned to it. The
// zero value is no draining: weight 0 is dark.
type Drain struct {
	// On is set while the version serves its pinned sessions.
	On bool `json:"on,omitempty"`
	// Until ends the draining; the zero time means until the pins run out.
	Until time.Time `json:"until,omitzero"`
}

// Origin says who declared a version.
type Origin string

// The origins of versions.
const (
	FromFile Origin = "file"
	FromAPI  Origin = "api"
)

// Mode is where a version stands (DESIGN, section 2).
type Mode string

// The modes of a version.
const (
	Live     Mode = "live"
	Draining Mode = "draining"
	Dark     Mode = "dark"
)

// Mode returns where the version stands at a moment.
func (v *Version) Mode(now time.Time) Mode {
	switch {
	case v.Weight > 0:
		return Live
	case v.Drain.On && (v.Drain.Until.IsZero() || now.Before(v.Drain.Until)):
		return Draining
	}
	return Dark
}

// Flip is one replacement of a service's weights, as remembered for history
// and rollback.
type Flip struct {
	Epoch uint64    `json:"epoch"` // the epoch that the flip began
	At    time.Time `json:"at"`
	By    string    `json:"by"`
	Why   string    `json:"why,omitempty"`
	Kind  string    `json:"kind"` // the command that flipped: "set_weights", "rollback", "declare", …
	Pins  Pins      `json:"pins"`
	// Streams is StreamsClose or, for those that finish, "".
	Streams Streams        `json:"streams,omitempty"`
	Before  map[string]int `json:"before"`
	After   map[string]int `json:"after"`
	// Undoes is set on a rollback: the epoch of the oldest flip that it took
	// back. That flip and all later ones up to the rollback no longer count
	// when the next rollback looks for the newest raise.
	Undoes uint64 `json:"undoes,omitempty"`
	// Rollout is the rollout that flipped; a rollback takes back all its flips
	// as one.
	Rollout string `json:"rollout,omitempty"`
}

// Weights returns the weight of every version of the service.
func (s *Service) Weights() map[string]int {
	w := make(map[string]int, len(s.Versions))
	for name, v := range s.Versions {
		w[name] = v.Weight
	}
	return w
}

// VersionNames returns the names of the service's versions in order.
func (s *Service) VersionNames() []string { return slices.Sorted(maps.Keys(s.Versions)) }
