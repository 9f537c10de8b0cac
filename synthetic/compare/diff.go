package compare

import "bytes"

// Kind is how a field differs.
type Kind string

// The kinds of differences.
const (
	Added   Kind = "added"   // the baseline lacks it
	Missing Kind = "missing" // the candidate lacks it, wholly or in some elements of a list
	Retyped Kind = "retyped" // it has another type
	Value   Kind = "value"   // it has another value; of a list: another length
)

// diff is one field in which an answer differs from the baseline's first.
type diff struct {
	path uint64
	kind Kind
	at   int32 // its node, in w
	w    *walk // nil: not a field of JSON
}

// Paths of what is no field of JSON; node paths are hashes.
const (
	pathStatus uint64 = iota + 2
	pathBody
	pathRest // what has no row of its own any more
	pathHeader
)

// diffs returns in what x, whose body is b, differs from the baseline's first
// answer. It depends on these two answers alone.
func (t *trio) diffs(x *Response, b body) []diff {
	base := &t.pair.Baseline
	if base.Status != x.Status {
		// An error's body would differ everywhere, which says no more.
		return []diff{{path: pathStatus, kind: Value}}
	}
	var all []diff
	for i, name := range t.c.cfg.Headers {
		if kind := headerDiff(base, x, name); kind != "" {
			all = append(all, diff{path: pathHeader + uint64(i), kind: kind})
		}
	}
	if t.reason != "" {
		return all
	}
	a := t.bodies[0]
	switch {
	case a.json && b.json:
		d := differ{a: a.w, b: b.w, all: all}
		d.node(1, 1)
		return d.all
	case a.json != b.json:
		return append(all, diff{path: pathBody, kind: Retyped})
	case !bytes.Equal(a.data, b.data):
		return append(all, diff{path: pathBody, kind: Value})
	}
	return all
}

func headerDiff(a, b *Response, name string) Kind {
	x, inA := lookup(a, name)
	y, inB := lookup(b, name)
	switch {
	case inA && !inB:
		return Missing
	case inB && !inA:
		return Added
	case x != y:
		return Value
	}
	return ""
}

// differ compares two digests.
type differ struct {
	a, b *walk
	all  []diff
}

func (d *differ) report(kind Kind, w *walk, at int32) {
	d.all = append(d.all, diff{w.nodes[at].path, kind, at, w})
}

// node compares the values of one path, found in both bodies, and what is below.
func (d *differ) node(a, b int32) {
	x, y := &d.a.nodes[a], &d.b.nodes[b]
	switch {
	case x.types != y.types:
		d.report(Retyped, d.a, a)
		return // what was below is gone with the type
	case x.count == y.count && x.sum != y.sum, x.count != y.count && x.naming == anyKey:
		d.report(Value, d.a, a)
	}
	// What should hold a field must be there in both before its absence says
	// something: an empty list has no elements with fields.
	if x.holds == 0 || y.holds == 0 {
		return
	}
	for i := x.first; i != 0; i = d.a.nodes[i].next {
		j := d.b.find(b, d.a.nodes[i].path)
		if j == 0 {
			d.lonely(Missing, d.a, i)
		} else if d.present(i, j, x.holds, y.holds) {
			d.node(i, j)
		}
	}
	for j := y.first; j != 0; j = d.b.nodes[j].next {
		if d.a.find(a, d.b.nodes[j].path) == 0 {
			d.lonely(Added, d.b, j)
		}
	}
}

// lonely reports a child that only one body has. Of elements, the list's length
// tells.
func (d *differ) lonely(kind Kind, w *walk, at int32) {
	switch w.nodes[at].naming {
	case key:
		d.report(kind, w, at)
	case anyKey:
		d.report(Value, w, at)
	}
}

// present compares how many of the objects that could have a key do, and reports
// whether its values are to be compared.
func (d *differ) present(i, j, holdsA, holdsB int32) bool {
	x, y := &d.a.nodes[i], &d.b.nodes[j]
	if x.naming != key {
		return true
	}
	lost, gained := x.count > y.count, x.count < y.count
	if holdsA != holdsB {
		// Lists of different lengths: only what all have on one side is telling.
		lost = x.count >= holdsA && y.count < holdsB
		gained = x.count < holdsA && y.count >= holdsB
	}
	switch {
	case lost:
		d.report(Missing, d.a, i)
	case gained:
		d.report(Added, d.b, j)
	}
	return !lost && !gained
}
