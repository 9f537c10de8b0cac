package api

import "time"

// ProbeRequest is the body of POST /v1/services/{s}/versions/{v}/probe.
type ProbeRequest struct {
	Journeys []string `json:"journeys,omitempty" maxItems:"100" doc:"Of the file; default: those of the service"`
}

// Probe tells what came of journeys that were run against a version.
type Probe struct {
	Service string       `json:"service"`
	Version string       `json:"version"`
	Passed  bool         `json:"passed" doc:"Whether every run passed"`
	Runs    []JourneyRun `json:"runs" doc:"In the order of the journeys; of one that is direct, one for each healthy endpoint"`
}

// JourneyRun is one run of a journey, by the routing or against one endpoint.
// Secrets in it are masked.
type JourneyRun struct {
	Journey  string        `json:"journey"`
	Endpoint string        `json:"endpoint,omitempty" doc:"That was asked; by the routing, the last that answered"`
	Passed   bool          `json:"passed"`
	Began    time.Time     `json:"began"`
	Took     Duration      `json:"took"`
	Steps    []JourneyStep `json:"steps" doc:"Those that were begun; the last one may have failed"`
}

// JourneyStep is what came of a step.
type JourneyStep struct {
	Name     string   `json:"name"`
	Took     Duration `json:"took" doc:"Of the last try"`
	Tries    int      `json:"tries"`
	Failure  string   `json:"failure,omitempty" doc:"Why it failed; absent: it passed"`
	Request  string   `json:"request,omitempty" doc:"What was sent in the last try, where it failed"`
	Response string   `json:"response,omitempty" doc:"What came back, where it failed; the beginning of the body"`
}
