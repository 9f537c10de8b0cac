package api

import (
	"encoding/json"
	"time"
)

// The kinds of messages in the stream of GET /v1/events.
const (
	KindState  = "state"  // data: Event
	KindHealth = "health" // data: HealthEvent
	KindConfig = "config" // data: ConfigEvent
	KindLost   = "lost"   // data: Lost
)

// Message is one message of the stream.
type Message struct {
	ID   string          // for Last-Event-ID; empty on KindLost
	Kind string          // one of the kinds above; others may come
	Data json.RawMessage // by kind
}

// HealthEvent says that an endpoint changed.
type HealthEvent struct {
	At       time.Time `json:"at"`
	Service  string    `json:"service"`
	Version  string    `json:"version"`
	Endpoint string    `json:"endpoint"`
	Kind     string    `json:"kind" enum:"up,down,ejected,returned,failing,lookup_failed,lookup_recovered,no_descriptors"`
	Detail   string    `json:"detail,omitempty"`
}

// ConfigEvent says that the file was read anew.
type ConfigEvent struct {
	At       time.Time `json:"at"`
	Revision uint64    `json:"revision" doc:"The state's revision after it"`
	Error    string    `json:"error,omitempty" doc:"Why it was refused; absent: it is in force"`
}

// Lost says that the reader missed messages: it was too slow, or it came back
// too late. What it knows may be stale, so it should read the services anew.
type Lost struct {
	// Count is how many were missed; 0: unknown, as after a restart.
	Count uint64 `json:"count"`
}
