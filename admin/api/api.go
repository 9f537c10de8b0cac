// Package api is the JSON of the admin API as Go types: what the server in
// sluice/admin answers and what the client in sluice/admin/client sends.
//
// Durations are Go duration strings ("30m"), times are RFC 3339, shares are
// fractions of 1.
package api

import (
	"fmt"
	"time"

	"sluice/state"
)

// Duration is a time span that JSON holds as a Go duration string, "1h30m".
type Duration time.Duration

// String returns the Go duration string.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText returns the Go duration string.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a Go duration string.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration: write a number with a unit, such as 90s, 30m or 8h", text)
	}
	*d = Duration(v)
	return nil
}

// The header fields of the API beside the standard ones.
const (
	// ReasonHeader carries why a change is made, for calls whose body does not.
	ReasonHeader = "Sluice-Reason"
)

// ProblemType is the media type of an error's body (RFC 9457, section 3).
const ProblemType = "application/problem+json"

// Problem is an error's body (RFC 9457): the standard members and, as
// extensions, what the error is about and what would work.
type Problem struct {
	Title   string          `json:"title" doc:"The status in words"`
	Status  int             `json:"status" doc:"The HTTP status"`
	Detail  string          `json:"detail,omitempty" doc:"What is wrong"`
	Remedy  string          `json:"remedy,omitempty" doc:"What would work"`
	Service string          `json:"service,omitempty" doc:"The service concerned"`
	Version string          `json:"version,omitempty" doc:"The version concerned"`
	Field   string          `json:"field,omitempty" doc:"The field of the request at fault, e.g. weights.v3"`
	Errors  []ProblemDetail `json:"errors,omitempty" doc:"Each fault, where there are several"`
	Rule    state.Rule      `json:"rule,omitempty" doc:"The rule of safety that refused: barrier, shape, needs, capacity or journeys"`
	// Obstacles are extension members too (RFC 9457, section 3.2).
	Obstacles []state.Obstacle `json:"obstacles,omitempty" doc:"All that stands in the way by the rules of safety"`
}

// ProblemDetail is one of several faults of a request.
type ProblemDetail struct {
	Message  string `json:"message" doc:"What is wrong"`
	Location string `json:"location,omitempty" doc:"Where, e.g. body.weights.v3"`
}

// Error returns the detail with the remedy.
func (p *Problem) Error() string {
	text := p.Detail
	if text == "" {
		text = p.Title
	}
	if p.Remedy != "" {
		text += "; " + p.Remedy
	}
	return text
}

// GetStatus returns the HTTP status. Its name is the one that huma asks for.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns the media type of problems for JSON answers. Its name is
// the one that huma asks for.
func (p *Problem) ContentType(string) string { return ProblemType }
