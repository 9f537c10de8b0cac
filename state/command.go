package state

import (
	"errors"
	"fmt"
	"time"
)

// Command is one wish to change the state. The kinds are the types below.
type Command interface {
	// Kind is the command's name in audit and history: "set_weights".
	Kind() string
}

// Meta says who asks for a change, why and when. It travels with every
// command into the audit.
type Meta struct {
	By  string    `json:"by"`
	Why string    `json:"why,omitempty"`
	At  time.Time `json:"at"`
	// Facts are what this process sees; nil: nothing, and the rules that need
	// them hold nobody back.
	Facts *Facts `json:"-"`
}

// Pins says what a flip does to the sessions pinned to versions whose share it
// lowers.
type Pins struct {
	// Mode is PinsMove, PinsDrain or PinsKeep; "" takes the command's default.
	Mode PinMode `json:"mode"`
	// For is how long PinsDrain lets sessions finish; 0 means DefaultDrain.
	For time.Duration `json:"for,omitempty"`
}

// PinMode is a choice of what happens to pinned sessions at a flip.
type PinMode string

// The choices. Every one leaves alone the pins of versions whose share rises
// or stays.
const (
	PinsMove  PinMode = "move"  // lowered versions lose their pins at once; their sessions are split anew
	PinsDrain PinMode = "drain" // versions brought to 0 serve their pins until a deadline; lowered ones keep theirs
	PinsKeep  PinMode = "keep"  // as drain, without a deadline
)

// DefaultDrain is how long a drained version serves its pins unless the
// command says otherwise.
const DefaultDrain = 30 * time.Minute

// Declare takes in the services and versions of the file. It is what a start
// and every reload issue. Weights flip a service only where they differ from
// those last taken from the file. Services that the file dropped go, unless a
// version registered by the API is live in them.
type Declare struct {
	Services map[string]DeclaredService `json:"services"`
}

// DeclaredService is one service of the file.
type DeclaredService struct {
	Versions map[string]DeclaredVersion `json:"versions"`
}

// DeclaredVersion is one version of the file.
type DeclaredVersion struct {
	Spec   Spec `json:"spec"`
	Weight int  `json:"weight"`
}

// PutVersion registers a version, dark, or replaces the spec of one that the
// API registered before.
type PutVersion struct {
	Service string `json:"service"`
	Version string `json:"version"`
	Spec    Spec   `json:"spec"`
}

// RemoveVersion takes away a version that the API registered and that is dark.
type RemoveVersion struct {
	Service string `json:"service"`
	Version string `json:"version"`
}

// SetWeights replaces the weights of a service. Versions that Weights leaves
// out get 0. The default for pins is PinsDrain.
type SetWeights struct {
	Service string         `json:"service"`
	Weights map[string]int `json:"weights"`
	Pins    Pins           `json:"pins"`
	Streams Streams        `json:"streams,omitempty"`
	// Force passes over the safety rules; whoever gives it has the permission.
	Force bool `json:"force,omitempty"`
	// Match, if not 0, is the service revision that the caller has seen; any
	// other refuses the command with ErrConflict.
	Match uint64 `json:"match,omitempty"`
}

// Rollback gives all new sessions to the version To, or, where To is empty,
// returns to the weights that were in force before the newest raise. It ends a
// rollout of the service that is under way, and goes back in all its services.
// The default for pins is that of the rollout's policy, else PinsMove.
type Rollback struct {
	Service string  `json:"service"`
	To      string  `json:"to,omitempty"`
	Pins    Pins    `json:"pins"`
	Streams Streams `json:"streams,omitempty"`
	Force   bool    `json:"force,omitempty"` // as SetWeights.Force
	// Rollout, if not "", is the rollout that is to be rolled back: only what it
	// did is taken back, and ErrConflict refuses one that is not under way. "" on
	// a service that has one under way takes back that one, before its first
	// shift the newest raise as ever; either way it ends.
	Rollout string `json:"rollout,omitempty"`
	// Evidence is what decided, where it was a matter of evidence.
	Evidence []Evidence `json:"evidence,omitempty"`
}

// VoidPins makes every pin to a version that was made so far invalid.
type VoidPins struct {
	Service string `json:"service"`
	Version string `json:"version"`
}

// SetDrain starts, prolongs or ends the draining of a version of weight 0.
type SetDrain struct {
	Service string `json:"service"`
	Version string `json:"version"`
	Drain   Drain  `json:"drain"`
}

// SetLevel says which shape is in a service's database now; "" takes that back.
type SetLevel struct {
	Service string `json:"service"`
	Level   string `json:"level"`
}

// SetBarrier sets a service's barrier, or lifts it.
type SetBarrier struct {
	Service string `json:"service"`
	On      bool   `json:"on"`
	// Level, where not "", becomes the service's level with it. A barrier needs
	// one.
	Level string `json:"level,omitempty"`
}

// Kind returns "declare".
func (Declare) Kind() string { return "declare" }

// Kind returns "put_version".
func (PutVersion) Kind() string { return "put_version" }

// Kind returns "remove_version".
func (RemoveVersion) Kind() string { return "remove_version" }

// Kind returns "set_weights".
func (SetWeights) Kind() string { return "set_weights" }

// Kind returns "rollback".
func (Rollback) Kind() string { return "rollback" }

// Kind returns "void_pins".
func (VoidPins) Kind() string { return "void_pins" }

// Kind returns "set_drain".
func (SetDrain) Kind() string { return "set_drain" }

// Kind returns "set_level".
func (SetLevel) Kind() string { return "set_level" }

// Kind returns "set_barrier".
func (SetBarrier) Kind() string { return "set_barrier" }

// Event is what a command changed in one service: a line of the audit.
type Event struct {
	Revision uint64         `json:"revision"`
	At       time.Time      `json:"at"`
	By       string         `json:"by"`
	Why      string         `json:"why,omitempty"`
	Kind     string         `json:"kind"`
	Service  string         `json:"service"`
	Version  string         `json:"version,omitempty"` // the version concerned, where it is one
	Rollout  string         `json:"rollout,omitempty"` // the rollout concerned, where it is one
	Epoch    uint64         `json:"epoch"`
	Before   map[string]int `json:"before"` // weights before
	After    map[string]int `json:"after"`  // weights after
	Detail   string         `json:"detail"` // one sentence for people
	// Forced are the safety rules that force passed over.
	Forced []Rule `json:"forced,omitempty"`
	// Warnings tell what the rules doubted and let pass.
	Warnings []string `json:"warnings,omitempty"`
}

// The reasons for which a command is refused. A Refusal wraps one of them.
var (
	// ErrNotFound is returned when a command names a service or version that
	// does not exist.
	ErrNotFound = errors.New("not found")
	// ErrInvalid is returned when a command is malformed, whatever the state.
	ErrInvalid = errors.New("invalid")
	// ErrRefused is returned when a command would break a rule of the state.
	ErrRefused = errors.New("refused")
	// ErrConflict is returned when the state has moved on since the caller
	// looked: by Apply for SetWeights.Match and for the Seq of a rollout, by a
	// Store for its revision.
	ErrConflict = errors.New("conflict")
)

// Refusal says why a command changed nothing and what would work.
type Refusal struct {
	Reason  error  // one of the sentinels above
	Service string // may be empty
	Version string // may be empty
	Field   string // the command's field at fault, e.g. "weights.v3"; may be empty
	Message string // what is wrong
	Remedy  string // what would work; may be empty
	// Rule is the safety rule that refused, and Obstacles all that stands in the
	// way of such a command; "" and none where it was no safety rule.
	Rule      Rule
	Obstacles []Obstacle
}

// Error returns the message with the remedy.
func (r *Refusal) Error() string {
	if r.Remedy == "" {
		return r.Message
	}
	return fmt.Sprintf("%s; %s", r.Message, r.Remedy)
}

// Unwrap returns the sentinel, for errors.Is.
func (r *Refusal) Unwrap() error { return r.Reason }
