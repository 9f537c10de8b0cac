package judge

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Config says how sure the judge must be, and of what.
type Config struct {
	// Alpha is the probability, over a whole rollout, of rolling back a candidate
	// that is no worse than tolerated. Above 0, at most 0.5.
	Alpha float64 `json:"alpha"`
	// Beta is the probability of promoting a candidate that is worse than the
	// margin allows, for each metric. Above 0, at most 0.5.
	Beta float64 `json:"beta"`
	// Votes are the metrics that are judged, each with its share of the alarm,
	// and are divided by their sum. A metric that is missing or has 0 neither
	// rolls back nor holds up a promotion.
	Votes map[Metric]float64 `json:"votes"`
	// Tolerated is the ratio of candidate to baseline up to which a metric is no
	// harm: of bad sessions for errors, p95 and p99, of latencies for shift.
	// From 1 to 16; a metric that is missing has 1.
	Tolerated map[Metric]float64 `json:"tolerated"`
	// Ceiling is the share of bad sessions that is small enough whatever the
	// baseline's is. From 0, which turns it off, to 0.5.
	Ceiling float64 `json:"ceiling"`
	// Margins is what must be refuted before a promotion, by the share it leads
	// to: ascending, the last for 1. At most 16.
	Margins []Margin `json:"margins"`
}

// Margin is how much worse a candidate might be that gets no more than a certain
// share. Nobody can prove that two versions are equal; what can be refuted is that
// one is worse by a margin, the faster the wider the margin is.
type Margin struct {
	UpTo float64 `json:"up_to"` // the greatest share that it holds for, above 0, at most 1
	// Ratio is of bad sessions, candidate to baseline, on top of what
	// Config.Tolerated allows for the metric. Above 1, at most 100.
	Ratio float64 `json:"ratio"`
	// Latency is of latencies, likewise. Above 1, at most 16.
	Latency float64 `json:"latency"`
}

// maxMargins bounds Config.Margins: each costs a State 49 numbers for each metric.
const maxMargins = 16

// DefaultConfig returns the judge's defaults. Latencies of two sets of hosts are
// never quite alike, and with enough traffic any difference becomes certain:
// therefore latencies tolerate 10%, and a quarter more sessions in the tails.
func DefaultConfig() Config {
	return Config{
		Alpha:     0.01,
		Beta:      0.05,
		Votes:     map[Metric]float64{Errors: 0.4, Shift: 0.3, P95: 0.15, P99: 0.15},
		Tolerated: map[Metric]float64{Errors: 1, Shift: 1.1, P95: 1.25, P99: 1.25},
		Ceiling:   0.001,
		Margins:   []Margin{{0.05, 4, 2}, {0.25, 3, 1.75}, {0.5, 2, 1.5}, {1, 1.5, 1.25}},
	}
}

// Validate returns an error that names the first field that can't be.
func (c Config) Validate() error {
	return errors.Join(c.checkRisks(), c.checkVotes(), c.checkTolerated(), c.checkMargins())
}

func (c Config) checkRisks() error {
	switch {
	case !(c.Alpha > 0 && c.Alpha <= 0.5):
		return fmt.Errorf("alpha is %v; it must be above 0 and at most 0.5", c.Alpha)
	case !(c.Beta > 0 && c.Beta <= 0.5):
		return fmt.Errorf("beta is %v; it must be above 0 and at most 0.5", c.Beta)
	case !(c.Ceiling >= 0 && c.Ceiling <= 0.5):
		return fmt.Errorf("ceiling is %v; it must be from 0 to 0.5", c.Ceiling)
	}
	return nil
}

func (c Config) checkVotes() error {
	sum := 0.0
	for _, m := range slices.Sorted(maps.Keys(c.Votes)) {
		v := c.Votes[m]
		if m >= Metrics || !(v >= 0 && v <= 1e6) {
			return fmt.Errorf("the vote of %v is %v; votes must be from 0 to 1000000", m, v)
		}
		sum += v
	}
	if !(sum > 1e-6) {
		return errors.New("no metric has a vote; at least one must")
	}
	return nil
}

func (c Config) checkTolerated() error {
	for _, m := range slices.Sorted(maps.Keys(c.Tolerated)) {
		if v := c.Tolerated[m]; m >= Metrics || !(v >= 1 && v <= 16) {
			return fmt.Errorf("tolerated of %v is %v; it must be a ratio from 1 to 16", m, v)
		}
	}
	return nil
}

func (c Config) checkMargins() error {
	if n := len(c.Margins); n == 0 || n > maxMargins {
		return fmt.Errorf("there are %d margins; from 1 to %d are possible", n, maxMargins)
	}
	least := 0.0
	for i, m := range c.Margins {
		switch {
		case !(m.UpTo > least && m.UpTo <= 1):
			return fmt.Errorf("margins[%d].up_to is %v; it must be above %v and at most 1", i, m.UpTo, least)
		case !(m.Ratio > 1 && m.Ratio <= 100):
			return fmt.Errorf("margins[%d].ratio is %v; it must be above 1 and at most 100", i, m.Ratio)
		case !(m.Latency > 1 && m.Latency <= 16):
			return fmt.Errorf("margins[%d].latency is %v; it must be above 1 and at most 16", i, m.Latency)
		}
		least = m.UpTo
	}
	if least != 1 {
		return fmt.Errorf("the last of margins holds up to %v; it must hold up to 1", least)
	}
	return nil
}

// tolerated returns the ratio up to which a metric is no harm.
func (c Config) tolerated(m Metric) float64 {
	if v := c.Tolerated[m]; v > 1 {
		return v
	}
	return 1
}

// refuted returns the ratio that a margin refutes for a metric.
func (c Config) refuted(m Metric, margin int) float64 {
	if m == Shift {
		return c.tolerated(m) * c.Margins[margin].Latency
	}
	return c.tolerated(m) * c.Margins[margin].Ratio
}

// vote returns a metric's share of the alarm, from 0 to 1.
func (c Config) vote(m Metric) float64 {
	sum := 0.0
	for _, v := range c.Votes {
		sum += v
	}
	return c.Votes[m] / sum
}

// Margin returns the ratio of sessions with errors that must be refuted before a
// candidate gets a share.
func (c Config) Margin(share float64) float64 { return c.refuted(Errors, c.margin(share)) }

// margin returns the index of the margin for a share.
func (c Config) margin(share float64) int {
	for i, m := range c.Margins {
		if share <= m.UpTo {
			return i
		}
	}
	return len(c.Margins) - 1
}

// equal reports whether evidence gathered under one configuration is evidence
// under the other.
func (c Config) equal(o Config) bool {
	return c.Alpha == o.Alpha && c.Beta == o.Beta && c.Ceiling == o.Ceiling &&
		maps.Equal(c.Votes, o.Votes) && maps.Equal(c.Tolerated, o.Tolerated) && slices.Equal(c.Margins, o.Margins)
}

// orDefaults returns c with the default in place of each part that Validate
// refuses.
func (c Config) orDefaults() Config {
	d := DefaultConfig()
	if c.checkRisks() != nil {
		c.Alpha, c.Beta, c.Ceiling = d.Alpha, d.Beta, d.Ceiling
	}
	if c.checkVotes() != nil {
		c.Votes = d.Votes
	}
	if c.checkTolerated() != nil {
		c.Tolerated = d.Tolerated
	}
	if c.checkMargins() != nil {
		c.Margins = d.Margins
	}
	c.Votes, c.Tolerated, c.Margins = maps.Clone(c.Votes), maps.Clone(c.Tolerated), slices.Clone(c.Margins)
	return c
}
