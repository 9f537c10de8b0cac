package api

import (
	"time"

	"sluice/state"
)

// Level is the body of PUT /v1/services/{s}/level.
type Level struct {
	Level  string `json:"level" doc:"The shape that is in the database now; empty: not said" example:"13"`
	Reason string `json:"reason,omitempty" doc:"Why, for the audit"`
}

// Barrier is the body of PUT /v1/services/{s}/barrier.
type Barrier struct {
	On     bool   `json:"on" doc:"Whether to keep traffic from versions that can't read the level"`
	Level  string `json:"level,omitempty" doc:"The service's level from now on; absent: as it is" example:"13"`
	Reason string `json:"reason,omitempty" doc:"Why, for the audit"`
}

// Target says where one rollback would go, or why it can't.
type Target struct {
	To       string         `json:"to,omitempty" doc:"The version named; absent: none, for the weights before the newest raise"`
	Possible bool           `json:"possible"`
	Weights  map[string]int `json:"weights,omitempty" doc:"The weights that would be in force"`
	Leaves   []string       `json:"leaves,omitempty" doc:"The versions whose pinned sessions would move"`
	Sessions uint64         `json:"sessions,omitempty" doc:"How many sessions these have on this instance, estimated"`
	Warnings []string       `json:"warnings,omitempty" doc:"What would be doubted and done"`
	Rule     state.Rule     `json:"rule,omitempty" doc:"The rule of safety that stands in the way: barrier, shape, needs"`
	Why      string         `json:"why,omitempty" doc:"Why it is not possible, and what would be"`
	// TakenBack are the versions that would gain weight and that were taken back.
	TakenBack []TakenBack `json:"taken_back,omitempty" doc:"Of the versions that would gain weight, those that were taken back and have had none since"`
}

// TakenBack says when a version lost its last weight to a rollback, or to the end of
// its rollout, and why.
type TakenBack struct {
	Version string    `json:"version"`
	At      time.Time `json:"at"`
	By      string    `json:"by" doc:"judge, guard, alarm, deadline, or who did it"`
	Why     string    `json:"why,omitempty"`
	Rollout string    `json:"rollout,omitempty" doc:"The rollout that ended so; absent: none"`
}

// CanRollback answers GET /v1/services/{s}/rollback.
type CanRollback struct {
	Service  string   `json:"service"`
	Revision uint64   `json:"revision" doc:"The service's revision; its ETag"`
	Level    string   `json:"level,omitempty" doc:"The shape that is in the database now"`
	Barrier  bool     `json:"barrier,omitempty"`
	Default  Target   `json:"default" doc:"A rollback without a target"`
	Versions []Target `json:"versions" doc:"To each version by name, but one that has all new sessions already"`
}
