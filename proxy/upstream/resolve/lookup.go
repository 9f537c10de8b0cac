package resolve

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Resolver looks names up. The zero value does so as the system is set up to:
// in /etc/hosts, then with the servers and search domains of
// /etc/resolv.conf. Both are read at each lookup, so that changes count.
type Resolver struct {
	// Servers are asked instead, "host:port" by address, for nets with a DNS
	// of their own; names are complete then and neither file is read.
	Servers []string

	// For tests; "": the system's files, and the port of the DNS.
	hostsFile, resolvFile, port string
}

// hostsTTL is how long an entry of /etc/hosts holds.
const hostsTTL = 5 * time.Second

// Lookup finds the endpoints of a name. Where a name has none, the answer is
// empty and its TTL how long that holds.
func (r *Resolver) Lookup(ctx context.Context, name Name) (Answer, error) {
	a, err := r.asker()
	if err != nil {
		return Answer{}, err
	}
	var answer Answer
	if name.Port != 0 {
		answer, err = r.addresses(ctx, a, name.Host, strings.HasSuffix(name.Host, "."), name.Port)
	} else {
		answer, err = r.services(ctx, a, name.Host)
	}
	if err != nil {
		return Answer{}, err
	}
	answer.Endpoints = sorted(answer.Endpoints)
	answer.Endpoints = answer.Endpoints[:min(len(answer.Endpoints), MaxEndpoints)]
	return answer, nil
}

// sorted orders endpoints by tier, address and host, and drops those that come
// twice.
func sorted(all []Endpoint) []Endpoint {
	slices.SortFunc(all, func(a, b Endpoint) int {
		return cmp.Or(cmp.Compare(a.Tier, b.Tier), a.Addr.Compare(b.Addr), cmp.Compare(a.Host, b.Host))
	})
	return slices.CompactFunc(all, func(a, b Endpoint) bool { return a.Tier == b.Tier && a.Addr == b.Addr && a.Host == b.Host })
}

// addresses finds the addresses of a host, whose name may be complete. It fails
// where neither family of addresses is answered for, or one is not and the
// other has none.
func (r *Resolver) addresses(ctx context.Context, a *asker, host string, complete bool, port uint16) (Answer, error) {
	host = strings.TrimSuffix(host, ".")
	if len(r.Servers) == 0 {
		if found := r.inHosts(host); len(found) > 0 {
			return Answer{Endpoints: endpoints(found, host, port), TTL: hostsTTL}, nil
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan family, 2)
	for _, ipv6 := range []bool{false, true} {
		go func() { results <- a.family(ctx, host, complete, ipv6) }()
	}
	answer := join{host: host, port: port}
	answer.add(<-results)
	if answer.hasSome() {
		grace := time.AfterFunc(familyGrace, cancel)
		defer grace.Stop()
	}
	answer.add(<-results)
	return answer.Answer, answer.err()
}

// familyGrace is how long the answer for one family of addresses is waited for
// once the other has some: there are nets in which one of the two questions is
// never answered.
const familyGrace = 300 * time.Millisecond

// family is what became of the question for a host's addresses of one family.
type family struct {
	records
	ipv6   bool
	failed error
}

// family asks for the addresses of one family.
func (a *asker) family(ctx context.Context, host string, complete, ipv6 bool) family {
	f := family{ipv6: ipv6}
	kind := dns.TypeA
	if ipv6 {
		kind = dns.TypeAAAA
	}
	if complete {
		f.records, f.failed = a.ask(ctx, dns.Fqdn(host), kind)
	} else {
		f.records, f.failed = a.search(ctx, host, kind)
	}
	return f
}

// join joins what both families came to.
type join struct {
	Answer
	host   string
	port   uint16
	failed error
	empty  time.Duration // how long it holds that a family has no addresses
}

func (j *join) hasSome() bool { return len(j.Endpoints) > 0 }

// add takes the result for one family in.
func (j *join) add(f family) {
	found := f.addrs()
	switch {
	case f.failed != nil:
		j.failed = f.failed
		j.Unknown = append(j.Unknown, Question{Host: j.host, IPv6: f.ipv6})
	case len(found) == 0:
		j.empty = max(j.empty, f.ttl)
	default:
		if !j.hasSome() || f.ttl < j.TTL {
			j.TTL = f.ttl
		}
		j.Endpoints = append(j.Endpoints, endpoints(found, j.host, j.port)...)
	}
	if !j.hasSome() {
		j.TTL = j.empty
	}
}

// err returns the failure of one question, unless the other had an answer to
// live on.
func (j *join) err() error {
	if j.hasSome() {
		return nil
	}
	return j.failed
}

// endpoints makes endpoints of a host's addresses.
func endpoints(addrs []netip.Addr, host string, port uint16) []Endpoint {
	all := make([]Endpoint, len(addrs))
	for i, addr := range addrs {
		all[i] = Endpoint{Addr: netip.AddrPortFrom(addr, port), Host: host, Weight: 1}
	}
	return all
}
