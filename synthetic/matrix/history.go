package matrix

import (
	"slices"
	"sync"
)

// Limits bound a History.
type Limits struct {
	Runs     int // of a cell that are kept, whatever came of them; at least 1
	Failures int // of a cell that are kept with what was exchanged, also older ones
	Bytes    int // of all messages exchanged; the oldest are dropped first
}

// DefaultLimits are the last 20 runs of each cell, the last 5 that failed, and 32
// MiB of messages in all.
func DefaultLimits() Limits { return Limits{Runs: 20, Failures: 5, Bytes: 32 << 20} }

// History is what came of the runs of each cell. Its methods may be called at the
// same time.
type History struct {
	limits Limits

	mu    sync.Mutex
	cells map[string]map[Key]*cell // by service
	bytes int                      // of messages
}

// cell is the runs of one cell that are kept, oldest first.
type cell struct {
	runs           []Run
	passed, failed uint64 // ever
}

// Cell is a cell of the matrix with its history.
type Cell struct {
	Key
	Runs           []Run  // newest first; at least one
	Passed, Failed uint64 // runs that did, ever
}

// NewHistory returns one without runs.
func NewHistory(limits Limits) *History {
	return &History{limits: limits, cells: map[string]map[Key]*cell{}}
}

// Add records a run. The run that began last is the newest, whichever ends first.
func (h *History) Add(key Key, run Run) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cells[key.Service] == nil {
		h.cells[key.Service] = map[Key]*cell{}
	}
	c := h.cells[key.Service][key]
	if c == nil {
		c = &cell{}
		h.cells[key.Service][key] = c
	}
	if run.Passed() {
		c.passed++
	} else {
		c.failed++
	}
	at := len(c.runs)
	for at > 0 && c.runs[at-1].Began.After(run.Began) {
		at--
	}
	c.runs = slices.Insert(c.runs, at, run)
	h.bytes += run.exchanged()
	h.trim(c)
	for h.bytes > h.limits.Bytes {
		h.dropOldest()
	}
}

// trim keeps the newest runs of a cell, and the newest that failed.
func (h *History) trim(c *cell) {
	kept, failures := len(c.runs), 0
	for i := len(c.runs) - 1; i >= 0; i-- {
		r := &c.runs[i]
		recent := len(c.runs)-i <= h.limits.Runs
		if !r.Passed() {
			failures++
		}
		if !r.Passed() && failures > h.limits.Failures {
			h.strip(r)
		}
		if recent || !r.Passed() && failures <= h.limits.Failures {
			kept--
			c.runs[kept], c.runs[i] = c.runs[i], c.runs[kept]
		}
	}
	c.runs = slices.Delete(c.runs, 0, kept)
}

// strip drops the messages of a run.
func (h *History) strip(r *Run) {
	if n := r.exchanged(); n > 0 {
		h.bytes -= n
		r.forget()
	}
}

// dropOldest drops the messages of the oldest run that has any.
func (h *History) dropOldest() {
	var oldest *Run
	for _, cells := range h.cells {
		for _, c := range cells {
			at := slices.IndexFunc(c.runs, func(r Run) bool { return r.exchanged() > 0 })
			if at >= 0 && (oldest == nil || c.runs[at].Began.Before(oldest.Began)) {
				oldest = &c.runs[at]
			}
		}
	}
	if oldest == nil {
		h.bytes = 0
		return
	}
	h.strip(oldest)
}

// Newest returns the run of a cell that began last; false: there is none.
func (h *History) Newest(key Key) (Run, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.cells[key.Service][key]
	if c == nil {
		return Run{}, false
	}
	return c.runs[len(c.runs)-1], true
}

// Cell returns one cell; false: it has no run.
func (h *History) Cell(key Key) (Cell, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.cells[key.Service][key]
	if c == nil {
		return Cell{}, false
	}
	return c.shown(key, len(c.runs)), true
}

// Cells returns the cells of a service that have a run, by version and journey, of
// all services where none is named; with their newest runs, at most so many.
func (h *History) Cells(service string, runs int) []Cell {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []Cell
	for name, cells := range h.cells {
		if service != "" && name != service {
			continue
		}
		for key, c := range cells {
			all = append(all, c.shown(key, runs))
		}
	}
	slices.SortFunc(all, func(a, b Cell) int { return a.compare(b.Key) })
	return all
}

func (c *cell) shown(key Key, most int) Cell {
	runs := slices.Clone(c.runs[max(0, len(c.runs)-most):])
	slices.Reverse(runs)
	return Cell{Key: key, Runs: runs, Passed: c.passed, Failed: c.failed}
}

// Forget drops the cells of a service that gone says are.
func (h *History) Forget(service string, gone func(Key) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, c := range h.cells[service] {
		if !gone(key) {
			continue
		}
		for i := range c.runs {
			h.bytes -= c.runs[i].exchanged()
		}
		delete(h.cells[service], key)
	}
	if len(h.cells[service]) == 0 {
		delete(h.cells, service)
	}
}
