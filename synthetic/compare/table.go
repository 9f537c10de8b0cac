package compare

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// Bounds of what is kept.
const (
	maxRows       = 4096 // of all patterns; the rest of a pattern shares a row per kind
	maxRowsHere   = 512  // of a pattern
	maxRowsBeside = 64   // of the keys of one object; one with more is a map
	maxMaps       = 256  // of a pattern
	maxExamples   = 3    // of a row
)

// pattern is what is known of requests that are alike.
type pattern struct {
	name     string
	counts   counts
	rows     map[rowKey]*row
	children map[uint64]int                  // rows by the path of their parent
	maps     atomic.Pointer[map[uint64]bool] // paths of objects that are maps; copied to change
}

type rowKey struct {
	path uint64
	kind Kind
}

// row counts how one field differed in one way.
type row struct {
	field    string
	kind     Kind
	order    int  // among the rows that are tested, from 1; 0: not tested
	excused  bool // by additive_only
	ignored  bool
	hidden   bool // its values are not shown
	found    bool // it differs between the versions; this stays
	both     int64
	between  int64 // between the versions alone
	within   int64 // within the baseline alone
	untested int64 // between the versions, where there was no second answer
	examples []Example
}

func newPattern(name string) *pattern {
	p := &pattern{name: name, rows: map[rowKey]*row{}, children: map[uint64]int{}}
	p.maps.Store(&map[uint64]bool{})
	return p
}

// learn notes paths of objects that are maps.
func (c *Comparison) learn(p *pattern, paths []uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.learn(paths)
}

func (p *pattern) learn(paths []uint64) {
	known := maps.Clone(*p.maps.Load())
	for _, path := range paths {
		if len(known) < maxMaps {
			known[path] = true
		}
	}
	p.maps.Store(&known)
}

// outcome is what one comparison says of one row.
type outcome struct {
	row             *row
	between, within *diff // nil: it did not differ
}

// book counts the differences of a comparison.
func (t *trio) book(between, within []diff) {
	for _, o := range t.outcomes(between, within) {
		o.row.take(o.between != nil, o.within != nil, t.pair.Again != nil)
		r := o.row
		if r.order != 0 && !r.found {
			r.found = t.c.cfg.Exact && o.between != nil || evidence(r.between, r.within) >= limit(r.order)
		}
		if o.between != nil && o.within == nil && !r.ignored && len(r.examples) < maxExamples {
			r.examples = append(r.examples, t.example(r, o.between))
		}
	}
}

func (r *row) take(between, within, again bool) {
	switch {
	case !again:
		r.untested++
	case between && within:
		r.both++
	case between:
		r.between++
	case within:
		r.within++
	}
}

// outcomes brings differences to their rows. Rows come to be in an order that does
// not tell which answer differed, as the test demands, and each counts a comparison once.
func (t *trio) outcomes(between, within []diff) []outcome {
	order := func(a, b diff) int { return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.kind, b.kind)) }
	slices.SortFunc(between, order)
	slices.SortFunc(within, order)
	var all []outcome
	for len(between) > 0 || len(within) > 0 {
		var o outcome
		side := 0
		switch {
		case len(between) == 0:
			side = 1
		case len(within) == 0:
			side = -1
		default:
			side = order(between[0], within[0])
		}
		if side <= 0 {
			o.between, between = &between[0], between[1:]
		}
		if side >= 0 {
			o.within, within = &within[0], within[1:]
		}
		if o.row = t.rowOf(cmp.Or(o.between, o.within)); o.row != nil {
			all = join(all, o)
		}
	}
	return all
}

// join adds an outcome, to that of the same row if there is one.
func join(all []outcome, o outcome) []outcome {
	if o.row.field == restOfFields {
		for i := range all {
			if all[i].row == o.row {
				all[i].between = cmp.Or(all[i].between, o.between)
				all[i].within = cmp.Or(all[i].within, o.within)
				return all
			}
		}
	}
	return append(all, o)
}

// restOfFields names what has no row of its own.
const restOfFields = "(other fields)"

// rowOf returns the row of a difference; nil: none, since its object has just
// proved to be a map.
func (t *trio) rowOf(d *diff) *row {
	p, at := t.pat, rowKey{d.path, d.kind}
	if r := p.rows[at]; r != nil {
		return r
	}
	if d.w != nil && d.w.nodes[d.at].naming == key {
		parent := d.w.nodes[d.w.nodes[d.at].parent].path
		if p.children[parent] >= maxRowsBeside && len(*p.maps.Load()) < maxMaps {
			p.learn([]uint64{parent})
			return nil
		}
		p.children[parent]++
	}
	field := t.field(d)
	if len(p.rows) >= maxRowsHere || t.c.rows >= maxRows {
		field, at = restOfFields, rowKey{pathRest, d.kind}
		if r := p.rows[at]; r != nil {
			return r
		}
	}
	r := t.c.newRow(field, d.kind)
	p.rows[at] = r
	return r
}

func (c *Comparison) newRow(field string, kind Kind) *row {
	r := &row{
		field: field, kind: kind,
		excused: c.cfg.AdditiveOnly && kind == Added,
		ignored: slices.ContainsFunc(c.cfg.Ignore, func(i string) bool { return covers(i, field) }),
		hidden:  c.cfg.HideValues || strings.Contains(field, ".*"),
	}
	lower := strings.ToLower(field)
	r.hidden = r.hidden || slices.ContainsFunc(c.secrets, func(s string) bool { return strings.Contains(lower, s) })
	c.rows++
	if !r.excused && !r.ignored {
		c.tested++
		r.order = c.tested
	}
	return r
}

// covers reports whether a field is the one that is ignored, or below it.
func covers(ignored, field string) bool {
	rest, ok := strings.CutPrefix(field, ignored)
	return ok && (rest == "" || strings.HasPrefix(field, "$") && (rest[0] == '.' || rest[0] == '['))
}

// field names what differs, as reports do.
func (t *trio) field(d *diff) string {
	switch {
	case d.w != nil:
		return d.w.field(d.at)
	case d.path == pathStatus:
		return "status"
	case d.path == pathBody:
		return "body"
	}
	return "header " + t.headerName(d)
}

func (t *trio) headerName(d *diff) string { return t.c.cfg.Headers[d.path-pathHeader] }

// statusText writes a status.
func statusText(status int) string {
	if status == 0 {
		return "no answer"
	}
	return strconv.Itoa(status)
}
