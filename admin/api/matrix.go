package api

import (
	"time"

	"sluice/state"
)

// Matrix tells how the journeys of services do against their versions.
type Matrix struct {
	Passed   bool            `json:"passed" doc:"Whether the newest run of every cell passed; a cell without a run has not"`
	Services []ServiceMatrix `json:"services" doc:"Those that have journeys, or had one run"`
}

// ServiceMatrix is the matrix of a service.
type ServiceMatrix struct {
	Service  string          `json:"service"`
	Journeys []string        `json:"journeys" doc:"Those of the service in the order of the file, then others that were run by name"`
	Versions []MatrixVersion `json:"versions"`
	Cells    []MatrixCell    `json:"cells" doc:"By journey, then by version"`
}

// MatrixVersion is a version in a matrix.
type MatrixVersion struct {
	Name    string     `json:"name"`
	Mode    state.Mode `json:"mode"`
	Skipped uint64     `json:"skipped" doc:"Runs on schedule that were skipped, since the one before still ran or others took all the room"`
}

// CellState is how a cell of a matrix stands.
type CellState string

// The states of a cell.
const (
	CellPassed CellState = "passed"
	CellFailed CellState = "failed"
	CellNever  CellState = "never" // it has not been run yet
)

// MatrixCell is a journey against a version.
type MatrixCell struct {
	Version string    `json:"version"`
	Journey string    `json:"journey"`
	State   CellState `json:"state" doc:"passed, failed or never, by the run that began last"`
	Newest  *CellRun  `json:"newest,omitempty" doc:"That run, without what was exchanged"`
	Recent  []bool    `json:"recent" doc:"Whether the last runs passed, newest first"`
	Passed  uint64    `json:"passed" doc:"Runs that passed, ever"`
	Failed  uint64    `json:"failed" doc:"Runs that failed, ever"`
}

// CellRun is one run of a journey against a version. Secrets in it are masked.
type CellRun struct {
	Began    time.Time     `json:"began"`
	Took     Duration      `json:"took" doc:"At the slowest endpoint"`
	Cause    string        `json:"cause" doc:"registration, schedule, rollout or demand"`
	Passed   bool          `json:"passed"`
	Step     string        `json:"step,omitempty" doc:"The step that failed"`
	Failure  string        `json:"failure,omitempty" doc:"Why it failed"`
	Asked    int           `json:"asked" doc:"Endpoints, or 1 where the request was routed; 0: none was healthy"`
	Failed   int           `json:"failed" doc:"Of them"`
	Endpoint string        `json:"endpoint,omitempty" doc:"That steps tell of: the first that failed, else the slowest"`
	Steps    []JourneyStep `json:"steps,omitempty"`
}

// CellHistory is the runs of a cell that are kept: the last ones, and the last
// that failed with what was exchanged.
type CellHistory struct {
	Service string    `json:"service"`
	Version string    `json:"version"`
	Journey string    `json:"journey"`
	State   CellState `json:"state"`
	Runs    []CellRun `json:"runs" doc:"Newest first"`
}
