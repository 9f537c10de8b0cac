package resolve

import (
	"context"
	"slices"
	"time"
)

// Bounds of the time from one lookup to the next. A TTL of 0 must not become a
// loop, and one of a day must not outlive a change that was made by mistake.
const (
	MinTTL = time.Second
	MaxTTL = 5 * time.Minute
	// maxBackoff is the longest wait after failures; the first is MinTTL.
	maxBackoff = 30 * time.Second
	// lookupTimeout bounds one lookup, over all servers and tries.
	lookupTimeout = 15 * time.Second
)

// Follower looks one name up for as long as it runs. All fields but Rand are
// required.
type Follower struct {
	Name   Name
	Lookup func(ctx context.Context, name Name) (Answer, error)
	// Found is called with the endpoints that a lookup found, if they are
	// others than before. They are never none: a name that has lost all its
	// records keeps the last that it had, for somebody's slip in a zone is
	// likelier than a service that is to serve nothing, and whoever means it
	// takes the weight away.
	Found func([]Endpoint)
	// Failed is called for each lookup that failed or found nothing; inARow
	// counts them from 1.
	Failed func(err error, inARow int)
	// Recovered is called for the first good lookup after bad ones.
	Recovered func()
	// Wait blocks for d or until ctx ends.
	Wait func(ctx context.Context, d time.Duration)
	// Rand spreads the lookups of many names; nil: not at all.
	Rand func() uint64
	// Known is what was found before.
	Known []Endpoint

	failures int
}

// Run looks up until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(ctx, lookupTimeout)
		answer, err := f.Lookup(limited, f.Name)
		cancel()
		if ctx.Err() != nil {
			return
		}
		f.Wait(ctx, f.take(answer, err))
	}
}

// take takes the result of a lookup in and returns how long to wait for the
// next.
func (f *Follower) take(answer Answer, err error) time.Duration {
	if err == nil && len(answer.Endpoints) == 0 {
		err = &EmptyError{Name: f.Name}
	}
	if err != nil {
		f.failures++
		f.Failed(err, f.failures)
		return f.spread(max(backoff(f.failures), min(answer.TTL, maxBackoff)))
	}
	found := f.withUnknown(answer)
	if !slices.Equal(found, f.Known) {
		f.Known = found
		f.Found(found)
	}
	if f.failures > 0 {
		f.failures = 0
		f.Recovered()
	}
	return f.spread(min(max(answer.TTL, MinTTL), MaxTTL))
}

// withUnknown returns what an answer has, and of its unanswered questions what
// was known before.
func (f *Follower) withUnknown(answer Answer) []Endpoint {
	found := answer.Endpoints
	for _, q := range answer.Unknown {
		for _, e := range f.Known {
			is := func(o Endpoint) bool { return o.Addr == e.Addr && o.Host == e.Host }
			if e.Host == q.Host && e.Addr.Addr().Is6() == q.IPv6 && !slices.ContainsFunc(found, is) {
				found = append(found, e)
			}
		}
	}
	return sorted(found)
}

// backoff is the wait after failures in a row: it doubles from MinTTL on.
func backoff(failures int) time.Duration {
	return min(MinTTL<<min(failures-1, 10), maxBackoff)
}

// spread lengthens a wait by up to a tenth, so that lookups begun together
// don't stay together, and records are over when they are asked for.
func (f *Follower) spread(d time.Duration) time.Duration {
	if f.Rand == nil {
		return d
	}
	return d + time.Duration(f.Rand()%uint64(d/10+1))
}

// Wait waits by the real clock.
func Wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// EmptyError is a name that has no records of the kind that is asked for.
type EmptyError struct{ Name Name }

// Error says what the name lacks.
func (e *EmptyError) Error() string {
	if e.Name.Port == 0 {
		return "the DNS has no SRV record with a target for " + e.Name.Host
	}
	return "the DNS has no address for " + e.Name.Host
}
