package judge

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
)

// documentVersion is raised when the meaning of a state's JSON changes.
const documentVersion = 1

// document is a State as JSON.
type document struct {
	Version   int                `json:"version"`
	Config    Config             `json:"config"`
	Minute    int                `json:"minute"`
	Candidate candidateTotals    `json:"candidate"`
	Epochs    []epoch            `json:"epochs"`
	Labels    map[Metric]*labels `json:"labels"`
	Shift     *shift             `json:"shift"`
}

type candidateTotals struct {
	Bad      int64 `json:"bad"`
	Sessions int64 `json:"sessions"`
}

// MarshalJSON writes everything that st knows.
func (st *State) MarshalJSON() ([]byte, error) {
	return json.Marshal(document{
		Version: documentVersion, Config: st.cfg, Minute: st.minute,
		Candidate: candidateTotals{st.bad, st.n}, Epochs: st.epochs, Shift: &st.shift,
		Labels: map[Metric]*labels{Errors: &st.labels[Errors], P95: &st.labels[P95], P99: &st.labels[P99]},
	})
}

// UnmarshalJSON replaces st by what MarshalJSON wrote. An error says what is
// wrong with the document, and st is unchanged.
func (st *State) UnmarshalJSON(text []byte) error {
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		return err
	}
	if d.Version != documentVersion {
		return fmt.Errorf("the evidence is of version %d; this build reads version %d", d.Version, documentVersion)
	}
	if err := d.Config.Validate(); err != nil {
		return fmt.Errorf("the evidence's configuration: %w", err)
	}
	read := New(d.Config)
	read.minute, read.bad, read.n, read.epochs = d.Minute, d.Candidate.Bad, d.Candidate.Sessions, d.Epochs
	for _, m := range []Metric{Errors, P95, P99} {
		l := d.Labels[m]
		if l == nil || !l.fits(&read.labels[m]) {
			return fmt.Errorf("the evidence on %v is missing or has other ratios than its configuration", m)
		}
		read.labels[m] = *l
	}
	if d.Shift == nil || !d.Shift.fits(&read.shift) {
		return errors.New("the evidence on shift is missing or has other margins than its configuration")
	}
	read.shift = *d.Shift
	if err := read.checkTotals(); err != nil {
		return err
	}
	*st = *read
	return nil
}

// fits reports whether l may take the place of one without evidence.
func (l *labels) fits(empty *labels) bool {
	return len(l.Log) == len(empty.Log) && len(l.Base) == len(empty.Base) && possible(l.Log) && possible(l.Base) &&
		l.Candidate >= 0 && l.Candidate <= l.Events && l.Events <= maxTotal && l.Expected >= 0 && l.Expected <= maxTotal
}

func (f *shift) fits(empty *shift) bool {
	if len(f.Log) != len(empty.Log) || len(f.Base) != len(empty.Base) || len(f.Safe) != len(empty.Safe) || len(f.SafeBase) != len(empty.Safe) {
		return false
	}
	for _, s := range slices.Concat(f.Safe, f.SafeBase) {
		if len(s) != shifts || !possible(s) {
			return false
		}
	}
	return possible(f.Log) && possible(f.Base) && f.Candidate >= 0 && f.Candidate <= f.Sessions && f.Sessions <= maxTotal
}

// possible reports whether logarithms are of a size that sums of them stay finite.
func possible(logs []float64) bool {
	for _, v := range logs {
		if !(math.Abs(v) <= 1e15) {
			return false
		}
	}
	return true
}

// checkTotals returns an error if a total can't be.
func (st *State) checkTotals() error {
	if st.minute < 0 || st.minute > restarts {
		return fmt.Errorf("the evidence's minute is %d; it must be from 0 to %d", st.minute, restarts)
	}
	if st.bad < 0 || st.n < st.bad || st.n > maxTotal {
		return fmt.Errorf("the evidence has %d bad sessions of %d", st.bad, st.n)
	}
	if len(st.epochs) > maxEpochs {
		return fmt.Errorf("the evidence has %d epochs; at most %d are kept", len(st.epochs), maxEpochs)
	}
	for i, e := range st.epochs {
		if i > 0 && e.Epoch <= st.epochs[i-1].Epoch || e.Candidate < 0 || e.All < e.Candidate || e.All > maxTotal ||
			e.Joined < 0 || e.Joined > maxTotal || !(e.Weight >= 0 && e.Weight <= 1) {
			return fmt.Errorf("the evidence's epoch %d can't be: %d of %d sessions at %v", e.Epoch, e.Candidate, e.All, e.Weight)
		}
	}
	return nil
}
