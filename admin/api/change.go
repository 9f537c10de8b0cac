package api

import "sluice/state"

// Weights is the body of PUT /v1/services/{s}/weights.
type Weights struct {
	Weights map[string]int `json:"weights" doc:"Version to weight; versions left out get 0" example:"{\"v1\":95,\"v2\":5}"`
	Pins    string         `json:"pins,omitempty" doc:"What happens to sessions of lowered versions: keep, move, drain or drain:30m; default drain" example:"drain:30m"`
	Streams string         `json:"streams,omitempty" enum:"finish,close" doc:"What happens to tunnels and other streams on versions left without weight; default finish"`
	Force   bool           `json:"force,omitempty" doc:"Pass over the rules of safety; the caller needs the permission"`
	Reason  string         `json:"reason,omitempty" doc:"Why, for the audit"`
}

// Rollback is the body of POST /v1/services/{s}/rollback.
type Rollback struct {
	To      string `json:"to,omitempty" doc:"The version that gets all new sessions; default: the weights in force before the newest raise"`
	Pins    string `json:"pins,omitempty" doc:"As for weights; default move"`
	Streams string `json:"streams,omitempty" enum:"finish,close" doc:"As for weights; default finish"`
	Force   bool   `json:"force,omitempty" doc:"As for weights"`
	Reason  string `json:"reason,omitempty" doc:"Why, for the audit"`
}

// VersionSpec is the body of PUT /v1/services/{s}/versions/{v}.
type VersionSpec struct {
	Endpoints []string            `json:"endpoints" doc:"host:port, [v6]:port, unix:/path, dns://host:port or dns+srv://_service._protocol.host"`
	Shape     *state.Shape        `json:"shape,omitempty" doc:"The data shape it writes and those it reads"`
	Provides  []string            `json:"provides,omitempty" doc:"What versions of other services may require"`
	Requires  map[string][]string `json:"requires,omitempty" doc:"By service, what its live versions must provide"`
	Capacity  int                 `json:"capacity,omitempty" doc:"Requests a second that one endpoint serves; absent: not declared"`
	Tags      map[string]string   `json:"tags,omitempty" example:"{\"commit\":\"3f2a9c1\"}"`
	Reason    string              `json:"reason,omitempty" doc:"Why, for the audit"`
}

// VoidPins is the body of POST /v1/services/{s}/pins/void.
type VoidPins struct {
	Version string `json:"version" doc:"The version whose pins so far stop to hold"`
	Reason  string `json:"reason,omitempty" doc:"Why, for the audit"`
}

// Drain is the body of PUT /v1/services/{s}/versions/{v}/drain.
type Drain struct {
	On     bool     `json:"on" doc:"Whether the version, of weight 0, serves the sessions pinned to it"`
	For    Duration `json:"for,omitzero" doc:"For how long from now; absent: until the pins run out" example:"30m"`
	Reason string   `json:"reason,omitempty" doc:"Why, for the audit"`
}

// Change answers every change of a service.
type Change struct {
	Service  string         `json:"service"`
	Revision uint64         `json:"revision" doc:"The service's revision now; its ETag"`
	Epoch    uint64         `json:"epoch"`
	Changed  bool           `json:"changed" doc:"False: everything was so already"`
	Before   map[string]int `json:"before" doc:"Weights before"`
	After    map[string]int `json:"after" doc:"Weights after"`
	Pins     string         `json:"pins,omitempty" doc:"What happens to pinned sessions, where weights were replaced"`
	Streams  string         `json:"streams,omitempty" doc:"What happens to streams, where weights were replaced: finish or close"`
	Durable  bool           `json:"durable" doc:"Whether the store has it, so that it survives a restart"`
	Warning  string         `json:"warning,omitempty" doc:"What to know, above all when it is not durable"`
	Detail   string         `json:"detail,omitempty" doc:"What was done, in words"`
	Warnings []string       `json:"warnings,omitempty" doc:"What the rules of safety doubted and let pass"`
	Forced   []state.Rule   `json:"forced,omitempty" doc:"The rules of safety that force passed over: barrier, shape, needs, capacity, journeys"`
}

// Reloaded answers POST /v1/reload.
type Reloaded struct {
	Revision uint64 `json:"revision" doc:"The state's revision after the reload"`
	Changed  bool   `json:"changed" doc:"Whether the file changed the state"`
}
