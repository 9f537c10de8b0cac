package driver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/zap"

	"sluice/rollout/judge"
	"sluice/state"
)

// documentPrefix begins the keys of all evidence: the rollout's ID follows.
const documentPrefix = "rollout/"

func documentKey(id string) string { return documentPrefix + id }

// document is the evidence of a rollout as it is kept.
type document struct {
	Legs map[string]legDocument `json:"legs"` // by service
}

// legDocument is a leg as it is kept. Candidate and Baseline say what it is
// evidence of.
type legDocument struct {
	Candidate string       `json:"candidate"`
	Baseline  string       `json:"baseline"`
	Judge     *judge.State `json:"judge"`
	Began     time.Time    `json:"began"`
	Marks     int          `json:"marks"`
	Totals    totals       `json:"totals"`
}

// document returns the evidence to keep; nil if there is none, or none yet.
func (r *runner) document() []byte {
	if !r.loaded || len(r.legs) == 0 {
		return nil
	}
	d := document{Legs: map[string]legDocument{}}
	for service, l := range r.legs {
		d.Legs[service] = legDocument{
			Candidate: l.candidate, Baseline: l.baseline, Judge: l.judge,
			Began: l.began, Marks: l.marks, Totals: l.totals,
		}
	}
	doc, err := json.Marshal(d)
	if err != nil {
		r.log.Error("the evidence of a rollout can't be written", zap.Error(err))
		return nil
	}
	return doc
}

// save begins to save the evidence, if it has changed. A step forward does so, too.
func (r *runner) save(ctx context.Context, now time.Time) {
	if r.saving.busy || r.forward.busy {
		return
	}
	r.saving.notBefore = now.Add(saveEvery)
	doc := r.document()
	if doc == nil || bytes.Equal(doc, r.saved) {
		return
	}
	r.begin(&r.saving, func() func() {
		err := r.d.opts.Documents.PutDocument(ctx, documentKey(r.id), doc)
		return func() {
			if err == nil {
				r.saved = doc
			} else if ctx.Err() == nil {
				r.log.Warn("the evidence of a rollout is not saved; it is tried again", zap.Error(err))
			}
		}
	})
}

// load takes in what an earlier process has counted. Nothing is judged before: it
// may have seen harm.
func (r *runner) load(ctx context.Context, ro *state.Rollout, now time.Time) {
	if r.loaded || now.Before(r.loadAt) {
		return
	}
	if ro.Legs[0].Since == 0 { // nobody has counted anything
		r.loaded = true
		return
	}
	doc, err := r.d.opts.Documents.Document(ctx, documentKey(r.id))
	if err != nil {
		r.loadAt = now.Add(retryAfter)
		r.log.Warn("the evidence of a rollout can't be read; it is tried again", zap.Error(err))
		return
	}
	r.loaded = true
	if doc == nil {
		return
	}
	legs, err := readDocument(doc, ro)
	if err != nil {
		// Evidence from the beginning is right too, only later.
		r.log.Error("the evidence of a rollout is of no use and begins anew", zap.Error(err))
		return
	}
	r.legs = legs
}

// readDocument returns the legs of a document, if they are those of the rollout.
func readDocument(doc []byte, ro *state.Rollout) (map[string]*leg, error) {
	var d document
	if err := json.Unmarshal(doc, &d); err != nil {
		return nil, err
	}
	legs := map[string]*leg{}
	for _, of := range ro.Legs {
		l, has := d.Legs[of.Service]
		switch {
		case !has:
			continue
		case l.Judge == nil:
			return nil, fmt.Errorf("service %q has none", of.Service)
		case l.Candidate != of.Candidate || l.Baseline != of.Baseline:
			return nil, fmt.Errorf("service %q has that of %s against %s", of.Service, l.Candidate, l.Baseline)
		case l.Marks < 0 || l.Began.IsZero():
			return nil, fmt.Errorf("service %q has impossible counts", of.Service)
		}
		legs[of.Service] = &leg{
			candidate: l.Candidate, baseline: l.Baseline, judge: l.Judge,
			began: l.Began, marks: l.Marks, totals: l.Totals,
		}
	}
	return legs, nil
}

// sweepEvery is how often a sweep is tried that failed.
const sweepEvery = time.Minute

// sweep deletes the evidence of rollouts that were over before their evidence
// could be deleted.
func (d *Driver) sweep() {
	ticks, stop := d.opts.Ticks(sweepEvery)
	defer stop()
	for {
		err := d.sweepOnce(d.ending)
		if err == nil {
			return
		}
		d.opts.Log.Warn("the evidence of old rollouts can't be deleted yet", zap.Error(err))
		select {
		case <-ticks:
		case <-d.ending.Done():
			return
		}
	}
}

func (d *Driver) sweepOnce(ctx context.Context) error {
	keys, err := d.opts.Documents.DocumentKeys(ctx, documentPrefix)
	if err != nil {
		return err
	}
	s := d.opts.Control.State() // after the keys, so that none is of a rollout yet to come
	var failed error
	for _, key := range keys {
		r := s.Rollouts[strings.TrimPrefix(key, documentPrefix)]
		if r == nil || r.Phase.Over() {
			failed = errors.Join(failed, d.opts.Documents.PutDocument(ctx, key, nil))
		}
	}
	return failed
}
