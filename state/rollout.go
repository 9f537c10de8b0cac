package state

import "time"

// Rollout moves one service, or several as one (a release set), from baseline to
// candidate.
type Rollout struct {
	// ID is "r" and the revision that began it.
	ID string `json:"id"`
	// Revision is the state's revision that last changed this rollout.
	Revision uint64 `json:"revision"`
	// Set is the name of the release set; "" for a single service.
	Set    string `json:"set,omitempty"`
	Legs   []Leg  `json:"legs"` // at least one, of different services, by service
	Policy Policy `json:"policy"`
	Phase  Phase  `json:"phase"`
	// Was is the phase that PhasePaused interrupts.
	Was Phase `json:"was,omitempty"`
	// Stage is the place in Policy.Stages; meaningless before the first has begun.
	Stage int `json:"stage"`
	// Seq counts the transitions and orders; a MoveRollout names the one it
	// follows.
	Seq uint64 `json:"seq"`
	// Place orders the queue of a service, lowest first.
	Place int64 `json:"place,omitempty"`
	// Force passes over the safety rules of shapes, needs and capacity; whoever
	// started it had the permission.
	Force bool `json:"force,omitempty"`
	// Order is what a person asked for and the machine has not carried out.
	Order *Order `json:"order,omitempty"`

	By         string    `json:"by"`
	Why        string    `json:"why,omitempty"`
	Created    time.Time `json:"created"`
	Began      time.Time `json:"began,omitzero"`       // left the queue
	StageBegan time.Time `json:"stage_began,omitzero"` // of the stage, of the pause, or of what followed it
	// Spent is how much of the stage's time had passed when the last pause began;
	// see Elapsed.
	Spent time.Duration `json:"spent,omitempty"`
	Ended time.Time     `json:"ended,omitzero"`
	// Moves are the transitions, oldest first, at most MaxMoves.
	Moves []Move `json:"moves,omitempty"`
}

// MaxMoves is how many transitions a rollout remembers; those in the middle go
// first.
const MaxMoves = 200

// Leg is a rollout's part in one service.
type Leg struct {
	Service   string `json:"service"`
	Candidate string `json:"candidate"`
	// Baseline is the yardstick: the live version with the most weight when the
	// rollout left the queue, and again when its first shift began.
	Baseline string `json:"baseline,omitempty"`
	// Before are the weights to which a rollback returns.
	Before map[string]int `json:"before,omitempty"`
	// Since is the epoch of the first shift. 0: the candidate has had no session
	// yet.
	Since uint64 `json:"since,omitempty"`
	// Cohort is the epoch of the newest shift, or of the start of a process after
	// it: only sessions pinned in it or later are compared. Those of before, whose
	// shares were others, would fail at other ages in the one version than in the
	// other (package judge).
	Cohort uint64 `json:"cohort,omitempty"`
}

// Phase is where a rollout stands.
type Phase string

// The phases. Every one from PhasePromoted on is an end. Which may follow which
// is in transitions.
const (
	PhaseQueued      Phase = "queued"       // waits for its turn
	PhaseGated       Phase = "gated"        // waits for a person's word
	PhaseProbing     Phase = "probing"      // the dark candidate answers synthetic requests
	PhaseShadowing   Phase = "shadowing"    // it answers copies of real ones
	PhaseShifting    Phase = "shifting"     // it serves a share of new sessions
	PhaseBaking      Phase = "baking"       // it serves all new sessions and is still watched
	PhasePaused      Phase = "paused"       // nothing moves; the weights stay
	PhaseRollingBack Phase = "rolling_back" // the weights go back; not durable yet
	PhasePromoted    Phase = "promoted"
	PhaseRolledBack  Phase = "rolled_back"
	PhaseAborted     Phase = "aborted"
	PhaseSuperseded  Phase = "superseded"
)

// Over tells whether a rollout in this phase has ended.
func (p Phase) Over() bool {
	switch p {
	case PhasePromoted, PhaseRolledBack, PhaseAborted, PhaseSuperseded:
		return true
	}
	return false
}

// Order is a person's wish about a rollout.
type Order struct {
	Action Action    `json:"action"`
	By     string    `json:"by"`
	Why    string    `json:"why,omitempty"`
	At     time.Time `json:"at"`
}

// Action is what a person asks of a rollout.
type Action string

// The actions.
const (
	ActionPause   Action = "pause"
	ActionResume  Action = "resume"
	ActionPromote Action = "promote" // go on to the next stage now; opens a gate
	ActionAbort   Action = "abort"   // end it, with the weights of before
)

// Move is one transition of a rollout.
type Move struct {
	Seq   uint64    `json:"seq"` // the rollout's afterwards
	At    time.Time `json:"at"`
	By    string    `json:"by"` // "judge", "guard", "alarm", "probe", "shadow", "stage", "deadline", "queue", "rules", or who asked
	From  Phase     `json:"from"`
	To    Phase     `json:"to"`
	Stage int       `json:"stage"`
	Share int       `json:"share,omitempty"` // the candidate's from then on, as Stage.Share
	Why   string    `json:"why"`             // one or two sentences for people
	// Evidence is what decided, one for each leg; none where it was no matter of
	// evidence.
	Evidence []Evidence `json:"evidence,omitempty"`
}

// Evidence is what the judge saw of one leg at a moment, in plain numbers that
// an engineer can check, or what copies of requests told. Logarithms are natural.
type Evidence struct {
	Service  string    `json:"service"`
	At       time.Time `json:"at"`
	Decision string    `json:"decision"` // "promote", "hold" or "roll_back"
	Reason   string    `json:"reason"`   // the judge's code; "shadow" in a shadow stage
	Text     string    `json:"text"`
	// Shadow is what was compared in a shadow stage, before there is anything for
	// the judge; nil: it is the judge who speaks.
	Shadow *ShadowEvidence `json:"shadow,omitempty"`
	LogR   float64         `json:"log_r"` // of the combined e-value against "no harm"
	Share  float64         `json:"share"` // of new sessions, 0 to 1
	// Sessions and requests of the matched cohort.
	CandidateSessions int64            `json:"candidate_sessions"`
	BaselineSessions  int64            `json:"baseline_sessions"`
	CandidateRequests int64            `json:"candidate_requests"`
	BaselineRequests  int64            `json:"baseline_requests"`
	CandidateBad      int64            `json:"candidate_bad"` // bad requests
	BaselineBad       int64            `json:"baseline_bad"`
	ExcessPerMinute   float64          `json:"excess_per_minute"`
	Metrics           []MetricEvidence `json:"metrics"`
	LogCeiling        float64          `json:"log_ceiling"`
	LogSessionShare   float64          `json:"log_session_share"`
	// Minutes to a decision at the present rates; nil: it won't come.
	MinutesToRollBack *float64 `json:"minutes_to_roll_back,omitempty"`
	MinutesToPromote  *float64 `json:"minutes_to_promote,omitempty"`
}

// ShadowEvidence is how a candidate's answers to copies of requests compare with
// those of the baseline.
type ShadowEvidence struct {
	Comparisons int64 `json:"comparisons"`
	Second      int64 `json:"second"`       // with a second answer of the baseline
	Whole       int64 `json:"whole"`        // that count: their bodies could be compared too
	Least       int64 `json:"least"`        // how many must count for it to pass
	NotCompared int64 `json:"not_compared"` // bodies that could not
	Different   int64 `json:"different"`    // fields that differ clearly, by pattern of the path
	Suspect     int64 `json:"suspect"`      // fields that may
}

// MetricEvidence is the judge's view of one metric.
type MetricEvidence struct {
	Name      string  `json:"name"` // "errors", "shift", "p95" or "p99"
	LogHarm   float64 `json:"log_harm"`
	LogSafe   float64 `json:"log_safe"`
	Margin    float64 `json:"margin"` // the ratio that LogSafe speaks against
	Ratio     float64 `json:"ratio"`  // the likeliest
	Low       float64 `json:"low"`    // 95% interval
	High      float64 `json:"high"`
	Events    int64   `json:"events"`    // sessions with a bad request, of both versions
	Candidate int64   `json:"candidate"` // those of them on the candidate
	Bar       float64 `json:"bar"`       // LogHarm's part of what rolls back, ln E / ln 100
}
