// Package matrix knows how the journeys of services do against their versions:
// the history of every run, whoever asked for it, and the scheduler that runs
// those of a version again and again. What it keeps is bounded by number and by
// bytes, whatever versions answer.
package matrix

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"sluice/synthetic/journey"
)

// Place is a version of a service.
type Place struct{ Service, Version string }

// Key names a cell of the matrix: a journey against a version.
type Key struct{ Service, Version, Journey string }

// Place returns the version of a cell.
func (k Key) Place() Place { return Place{k.Service, k.Version} }

func (k Key) compare(o Key) int {
	return cmp.Or(strings.Compare(k.Service, o.Service), strings.Compare(k.Version, o.Version), strings.Compare(k.Journey, o.Journey))
}

// Cause is why a journey was run.
type Cause string

// The causes.
const (
	Registered Cause = "registration" // the version, or its journeys, were new
	Scheduled  Cause = "schedule"
	Rollout    Cause = "rollout" // a stage of one
	Demand     Cause = "demand"  // somebody asked for it
)

// Run is one run of a journey against a version: at each of its endpoints, or
// once where requests find their own way.
type Run struct {
	Began time.Time
	Took  time.Duration // of the slowest endpoint
	Cause Cause
	Asked int // endpoints; 0: none was healthy, which is a failure
	// Failure says why it failed; "": it passed. At most MaxFailure bytes.
	Failure string
	Failed  int // endpoints that failed
	// Endpoint is the one that Steps tell of: the first that failed, else the
	// slowest; "": requests found their own way.
	Endpoint string
	Steps    []Step
}

// Step is one step of a run.
type Step struct {
	Name  string
	Took  time.Duration // of the last try
	Tries int
	// Failure, Request and Response say of a step that failed why, and what was
	// exchanged, masked. Request and Response are dropped as a failure grows old.
	Failure, Request, Response string
}

// MaxFailure bounds what is said of why a run failed, in bytes.
const MaxFailure = 2 << 10

// Passed tells whether every endpoint passed.
func (r *Run) Passed() bool { return r.Failure == "" }

// FailedStep returns the name of the step that failed; "": none did, or no step
// was begun.
func (r *Run) FailedStep() string {
	if n := len(r.Steps); n > 0 && r.Steps[n-1].Failure != "" {
		return r.Steps[n-1].Name
	}
	return ""
}

// Result is what came of a journey at one endpoint.
type Result struct {
	Endpoint string
	journey.Result
}

// None is the run of a journey that had no endpoint to ask.
func None(cause Cause, at time.Time, why error) Run {
	return Run{Began: at, Cause: cause, Failure: cut(why.Error())}
}

// Gather makes one run of what a journey did at each endpoint; there is at least
// one.
func Gather(cause Cause, results []Result) Run {
	shown, run := &results[0], Run{Cause: cause, Asked: len(results), Began: results[0].Began}
	for i := range results {
		r := &results[i]
		if r.Began.Before(run.Began) {
			run.Began = r.Began
		}
		run.Took = max(run.Took, r.Took)
		switch {
		case r.Err != nil && run.Failed == 0:
			shown, run.Failed = r, 1
		case r.Err != nil:
			run.Failed++
		case run.Failed == 0 && r.Took > shown.Took:
			shown = r
		}
	}
	run.Endpoint = shown.Endpoint
	for _, s := range shown.Steps {
		step := Step{Name: s.Name, Took: s.Took, Tries: s.Tries}
		if s.Err != nil {
			step.Failure, step.Request, step.Response = cut(s.Err.Error()), s.Request, s.Response
			run.Failure = step.Failure
		}
		run.Steps = append(run.Steps, step)
	}
	if shown.Err != nil && run.Failure == "" {
		run.Failure = cut(shown.Err.Error())
	}
	return run
}

// cut bounds a text.
func cut(text string) string {
	if len(text) <= MaxFailure {
		return text
	}
	return strings.ToValidUTF8(text[:MaxFailure-len("…")], "") + "…"
}

// exchanged is how many bytes of messages a run keeps.
func (r *Run) exchanged() (n int) {
	for i := range r.Steps {
		n += len(r.Steps[i].Request) + len(r.Steps[i].Response)
	}
	return n
}

// forget drops the messages of a run. Its steps may be in others' hands.
func (r *Run) forget() {
	r.Steps = slices.Clone(r.Steps)
	for i := range r.Steps {
		r.Steps[i].Request, r.Steps[i].Response = "", ""
	}
}
