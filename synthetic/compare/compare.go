// Package compare tells what differs between the answers of two versions to the
// same requests, and tells difference from noise.
//
// Ids, times and whatever else changes from one answer to the next differ between
// two versions as they differ within one. So a comparison may come with a second
// answer of the baseline (Pair.Again), and a field is called different only when
// it differs clearly more often between the versions than within the baseline; see
// evidence for the test. Fields are JSON paths whose array indexes and map-like keys are collapsed,
// kept by pattern of the request's path.
//
// Everything is bounded, whatever the answers hold: bytes after decompression,
// depth, fields of a body, patterns, fields kept, examples. What passes a bound is
// counted as not compared. The package has no clock and does no I/O.
package compare

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
)

// Config says what is compared and what is allowed. Its zero value compares
// status, Content-Type, Location and body.
type Config struct {
	// Headers are the names, in any case, of the headers that are compared beside
	// status and body; nil: DefaultHeaders. Empty, not nil: none.
	Headers []string
	// Ignore are fields that may differ, as a report writes them, such as
	// "$.meta.took", "header etag", "status" or "body"; what is below a JSON field is ignored with it.
	Ignore []string
	// AdditiveOnly allows the candidate fields and headers that the baseline lacks.
	// Nothing may be lost, change its type or its value.
	AdditiveOnly bool
	// Exact is for services without noise: every difference counts, and no second
	// answers of the baseline are needed.
	Exact bool
	// Least is how many comparisons a verdict that passes needs; 0: DefaultLeast.
	Least int
	// Secrets are names whose values no example shows, beside DefaultSecrets: a
	// field is secret if it, or what holds it, has such a name as part of its own, in any case.
	Secrets []string
	// HideValues lets examples tell types and lengths, never values.
	HideValues bool
	// MaxBody is how many bytes of a body, decompressed, are compared at most; a
	// longer one is not compared. 0: DefaultMaxBody.
	MaxBody int
}

// The defaults of a Config. After DefaultLeast comparisons, what differs in 3% of them would have been found.
const (
	DefaultLeast   = 1000
	DefaultMaxBody = 1 << 20
)

// DefaultHeaders are the headers compared by default.
func DefaultHeaders() []string { return []string{"content-type", "location"} }

// DefaultSecrets are parts of names whose values are never shown.
func DefaultSecrets() []string {
	return []string{"password", "passwd", "passphrase", "secret", "token", "authorization", "cookie", "credential",
		"apikey", "api_key", "api-key", "private_key", "privatekey", "session", "signature", "jwt", "ssn", "iban", "card_number", "cardnumber", "cvc", "cvv"}
}

// Field is one header.
type Field struct{ Name, Value string }

// Response is one answer. It is only read, and nothing of it is kept after Add.
type Response struct {
	Status int // 0: there was no answer (a reset, a timeout)
	Header []Field
	Body   []byte // as received: its Content-Encoding is undone here
	// Cut says that Body is not the whole: the rest was left out for its length.
	Cut bool
}

// Pair is one request and how it was answered.
type Pair struct {
	Method string
	Path   string // of the request; a query is cut off
	// Baseline is what the trusted version answered, Candidate the version on trial.
	Baseline, Candidate Response
	// Again is what the baseline answered to a copy of the request, sent like the
	// candidate's and at the same time; nil: it was not asked.
	Again *Response
}

// Comparison collects what differs. It may be used by several goroutines.
type Comparison struct {
	cfg     Config
	seed    maphash.Seed
	secrets []string
	walks   sync.Pool // of *walk

	mu       sync.Mutex
	paths    paths
	patterns map[string]*pattern
	rows     int // of all patterns
	tested   int // of them
	total    counts
	skipped  map[string]int64 // bodies not compared, by reason
}

// counts are numbers of comparisons.
type counts struct {
	pairs   int64 // all
	triples int64 // with a second answer of the baseline
	whole   int64 // whose bodies were compared too, and that count for a verdict
}

// New returns a comparison that has seen nothing.
func New(cfg Config) *Comparison {
	if cfg.Headers == nil {
		cfg.Headers = DefaultHeaders()
	}
	cfg.Headers = lowered(cfg.Headers)
	slices.Sort(cfg.Headers)
	cfg.Headers = slices.Compact(cfg.Headers)
	cfg.Ignore = slices.Clone(cfg.Ignore)
	if cfg.Least <= 0 {
		cfg.Least = DefaultLeast
	}
	if cfg.MaxBody <= 0 {
		cfg.MaxBody = DefaultMaxBody
	}
	c := &Comparison{
		cfg: cfg, seed: maphash.MakeSeed(), secrets: append(DefaultSecrets(), lowered(cfg.Secrets)...),
		paths: newPaths(), patterns: map[string]*pattern{}, skipped: map[string]int64{},
	}
	c.walks.New = func() any { return new(walk) }
	return c
}

func lowered(names []string) []string {
	all := make([]string, 0, len(names))
	for _, name := range names {
		if name != "" {
			all = append(all, strings.ToLower(name))
		}
	}
	return all
}

// Add compares the answers of a pair and counts what differs.
func (c *Comparison) Add(p Pair) {
	path, _, _ := strings.Cut(p.Path, "?")
	pat := c.pattern(p.Method, path)
	t := trio{c: c, pair: &p, path: path, pat: pat}
	reason := t.read()
	defer t.release()

	between := t.diffs(&p.Candidate, t.bodies[1])
	var within []diff
	if p.Again != nil {
		within = t.diffs(p.Again, t.bodies[2])
	}

	c.mu.Lock()
	defer c.mu.Unlock()
	n := counts{pairs: 1}
	if p.Again != nil {
		n.triples = 1
	}
	if reason != "" {
		c.skipped[reason]++
	} else if p.Again != nil || c.cfg.Exact {
		n.whole = 1
	}
	c.total.add(n)
	pat.counts.add(n)
	t.book(between, within)
}

func (n *counts) add(more counts) {
	n.pairs += more.pairs
	n.triples += more.triples
	n.whole += more.whole
}
