// Package judge decides about a rollout from counters alone: roll back, hold or
// promote. It may be asked at any moment and as often as one likes: its error
// probabilities hold over the whole rollout, not per look.
//
// The idea is to bet on labels. Given that a bad event happened in the service,
// and if candidate and baseline are equally good, the version it fell on is a
// coin whose bias is known: the candidate's share of exposure. What a gambler
// would have won by betting on that coin is an e-value. While the versions are
// equal its expectation is at most 1, so by Ville's inequality it ever reaches
// 1/alpha with a probability of at most alpha. How often bad events happen, by
// day or by night or in an incident that hits both versions, cancels out: only
// where they fall counts. See Lindon and Malek, "Anytime-Valid Inference for
// Multinomial Count Data" (2022); ter Schure et al., "The Anytime-Valid Logrank
// Test" (2024); for restarts Shin, Ramdas and Rinaldo, "E-detectors" (2022).
//
// A [State] holds the evidence of one trial, that is of one candidate against one
// baseline in one service. Whoever counts tells it of events ([State.Events]),
// first latencies ([State.Latencies]), totals ([State.Candidate],
// [State.Sessions]) and minutes ([State.Minute]); [State.Judge] answers. The
// package has no clock, does no I/O, and no State is safe for concurrent use.
//
// # What must be counted
//
// The unit is the session, since the requests of one user fail together: a
// session's event is its first bad request, and with it the session leaves both
// the events and the exposure. Probes, shadows and overridden requests count in
// neither version. The share s of an event must have been fixed before it: the
// trailing share of exposure over the last 10 s. Without sessions, the requests of
// one client are dependent; [Input.Dispersion] tempers the evidence for that.
//
// Only sessions that were assigned since the last change of weight may be compared,
// in both versions alike. Sessions that are going to fail do so early, and those
// that are left are the better the older they are. After a change of weight from 1%
// to 5% the candidate has a twentieth of the new sessions but a hundredth of the old
// ones: with both in one cohort its share of first failures exceeds its share of
// requests for as long as sessions last, and more than a third of the healthy
// candidates are rolled back (package simulate shows it). Whoever wants to go on
// counting the sessions of earlier epochs gives each epoch its own events and its own s.
//
// # What a change of weight means
//
// Every event is bet on with the share that held when it happened, so evidence on
// both sides continues over a change of weight, and nothing in a State is reset.
// On the side of harm this is valid without more. On the safe side the refuted
// claim is "the candidate was worse than the margin allows all along". It says
// nothing of a candidate that only fails under a load that it has not yet had;
// against that stand the minimum hold of each stage, the verdict "suspicious", and
// the restarts of [State.Minute]. The margins shrink as the weight grows, so a
// State keeps evidence against each of them from the beginning, and a later stage
// uses all that fits its own.
package judge

import "fmt"

// Metric is something that versions are compared in.
type Metric uint8

const (
	Errors Metric = iota // sessions with a bad request
	Shift                // the latency of sessions as a whole
	P95                  // sessions slower than the baseline's 95th percentile was
	P99                  // sessions slower than the baseline's 99th percentile was

	// Metrics is how many there are.
	Metrics = 4
)

// metricNames are the metrics' names in files, JSON and logs.
var metricNames = [Metrics]string{"errors", "shift", "p95", "p99"}

// String returns "errors", "shift", "p95" or "p99".
func (m Metric) String() string {
	if m >= Metrics {
		return fmt.Sprintf("metric(%d)", uint8(m))
	}
	return metricNames[m]
}

// MarshalText is String, and an error for a value that is no metric.
func (m Metric) MarshalText() ([]byte, error) {
	if m >= Metrics {
		return nil, fmt.Errorf("%d is no metric", uint8(m))
	}
	return []byte(metricNames[m]), nil
}

// UnmarshalText takes what MarshalText wrote.
func (m *Metric) UnmarshalText(text []byte) error {
	for i, name := range metricNames {
		if name == string(text) {
			*m = Metric(i)
			return nil
		}
	}
	return fmt.Errorf("%q is no metric; errors, shift, p95 and p99 are", text)
}

// Decision is what the judge says.
type Decision uint8

const (
	Hold     Decision = iota // stay at this weight
	RollBack                 // the candidate does harm
	Promote                  // the candidate has earned the next stage
)

// decisionNames are the decisions' names in JSON and logs.
var decisionNames = [...]string{Hold: "hold", RollBack: "roll_back", Promote: "promote"}

// String returns "hold", "roll_back" or "promote".
func (d Decision) String() string {
	if int(d) >= len(decisionNames) {
		return fmt.Sprintf("decision(%d)", uint8(d))
	}
	return decisionNames[d]
}

// MarshalText is String, and an error for a value that is no decision.
func (d Decision) MarshalText() ([]byte, error) {
	if int(d) >= len(decisionNames) {
		return nil, fmt.Errorf("%d is no decision", uint8(d))
	}
	return []byte(decisionNames[d]), nil
}

// UnmarshalText takes what MarshalText wrote.
func (d *Decision) UnmarshalText(text []byte) error {
	for i, name := range decisionNames {
		if name == string(text) {
			*d = Decision(i)
			return nil
		}
	}
	return fmt.Errorf("%q is no decision; hold, roll_back and promote are", text)
}
