package api

import "time"

// Shadows answers GET /v1/services/{s}/shadow.
type Shadows struct {
	Service string   `json:"service"`
	Shadows []Shadow `json:"shadows" doc:"Those first that get copies now, then those that did, the newest first; all begin anew with the process"`
}

// Shadow tells how a version answers copies of requests, beside what the clients
// got. It is different where a field differs between the versions clearly more
// than from one answer of the baseline to the next.
type Shadow struct {
	Version string    `json:"version"`
	Against []string  `json:"against" doc:"The versions whose answers it is compared with"`
	Active  bool      `json:"active" doc:"Whether copies are being sent"`
	Share   float64   `json:"share" doc:"Of the requests, 0 to 1"`
	Rollout string    `json:"rollout,omitempty" doc:"In whose stage the copies are sent; absent: the file says so"`
	Began   time.Time `json:"began"`

	Copies map[string]uint64 `json:"copies,omitempty" doc:"What became of copies meant for the version since the process began: answered, failed, or why they were dropped"`

	Decision    string           `json:"decision" enum:"pass,fail,hold" doc:"Hold: there is not enough to tell yet"`
	Reasons     []string         `json:"reasons"`
	Comparisons int64            `json:"comparisons"`
	Second      int64            `json:"second" doc:"Comparisons with a second answer of the baseline"`
	Whole       int64            `json:"whole" doc:"Comparisons that count for the decision: of bodies too, and with a second answer if one is needed"`
	Least       int64            `json:"least" doc:"How many must count to pass"`
	NotCompared map[string]int64 `json:"not_compared" doc:"Bodies that could not be compared, by reason"`
	Patterns    []ShadowPattern  `json:"patterns" doc:"Paths with something to tell, those that differ first"`
	Quiet       int              `json:"quiet" doc:"Patterns of paths without any difference"`
}

// ShadowPattern is what was found for requests that are alike.
type ShadowPattern struct {
	Name        string        `json:"name" example:"GET /users/{id}"`
	Comparisons int64         `json:"comparisons"`
	Second      int64         `json:"second"`
	Fields      []ShadowField `json:"fields" doc:"Those that differ first"`
}

// ShadowField is one field that differed in one way.
type ShadowField struct {
	Name     string          `json:"name" example:"$.items[].price" doc:"A JSON path, or status, body, or header NAME"`
	Kind     string          `json:"kind" enum:"added,missing,retyped,value"`
	State    string          `json:"state" enum:"different,suspect,untested,allowed,noise,ignored"`
	Between  int64           `json:"between" doc:"Comparisons where it differed between the versions"`
	Within   int64           `json:"within" doc:"And where it did between two answers of the baseline"`
	Evidence float64         `json:"evidence,omitempty" doc:"E-value against noise"`
	Needs    float64         `json:"needs,omitempty" doc:"The e-value from which on it is different"`
	Examples []ShadowExample `json:"examples,omitempty"`
}

// ShadowExample is one request whose answers differed. Secrets are masked.
type ShadowExample struct {
	Path      string `json:"path" doc:"Without the query; long segments are masked"`
	Baseline  string `json:"baseline"`
	Candidate string `json:"candidate"`
}
