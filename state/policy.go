package state

import "time"

// Policy says how a rollout goes: its stages in order and what to do where the
// evidence does not decide. A rollout keeps the policy that it began with.
type Policy struct {
	// Name is the policy's name in the file, or that of a built-in one.
	Name   string  `json:"name"`
	Stages []Stage `json:"stages"`
	// Gate asks for a person's word (promote) before the first stage.
	Gate bool `json:"gate,omitempty"`
	// OnInconclusive is what happens to a stage whose deadline passes without a
	// decision: InconclusiveHold (the default, ""), InconclusivePromote or
	// InconclusiveRollback.
	OnInconclusive Inconclusive `json:"on_inconclusive,omitempty"`
	// OnPromote and OnRollback say what becomes of pins and streams then. Pins
	// default to PinsDrain and PinsMove.
	OnPromote  Handling `json:"on_promote,omitzero"`
	OnRollback Handling `json:"on_rollback,omitzero"`
	Guards     Guards   `json:"guards,omitzero"`
	// Queue is what a newly started rollout does to those that wait for the same
	// service: QueueSupersede (the default, "") or QueueFIFO.
	Queue QueueMode `json:"queue,omitempty"`
	// Hooks are told of every transition.
	Hooks []Hook `json:"hooks,omitempty"`
}

// Stage is one step of a rollout.
type Stage struct {
	Kind StageKind `json:"kind"`
	// Share is, in hundredths of a percent up to 10,000, the candidate's part of new
	// sessions in a StageShift, from 1 on, and of StageShadow the part of requests
	// that is copied; 0: 1,000. Other stages have none.
	Share int `json:"share,omitempty"`
	// Hold is the least time that the stage lasts, however clear the evidence.
	Hold time.Duration `json:"hold,omitempty"`
	// Deadline is the longest; 0: none. Policy.OnInconclusive says what then.
	Deadline time.Duration `json:"deadline,omitempty"`
	// Passes is how many probes must pass in a row: of StageProbe; 0: 3.
	Passes int `json:"passes,omitempty"`
	// Journeys are what StageProbe runs; none: one GET of the health path, or "/".
	Journeys []string `json:"journeys,omitempty"`
	// Every is the time between probes; 0: 2 s.
	Every time.Duration `json:"every,omitempty"`
	// Gate asks for a person's word before the stage begins.
	Gate bool `json:"gate,omitempty"`
}

// StageKind is what a stage does.
type StageKind string

// The kinds of stages.
const (
	StageProbe  StageKind = "probe"  // synthetic requests to the dark candidate
	StageShadow StageKind = "shadow" // copies of real requests, answers compared and dropped
	StageShift  StageKind = "shift"  // a share of new sessions
	StageBake   StageKind = "bake"   // all new sessions, still watched
)

// Inconclusive is what to do when a stage's deadline passes undecided.
type Inconclusive string

// The choices.
const (
	InconclusiveHold     Inconclusive = "hold"
	InconclusivePromote  Inconclusive = "promote"
	InconclusiveRollback Inconclusive = "rollback"
)

// QueueMode is how rollouts of one service wait for one another.
type QueueMode string

// The choices.
const (
	QueueSupersede QueueMode = "supersede" // the newest waits, those that waited are dropped and told
	QueueFIFO      QueueMode = "fifo"
)

// Handling says what becomes of pins and streams at a flip.
type Handling struct {
	Pins    Pins    `json:"pins,omitzero"`
	Streams Streams `json:"streams,omitempty"`
}

// Guards are the judge's margins and the hard limits that need no judge.
type Guards struct {
	// Alpha bounds the chance that a healthy candidate is rolled back; 0: 0.01.
	Alpha float64 `json:"alpha,omitempty"`
	// Margins are the ratios of bad sessions that a promotion must rule out, by
	// the share to come in hundredths of a percent: the smallest key that is not
	// below that share counts. None: those of the judge.
	Margins map[int]float64 `json:"margins,omitempty"`
	// Latency is by how much the candidate may be slower and still count as
	// equal; 0: 0.1, which is 10%; negative: not at all.
	Latency float64 `json:"latency,omitempty"`
	// Ceiling is the tolerated part of bad requests below which a candidate is
	// good enough whatever the baseline does; 0: 0.001.
	Ceiling float64 `json:"ceiling,omitempty"`
	// Objective is the part of bad requests of both versions together above which
	// the rollout pauses and tells; 0: 0.05. Negative: never.
	Objective float64 `json:"objective,omitempty"`
	// FailuresInARow of the candidate roll back at once; 0: 20, negative: never.
	FailuresInARow int `json:"failures_in_a_row,omitempty"`
}

// Hook is told of the transitions of a rollout: an URL or a command.
type Hook struct {
	URL string `json:"url,omitempty"`
	// Secret names the secret that signs, in the file; the state never holds it.
	Secret string `json:"secret,omitempty"`
	// Command is run with its arguments and the transition as JSON on its input.
	Command []string `json:"command,omitempty"`
	// On are the phases that are told; none: all.
	On []Phase `json:"on,omitempty"`
	// Timeout bounds one try; 0: 10 s.
	Timeout time.Duration `json:"timeout,omitempty"`
}
