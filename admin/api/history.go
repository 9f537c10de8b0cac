package api

import (
	"time"

	"sluice/state"
)

// History answers GET /v1/services/{s}/history.
type History struct {
	Service string `json:"service"`
	Flips   []Flip `json:"flips" doc:"Newest first"`
}

// Flip is one replacement of a service's weights.
type Flip struct {
	Epoch   uint64         `json:"epoch" doc:"The epoch that it began"`
	At      time.Time      `json:"at"`
	By      string         `json:"by"`
	Why     string         `json:"why,omitempty"`
	Kind    string         `json:"kind" doc:"The command: set_weights, rollback, declare"`
	Pins    string         `json:"pins" doc:"keep, move or drain:30m0s"`
	Streams string         `json:"streams" doc:"finish or close"`
	Before  map[string]int `json:"before"`
	After   map[string]int `json:"after"`
}

// Event is a line of the audit: what a command changed in one service.
type Event = state.Event

// Audit answers GET /v1/audit.
type Audit struct {
	Events []Event `json:"events" doc:"Newest first; a revision is never split over two answers"`
	Next   uint64  `json:"next,omitempty" doc:"The value of before for the next older page; absent: there is none"`
}

// Diff answers GET /v1/diff: where the file and the state part.
type Diff struct {
	Same        bool         `json:"same"`
	Differences []Difference `json:"differences"`
}

// Difference is one point at which the file and the state part.
type Difference struct {
	Service string `json:"service"`
	Version string `json:"version,omitempty"`
	Field   string `json:"field" doc:"What differs, e.g. weight"`
	File    string `json:"file" doc:"What the file says"`
	State   string `json:"state" doc:"What is in force"`
}
