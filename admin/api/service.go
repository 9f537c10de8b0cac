package api

import (
	"time"

	"sluice/state"
)

// Services answers GET /v1/services.
type Services struct {
	Revision uint64    `json:"revision" doc:"The revision of the state"`
	Services []Service `json:"services" doc:"By name"`
}

// Service is one service: what was decided and how it goes.
type Service struct {
	Name     string    `json:"name"`
	Revision uint64    `json:"revision" doc:"The state's revision that last changed the service; its ETag"`
	Epoch    uint64    `json:"epoch" doc:"Counts flips and voidings of pins"`
	Level    string    `json:"level,omitempty" doc:"The shape that is in the database now"`
	Barrier  bool      `json:"barrier,omitempty" doc:"Whether traffic is kept from versions that can't read the level"`
	Versions []Version `json:"versions" doc:"By name"`
	Rollback *Target   `json:"rollback,omitempty" doc:"Where a rollback without a target would go; absent in lists"`
	Rollout  string    `json:"rollout,omitempty" doc:"The ID of the rollout under way; absent in lists, and where there is none"`
}

// Version is one version of a service.
type Version struct {
	Name       string              `json:"name"`
	Origin     state.Origin        `json:"origin" enum:"file,api" doc:"Who declared it"`
	Mode       state.Mode          `json:"mode" enum:"live,draining,dark"`
	DrainUntil time.Time           `json:"drain_until,omitzero" doc:"When draining ends; absent: when the pins run out"`
	Weight     int                 `json:"weight"`
	Shares     Shares              `json:"shares"`
	LeastEpoch uint64              `json:"least_epoch" doc:"Pins of older epochs no longer hold"`
	Endpoints  []string            `json:"endpoints"`
	Shape      *state.Shape        `json:"shape,omitempty"`
	Provides   []string            `json:"provides,omitempty"`
	Requires   map[string][]string `json:"requires,omitempty"`
	Capacity   int                 `json:"capacity,omitempty" doc:"Requests a second that one endpoint serves"`
	Tags       map[string]string   `json:"tags,omitempty"`
	TakenBack  *TakenBack          `json:"taken_back,omitempty" doc:"How it lost its last weight, if it was taken back and has had none since"`
	Live       Numbers             `json:"live"`
}

// Shares are a version's part of its service in three ways, which differ:
// weights decide about new sessions alone. Each is a fraction of 1, and 0 for
// all versions where there is nothing to share.
type Shares struct {
	NewSessions  float64 `json:"new_sessions" doc:"By weight"`
	LiveSessions float64 `json:"live_sessions" doc:"Of the sessions seen lately"`
	Requests     float64 `json:"requests" doc:"Of the requests of the last minute"`
}

// Numbers is what one instance counted for one version. Counters begin with
// the process.
type Numbers struct {
	Healthy            int               `json:"healthy" doc:"Endpoints that may get requests"`
	Total              int               `json:"total" doc:"Endpoints in all"`
	InFlight           int64             `json:"in_flight"`
	Requests           uint64            `json:"requests"`
	RequestsLastMinute uint64            `json:"requests_last_minute"`
	Errors             uint64            `json:"errors" doc:"Requests answered 5xx"`
	ErrorRate          float64           `json:"error_rate" doc:"Errors by requests; 0 without requests"`
	ByClass            map[string]uint64 `json:"by_class,omitempty" doc:"Requests by class of status: 2xx"`
	ByReason           map[string]uint64 `json:"by_reason,omitempty" doc:"Requests by what decided: pin, split"`
	Latency            Latency           `json:"latency"`
	LiveSessions       uint64            `json:"live_sessions" doc:"Sessions seen lately, estimated"`
	PinsMade           uint64            `json:"pins_made"`
	PinsMoved          uint64            `json:"pins_moved" doc:"Sessions that left because their pin no longer held"`
	PinsVoided         uint64            `json:"pins_voided"`
	Retries            uint64            `json:"retries"`
	UpstreamErrors     map[string]uint64 `json:"upstream_errors,omitempty" doc:"By kind"`
	Ejections          uint64            `json:"ejections"`
	Failovers          uint64            `json:"failovers" doc:"Requests that another version answered"`
	Shielded           uint64            `json:"shielded" doc:"Requests that it failed and the baseline was asked for"`
	AssetFallbacks     uint64            `json:"asset_fallbacks" doc:"Requests for an asset that it lacks and another version answered"`
	Tunnels            int64             `json:"tunnels" doc:"Upgraded connections that are open"`
	BytesIn            uint64            `json:"bytes_in"`
	BytesOut           uint64            `json:"bytes_out"`
}

// Latency holds quantiles of the time from a request's first byte to the last
// byte of its response. All are 0 without requests.
type Latency struct {
	P50  Duration `json:"p50"`
	P90  Duration `json:"p90"`
	P99  Duration `json:"p99"`
	P999 Duration `json:"p999"`
}

// Stats answers GET /v1/stats.
type Stats struct {
	At       time.Time        `json:"at"`
	Versions []VersionNumbers `json:"versions" doc:"By service and version"`
	Totals   Totals           `json:"totals"`
}

// VersionNumbers are the numbers of one version.
type VersionNumbers struct {
	Service string  `json:"service"`
	Version string  `json:"version"`
	Numbers Numbers `json:"numbers"`
}

// Totals counts what no version can be charged with.
type Totals struct {
	NoRoute          uint64            `json:"no_route" doc:"Requests that no route matched"`
	Refused          map[string]uint64 `json:"refused,omitempty" doc:"Malformed requests by status"`
	OverridesIgnored map[string]uint64 `json:"overrides_ignored,omitempty" doc:"By what was wrong with them"`
}
