package compare

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
)

// State is what is held of a field.
type State string

// The states of a field.
const (
	Different State = "different" // between the versions, clearly more than within one
	Suspect   State = "suspect"   // so far more often between the versions, not yet clearly
	Noise     State = "noise"     // not more between the versions than within one
	Untested  State = "untested"  // there were no second answers to tell noise by
	Allowed   State = "allowed"   // added, which the configuration allows
	Ignored   State = "ignored"   // by the configuration
)

// Decision is the outcome of a verdict.
type Decision string

// The decisions: Hold says that there is not yet enough to tell.
const (
	Pass Decision = "pass"
	Fail Decision = "fail"
	Hold Decision = "hold"
)

// Verdict says whether the candidate answers as the baseline does, so far.
type Verdict struct {
	Decision Decision `json:"decision"`
	Reasons  []string `json:"reasons"`
}

// Report is what was found.
type Report struct {
	Verdict     Verdict          `json:"verdict"`
	Comparisons int64            `json:"comparisons"`
	Second      int64            `json:"second"`       // comparisons with a second answer of the baseline
	Whole       int64            `json:"whole"`        // comparisons that count for the verdict: bodies too, and with a second answer if one is needed
	NotCompared map[string]int64 `json:"not_compared"` // bodies that were not, by reason; status and headers were
	Patterns    []Pattern        `json:"patterns"`     // with something to tell, those that differ first
	Quiet       int              `json:"quiet"`        // patterns without any difference
}

// Pattern is what was found for requests that are alike.
type Pattern struct {
	Name        string  `json:"name"` // such as GET /users/{id}, or Other
	Comparisons int64   `json:"comparisons"`
	Second      int64   `json:"second"`
	Fields      []Found `json:"fields"` // those that differ first
}

// Found is one field that differed in one way.
type Found struct {
	Name     string    `json:"name"` // "$.items[].price", "status", "header location", "body"
	Kind     Kind      `json:"kind"`
	State    State     `json:"state"`
	Between  int64     `json:"between"`            // comparisons where it differed between the versions
	Within   int64     `json:"within"`             // and where it did within the baseline
	Evidence float64   `json:"evidence,omitempty"` // e-value against noise; Needs calls it different
	Needs    float64   `json:"needs,omitempty"`
	Examples []Example `json:"examples,omitempty"`
}

// Report returns what was found until now.
func (c *Comparison) Report() Report {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := Report{
		Comparisons: c.total.pairs, Second: c.total.triples, Whole: c.total.whole,
		NotCompared: maps.Clone(c.skipped), Patterns: []Pattern{},
	}
	for _, p := range c.patterns {
		if len(p.rows) == 0 {
			r.Quiet++
			continue
		}
		r.Patterns = append(r.Patterns, c.told(p))
	}
	slices.SortFunc(r.Patterns, func(a, b Pattern) int {
		return cmp.Or(cmp.Compare(rank(a.Fields[0].State), rank(b.Fields[0].State)), cmp.Compare(b.Comparisons, a.Comparisons), cmp.Compare(a.Name, b.Name))
	})
	r.Verdict = c.verdict(&r)
	return r
}

// Verdict returns the verdict alone.
func (c *Comparison) Verdict() Verdict { return c.Report().Verdict }

func (c *Comparison) told(p *pattern) Pattern {
	told := Pattern{Name: p.name, Comparisons: p.counts.pairs, Second: p.counts.triples}
	for _, r := range p.rows {
		told.Fields = append(told.Fields, r.told(c.cfg.Exact))
	}
	slices.SortFunc(told.Fields, func(a, b Found) int {
		return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), cmp.Compare(b.Between, a.Between), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	return told
}

func (r *row) told(exact bool) Found {
	f := Found{
		Name: r.field, Kind: r.kind, State: r.state(), Examples: slices.Clone(r.examples),
		Between: r.both + r.between + r.untested, Within: r.both + r.within,
	}
	if r.order != 0 && !exact && f.State != Untested {
		f.Evidence, f.Needs = finite(evidence(r.between, r.within)), finite(limit(r.order))
	}
	return f
}

// finite turns a logarithm into a number that JSON can hold.
func finite(log float64) float64 { return math.Exp(min(log, 700)) }

func (r *row) state() State {
	switch {
	case r.ignored:
		return Ignored
	case r.excused:
		return Allowed
	case r.found:
		return Different
	case r.both+r.between+r.within == 0:
		return Untested
	case evidence(r.between, r.within) >= suspect:
		return Suspect
	}
	return Noise
}

// rank orders states by how much they matter.
func rank(s State) int {
	return slices.Index([]State{Different, Suspect, Untested, Allowed, Noise, Ignored}, s)
}

// maxReasons bounds the fields that a verdict names.
const maxReasons = 5

// verdict decides.
func (c *Comparison) verdict(r *Report) Verdict {
	if reasons := r.naming(Different); len(reasons) > 0 {
		return Verdict{Fail, reasons}
	}
	if r.Comparisons > 0 && r.Second == 0 && !c.cfg.Exact {
		return Verdict{Hold, []string{"the baseline was never asked a second time, so noise can't be told from difference"}}
	}
	if r.Whole < int64(c.cfg.Least) {
		reason := fmt.Sprintf("%d of %d comparisons are made", r.Whole, c.cfg.Least)
		if skipped := r.skipped(); skipped > 0 {
			reason += fmt.Sprintf("; %d bodies could not be compared", skipped)
		}
		return Verdict{Hold, []string{reason}}
	}
	if reasons := r.naming(Suspect); len(reasons) > 0 {
		return Verdict{Hold, reasons}
	}
	return Verdict{Pass, []string{fmt.Sprintf("no field differed more than within the baseline in %d comparisons", r.Whole)}}
}

func (r *Report) skipped() (n int64) {
	for _, more := range r.NotCompared {
		n += more
	}
	return n
}

// naming says which fields are in a state.
func (r *Report) naming(state State) []string {
	var all []string
	more := 0
	for _, p := range r.Patterns {
		for _, f := range p.Fields {
			switch {
			case f.State != state:
			case len(all) == maxReasons:
				more++
			default:
				all = append(all, fmt.Sprintf("%s: %s %s in %d comparisons, and in %d within the baseline", p.Name, f.Name, f.Kind.happened(), f.Between, f.Within))
			}
		}
	}
	if more > 0 {
		all = append(all, fmt.Sprintf("and %d more", more))
	}
	return all
}

func (k Kind) happened() string {
	switch k {
	case Added:
		return "was added"
	case Missing:
		return "was missing"
	case Retyped:
		return "had another type"
	}
	return "had another value"
}
