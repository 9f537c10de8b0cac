package resolve

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/miekg/dns"
)

// Bounds of the lookups that the targets of one service take: in all, and at
// once.
const (
	maxTargets  = 100
	targetsOnce = 8
)

// services finds the endpoints that SRV records name.
func (r *Resolver) services(ctx context.Context, a *asker, service string) (Answer, error) {
	rec, err := a.search(ctx, service, dns.TypeSRV)
	if err != nil {
		return Answer{}, err
	}
	all := rec.services()
	answers := r.targets(ctx, a, all)
	joined := Answer{TTL: rec.ttl}
	var failed error
	for i, srv := range all {
		if answers[i].err != nil {
			failed = answers[i].err
			host := hostOf(srv)
			joined.Unknown = append(joined.Unknown, Question{host, false}, Question{host, true})
			continue
		}
		joined.add(answers[i].Answer, srv, all)
	}
	if failed != nil && len(joined.Endpoints) == 0 {
		return Answer{}, failed
	}
	return joined, nil
}

// add joins the addresses of a target to those of the service.
func (to *Answer) add(from Answer, srv *dns.SRV, all []*dns.SRV) {
	to.TTL = min(to.TTL, from.TTL)
	to.Unknown = append(to.Unknown, from.Unknown...)
	tier, weight := rank(srv, all)
	for _, e := range from.Endpoints {
		e.Tier, e.Weight = tier, weight/float64(len(from.Endpoints))
		to.Endpoints = append(to.Endpoints, e)
	}
}

// leastWeight is what a weight of 0 counts beside others above 0: such a target
// is to have "a very small chance" (RFC 2782).
const leastWeight = 0.01

// rank returns the tier of a record among all, and its weight with 1 for the
// average of its tier.
func rank(srv *dns.SRV, all []*dns.SRV) (tier int, weight float64) {
	lower := map[uint16]bool{}
	n, sum := 0.0, 0.0
	for _, other := range all {
		switch {
		case other.Priority < srv.Priority:
			lower[other.Priority] = true
		case other.Priority == srv.Priority:
			n++
			sum += float64(other.Weight)
		}
	}
	if sum == 0 {
		return len(lower), 1
	}
	return len(lower), max(leastWeight, float64(srv.Weight)) * n / sum
}

// target is what became of the lookup of one target.
type target struct {
	Answer
	err error
}

// targets finds the addresses of each record's target.
func (r *Resolver) targets(ctx context.Context, a *asker, all []*dns.SRV) []target {
	found := make([]target, len(all))
	turns := make(chan struct{}, targetsOnce)
	var under sync.WaitGroup
	for i, srv := range all {
		turns <- struct{}{}
		under.Go(func() {
			found[i].Answer, found[i].err = r.addresses(ctx, a, hostOf(srv), true, srv.Port)
			<-turns
		})
	}
	under.Wait()
	return found
}

// hostOf returns the name of a record's target without its last dot.
func hostOf(srv *dns.SRV) string { return strings.TrimSuffix(srv.Target, ".") }

// services returns the SRV records among an answer's, in order, but those that
// say that there is no such service (RFC 2782, "Target").
func (r records) services() []*dns.SRV {
	var all []*dns.SRV
	for _, rr := range r.found {
		if srv, ok := rr.(*dns.SRV); ok && srv.Target != "." && srv.Port != 0 {
			all = append(all, srv)
		}
	}
	slices.SortStableFunc(all, func(a, b *dns.SRV) int { return int(a.Priority) - int(b.Priority) })
	return all[:min(len(all), maxTargets)]
}
