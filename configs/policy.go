package configs

import "time"

// Policy says how a rollout goes: its stages in order, and what to do where the
// evidence does not decide.
type Policy struct {
	// Stages are 1 to 32: probes and shadows, then shifts to rising shares, then
	// at most one bake.
	Stages []Stage `yaml:"stages"`
	// Gate asks for a person's word before the first stage. Default false.
	Gate bool `yaml:"gate"`
	// OnInconclusive is what happens to a stage that reaches its deadline
	// undecided; default hold.
	OnInconclusive Inconclusive `yaml:"on_inconclusive"`
	OnPromote      Handling     `yaml:"on_promote"`  // default {pins: drain:30m, streams: finish}
	OnRollback     Handling     `yaml:"on_rollback"` // default {pins: move, streams: finish}
	Guards         Guards       `yaml:"guards"`
	// Queue is what a new rollout does to those that wait for the same service;
	// default supersede.
	Queue QueueMode `yaml:"queue"`
	Hooks []Hook    `yaml:"hooks"` // told of the transitions, 16 at most
}

// Stage is one step of a rollout: one of these.
type Stage struct {
	Probe  *ProbeStage  `yaml:"probe"`
	Shadow *ShadowStage `yaml:"shadow"`
	Shift  *ShiftStage  `yaml:"shift"`
	Bake   *BakeStage   `yaml:"bake"`
}

// ProbeStage sends synthetic requests to the dark candidate.
type ProbeStage struct {
	// Journeys are run; none: those of the service. Where it has none either: one GET
	// of the health path, or of "/".
	Journeys []string `yaml:"journeys"`
	Passes   int      `yaml:"passes"` // in a row; 1 to 1000, default 3
	// Every is the time between probes; 100ms to 1h, default 2s.
	Every time.Duration `yaml:"every"`
	// Deadline is how long the candidate has to pass; 0: for ever; default 10m.
	Deadline time.Duration `yaml:"deadline"`
	Gate     bool          `yaml:"gate"` // asks for a person's word before; default false
}

// ShadowStage sends copies of real requests to the dark candidate, until enough
// answers are compared and Hold is over.
type ShadowStage struct {
	// Share of the requests is copied, of those that the service's Shadow takes:
	// 0.01% to 100%, default 10%.
	Share    Percent       `yaml:"share"`
	Hold     time.Duration `yaml:"hold"`     // the least time; default 0s
	Deadline time.Duration `yaml:"deadline"` // the longest; 0, the default: none
	Gate     bool          `yaml:"gate"`
}

// ShiftStage gives the candidate a share of new sessions. It ends as soon as the
// judge has the evidence and Hold is over.
type ShiftStage struct {
	Share    Percent       `yaml:"share"`    // of new sessions: 0.01% to 100%
	Hold     time.Duration `yaml:"hold"`     // the least time; default 0s
	Deadline time.Duration `yaml:"deadline"` // the longest; 0, the default: none
	Gate     bool          `yaml:"gate"`
}

// BakeStage gives the candidate all new sessions and goes on watching it.
type BakeStage struct {
	Hold     time.Duration `yaml:"hold"`     // how long; default 1h
	Deadline time.Duration `yaml:"deadline"` // the longest; 0, the default: none
	Gate     bool          `yaml:"gate"`
}

// Handling says what becomes of pins and streams at a flip.
type Handling struct {
	Pins    FlipPins   `yaml:"pins"`
	Streams StreamMode `yaml:"streams"`
}

// Guards are the judge's margins, and the limits that need no judge.
type Guards struct {
	// Alpha bounds the chance that a healthy candidate is rolled back: 0.01% to
	// 20%, default 1%.
	Alpha Fraction `yaml:"alpha"`
	// Margins are the ratios of bad sessions that a promotion must rule out, by
	// the share to come: the least key that is not below it counts. Ratios are
	// 1.1 to 100. Default {5%: 4, 25%: 3, 50%: 2, 100%: 1.5}.
	Margins map[Percent]float64 `yaml:"margins"`
	// Latency is by how much the candidate may be slower and still count as
	// equal: 0% to 1000%, default 10%, since two sets of hosts are never quite
	// alike.
	Latency Fraction `yaml:"latency"`
	// Ceiling is the part of bad sessions below which a candidate is good enough
	// whatever the baseline does: above 0%, to 50%; default 0.1%.
	Ceiling Fraction `yaml:"ceiling"`
	// Objective is the part of bad requests of both versions together above which
	// the rollout pauses: 0% to 100%; 0%: never; default 5%.
	Objective Fraction `yaml:"objective"`
	// FailuresInARow of the candidate roll back at once; 0: never; default 20.
	FailuresInARow int `yaml:"failures_in_a_row"`
}

// Hook is told of the transitions of a rollout: an URL by POST, or a command.
type Hook struct {
	URL string `yaml:"url"`
	// SecretFile holds the secret that signs what is sent to URL, of at least 32
	// bytes; newlines at its end are not part of it. "": it is not signed.
	SecretFile string `yaml:"secret_file"`
	// Command is run with its arguments, without a shell, and gets the transition
	// as JSON on its input.
	Command []string `yaml:"command"`
	On      []Phase  `yaml:"on"` // the phases that are told; none: all
	// Timeout bounds one try: 100ms to 5m, default 10s.
	Timeout time.Duration `yaml:"timeout"`

	Secret Secret `yaml:"-"` // what SecretFile holds, as read by Load
}

// BuiltinPolicies returns the names of the policies that need no file.
func BuiltinPolicies() []string { return []string{"standard", "cautious", "blue-green", "manual"} }

func (p *Policy) setDefaults() {
	*p = Policy{
		OnInconclusive: InconclusiveHold, Queue: QueueSupersede,
		OnPromote:  Handling{Pins: FlipPins{Mode: FlipDrain, For: 30 * time.Minute}, Streams: StreamsFinish},
		OnRollback: Handling{Pins: FlipPins{Mode: FlipMove}, Streams: StreamsFinish},
		Guards:     Guards{Alpha: 0.01, Latency: 0.1, Ceiling: 0.001, Objective: 0.05, FailuresInARow: 20},
	}
}

func (p *ProbeStage) setDefaults() {
	*p = ProbeStage{Passes: 3, Every: 2 * time.Second, Deadline: 10 * time.Minute}
}

func (s *ShadowStage) setDefaults() { *s = ShadowStage{Share: 1000} }

func (b *BakeStage) setDefaults() { *b = BakeStage{Hold: time.Hour} }

func (h *Hook) setDefaults() { *h = Hook{Timeout: 10 * time.Second} }
