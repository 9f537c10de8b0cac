package api

import (
	"time"

	"sluice/state"
)

// RolloutStart is the body of POST /v1/services/{s}/rollouts: the version on
// trial, and what it is where nobody registered it yet.
type RolloutStart struct {
	Candidate
	RolloutTerms
}

// SetStart is the body of POST /v1/rollouts: versions of several services that
// roll out as one.
type SetStart struct {
	Set  string     `json:"set,omitempty" maxLength:"64" doc:"The name of the release set; needed where there are several legs" example:"shop"`
	Legs []LegStart `json:"legs" minItems:"1" maxItems:"32" doc:"A version for each service"`
	RolloutTerms
}

// LegStart is a service's part in a release set.
type LegStart struct {
	Service string `json:"service" maxLength:"64"`
	Candidate
}

// Candidate is a version that a rollout is for.
type Candidate struct {
	Version   string              `json:"version" maxLength:"64" example:"v42"`
	Endpoints []string            `json:"endpoints,omitempty" doc:"As for a version. Absent: the version is registered already, and what follows is left out too"`
	Shape     *state.Shape        `json:"shape,omitempty" doc:"The data shape it writes and those it reads"`
	Provides  []string            `json:"provides,omitempty"`
	Requires  map[string][]string `json:"requires,omitempty"`
	Tags      map[string]string   `json:"tags,omitempty" example:"{\"commit\":\"3f2a9c1\"}"`
	Capacity  int                 `json:"capacity,omitempty" minimum:"0" doc:"Requests a second that one endpoint serves; 0: not declared"`
}

// RolloutTerms say how a rollout goes.
type RolloutTerms struct {
	Policy string `json:"policy,omitempty" maxLength:"64" doc:"A policy of the file, or standard, cautious, blue-green or manual; absent: the service's own, or standard" example:"standard"`
	Reason string `json:"reason,omitempty" doc:"Why, for the audit"`
	Force  bool   `json:"force,omitempty" doc:"Pass over the rules of shapes, needs, capacity and journeys; needs a permission of its own"`
}

// Rollouts answers GET /v1/rollouts and GET /v1/services/{s}/rollouts.
type Rollouts struct {
	Rollouts []Rollout `json:"rollouts" doc:"Newest first, without moves and evidence"`
}

// Queue answers GET /v1/services/{s}/queue.
type Queue struct {
	Service string    `json:"service"`
	Active  *Rollout  `json:"active,omitempty" doc:"The rollout under way, without moves and evidence"`
	Waiting []Rollout `json:"waiting" doc:"In the order of their places"`
}

// RolloutSteer is the body of POST /v1/rollouts/{id}/pause and its siblings.
type RolloutSteer struct {
	Reason string `json:"reason,omitempty" doc:"Why, for the audit"`
}

// RolloutPlace is the body of PUT /v1/rollouts/{id}/place.
type RolloutPlace struct {
	Place  int    `json:"place" minimum:"1" maximum:"10000" doc:"The place in line, from 1"`
	Reason string `json:"reason,omitempty" doc:"Why, for the audit"`
}

// Rollout is one rollout: what was asked for, where it stands, and why.
type Rollout struct {
	ID     string        `json:"id" example:"r17"`
	Set    string        `json:"set,omitempty" doc:"The name of the release set"`
	Legs   []state.Leg   `json:"legs" doc:"Each service's part, by service"`
	Policy RolloutPolicy `json:"policy"`
	Phase  state.Phase   `json:"phase" enum:"queued,gated,probing,shadowing,shifting,baking,paused,rolling_back,promoted,rolled_back,aborted,superseded"`
	Was    state.Phase   `json:"was,omitempty" doc:"The phase that a pause interrupts"`
	Over   bool          `json:"over" doc:"Whether it has ended"`
	Stage  int           `json:"stage" doc:"The place in the policy's stages, from 0; meaningless before the first"`
	Share  float64       `json:"share" doc:"The candidate's share of new sessions"`
	Seq    uint64        `json:"seq" doc:"Counts the transitions; for ?after="`
	Order  *state.Order  `json:"order,omitempty" doc:"What a person asked for and is not carried out yet"`
	Force  bool          `json:"force,omitempty"`
	By     string        `json:"by"`
	Why    string        `json:"why,omitempty"`

	Created    time.Time `json:"created"`
	Began      time.Time `json:"began,omitzero" doc:"When it left the queue"`
	StageBegan time.Time `json:"stage_began,omitzero" doc:"When the stage began, or the pause"`
	Ended      time.Time `json:"ended,omitzero"`

	Place    int       `json:"place,omitempty" doc:"The place in line, from 1; absent: it doesn't wait"`
	Behind   []string  `json:"behind,omitempty" doc:"The rollouts that come before it"`
	For      []string  `json:"for,omitempty" doc:"The rollouts that are to bring what it requires"`
	Expected time.Time `json:"expected,omitzero" doc:"A guess when it leaves the queue"`
	Trouble  string    `json:"trouble,omitempty" doc:"Why it does not do what it is due to do"`
	Text     string    `json:"text" doc:"Where it stands, in words"`

	Moves    []RolloutMove    `json:"moves,omitempty" doc:"The transitions, oldest first"`
	Evidence []state.Evidence `json:"evidence,omitempty" doc:"What the judge sees now, for each service; absent once it is over"`

	Found   bool   `json:"found,omitempty" doc:"In the answer to a start: it was under way, or done, already"`
	Warning string `json:"warning,omitempty" doc:"What to know, above all when it is not durable"`
}

// RolloutPolicy is the policy that a rollout began with.
type RolloutPolicy struct {
	Name           string             `json:"name"`
	Gate           bool               `json:"gate,omitempty" doc:"A person says when the first stage begins"`
	Stages         []RolloutStage     `json:"stages"`
	OnInconclusive state.Inconclusive `json:"on_inconclusive" enum:"hold,promote,rollback"`
	Queue          state.QueueMode    `json:"queue" enum:"supersede,fifo"`
}

// RolloutStage is a stage of a policy.
type RolloutStage struct {
	Kind     state.StageKind `json:"kind" enum:"probe,shadow,shift,bake"`
	Share    float64         `json:"share,omitempty" doc:"Of new sessions, for a shift; of requests that are copied, for a shadow"`
	Hold     Duration        `json:"hold,omitzero" doc:"The least time"`
	Deadline Duration        `json:"deadline,omitzero" doc:"The longest; absent: none"`
	Passes   int             `json:"passes,omitempty" doc:"Of a probe, in a row"`
	Gate     bool            `json:"gate,omitempty" doc:"A person says when it begins"`
}

// RolloutMove is one transition.
type RolloutMove struct {
	At       time.Time        `json:"at"`
	By       string           `json:"by" doc:"judge, guard, deadline, queue, or who asked"`
	From     state.Phase      `json:"from"`
	To       state.Phase      `json:"to"`
	Stage    int              `json:"stage"`
	Share    float64          `json:"share" doc:"The candidate's share of new sessions from then on"`
	Why      string           `json:"why"`
	Evidence []state.Evidence `json:"evidence,omitempty" doc:"What decided, for each service"`
}
