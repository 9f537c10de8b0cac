package state

// StartRollout begins a rollout, or puts it in the queue of its services. Legs
// that are those of a rollout which is not over, or was promoted and still has
// all weight, begin none: see RolloutOf. Their specs are registered all the
// same, as by PutVersion.
type StartRollout struct {
	Legs []StartLeg `json:"legs"` // 1 to MaxLegs, of different services
	// Set names the release set, for people; "": none.
	Set    string `json:"set,omitempty"`
	Policy Policy `json:"policy"`
	// Force passes over the safety rules, now and at every step of the rollout;
	// whoever gives it has the permission.
	Force bool `json:"force,omitempty"`
}

// StartLeg is the version that a rollout brings to one service.
type StartLeg struct {
	Service string `json:"service"`
	Version string `json:"version"`
	// Spec registers the version; nil: it is there.
	Spec *Spec `json:"spec,omitempty"`
}

// MoveRollout is one transition of a rollout, as its machine decided. By whom
// and why is said by the Meta.
type MoveRollout struct {
	ID string `json:"id"`
	// Seq is the rollout's, as the machine saw it; any other refuses the command
	// with ErrConflict.
	Seq uint64 `json:"seq"`
	To  Phase  `json:"to"`
	// Stage is the stage that PhaseGated waits for, or that the phase is of;
	// where To is an end or PhasePaused, it stays what it was.
	Stage    int        `json:"stage"`
	Evidence []Evidence `json:"evidence,omitempty"`
}

// SteerRollout is a person's order. Its machine carries it out; only what waits
// in the queue is aborted at once.
type SteerRollout struct {
	ID     string `json:"id"`
	Action Action `json:"action"`
	// Seq, if not 0, is that of the rollout as the caller has seen it; any other
	// refuses the command with ErrConflict.
	Seq uint64 `json:"seq,omitempty"`
}

// QueueRollout gives a rollout that waits another place in line: 1 is next, any
// beyond the end is last.
type QueueRollout struct {
	ID    string `json:"id"`
	Place int    `json:"place"`
}

// Kind returns "start_rollout".
func (StartRollout) Kind() string { return "start_rollout" }

// Kind returns "move_rollout".
func (MoveRollout) Kind() string { return "move_rollout" }

// Kind returns "steer_rollout".
func (SteerRollout) Kind() string { return "steer_rollout" }

// Kind returns "queue_rollout".
func (QueueRollout) Kind() string { return "queue_rollout" }

// The bounds on rollouts.
const (
	MaxLegs   = 32 // of one rollout
	MaxQueued = 50 // rollouts that wait, of one service
	MaxEnded  = 50 // rollouts that have ended and are remembered, of one service
	MaxStages = 32 // of one policy
	MaxHooks  = 16 // of one policy
	MaxClear  = 10 // versions that the API registered and that a rollout leaves, see clear
)
