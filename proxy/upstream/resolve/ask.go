package resolve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// asker asks servers of the DNS.
type asker struct {
	servers  []string
	suffixes dns.ClientConfig // its search domains
	timeout  time.Duration    // of one question to one server
	tries    int              // of all servers in turn
}

// Limits of what /etc/resolv.conf may ask for, as the C library has them
// (resolv.conf(5)).
const (
	maxServers = 3
	maxTimeout = 5 * time.Second
	maxTries   = 3
)

// asker returns who asks, by the system's configuration where none is given.
func (r *Resolver) asker() (*asker, error) {
	if len(r.Servers) > 0 {
		return &asker{servers: r.Servers, timeout: 2 * time.Second, tries: 2}, nil
	}
	path := "/etc/resolv.conf"
	if r.resolvFile != "" {
		path = r.resolvFile
	}
	conf, err := dns.ClientConfigFromFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		conf = &dns.ClientConfig{Port: "53", Ndots: 1, Timeout: 5, Attempts: 2}
	case err != nil:
		return nil, err
	}
	if len(conf.Servers) == 0 {
		conf.Servers = []string{"127.0.0.1"} // resolv.conf(5): the server on this machine
	}
	if r.port != "" {
		conf.Port = r.port
	}
	a := &asker{
		suffixes: *conf,
		timeout:  min(time.Duration(max(1, conf.Timeout))*time.Second, maxTimeout),
		tries:    min(max(1, conf.Attempts), maxTries),
	}
	for _, server := range conf.Servers[:min(len(conf.Servers), maxServers)] {
		a.servers = append(a.servers, net.JoinHostPort(server, conf.Port))
	}
	return a, nil
}

// names returns the complete names that a name may stand for, in the order in
// which they are tried.
func (a *asker) names(name string) []string {
	if a.suffixes.Port == "" {
		return []string{dns.Fqdn(name)}
	}
	return a.suffixes.NameList(name)
}

// search asks for the records of a name that may need one of the search
// domains. The first name that has some counts.
func (a *asker) search(ctx context.Context, name string, kind uint16) (records, error) {
	var last records
	var failed error
	for _, full := range a.names(name) {
		rec, err := a.ask(ctx, full, kind)
		switch {
		case err == nil && len(rec.found) > 0:
			return rec, nil
		case err == nil:
			last = rec
		case failed == nil:
			failed = err
		}
	}
	return last, failed
}

// records are those of one kind that a name has, and how long that holds.
type records struct {
	found []dns.RR
	ttl   time.Duration
}

// addrs returns the addresses among the records that something may listen on.
func (r records) addrs() []netip.Addr {
	var all []netip.Addr
	for _, rr := range r.found {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if addr, ok := netip.AddrFromSlice(ip); ok && !addr.Unmap().IsUnspecified() && !addr.Unmap().IsMulticast() {
			all = append(all, addr.Unmap())
		}
	}
	return all
}

// ask asks the servers in turn for the records of a complete name, until one
// has an answer: records, or that there are none.
func (a *asker) ask(ctx context.Context, full string, kind uint16) (records, error) {
	question := new(dns.Msg)
	question.SetQuestion(full, kind)
	question.SetEdns0(udpSize, false)
	var failed error
	for range a.tries {
		for _, server := range a.servers {
			reply, err := a.exchange(ctx, question, server)
			if err == nil {
				return read(reply, full, kind), nil
			}
			if failed == nil {
				failed = fmt.Errorf("look up %s %s at %s: %w", full, dns.TypeToString[kind], server, err)
			}
			if ctx.Err() != nil {
				return records{}, failed
			}
		}
	}
	return records{}, failed
}

// udpSize is the longest answer that is asked for by UDP: it fits any path
// without fragments (DNS flag day 2020).
const udpSize = 1232

// errMismatch is an answer to another question, which somebody may have forged.
var errMismatch = errors.New("the answer is not for the question")

// exchange asks one server by UDP, and by TCP for an answer that is too long
// for it.
func (a *asker) exchange(ctx context.Context, question *dns.Msg, server string) (*dns.Msg, error) {
	reply, err := a.exchangeBy(ctx, "udp", question, server)
	if err == nil && reply.Truncated {
		reply, err = a.exchangeBy(ctx, "tcp", question, server)
	}
	switch {
	case err != nil:
		return nil, err
	case len(reply.Question) != 1 || !reply.Response || reply.Question[0].Qtype != question.Question[0].Qtype ||
		!strings.EqualFold(reply.Question[0].Name, question.Question[0].Name):
		return nil, errMismatch
	case reply.Truncated:
		return nil, errors.New("the answer is cut off even by TCP")
	case reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError:
		return nil, fmt.Errorf("the server answered %s", dns.RcodeToString[reply.Rcode])
	case isReferral(reply):
		return nil, errors.New("the server does not look names up for others")
	}
	return reply, nil
}

// exchangeBy asks one server by UDP or TCP.
func (a *asker) exchangeBy(ctx context.Context, network string, question *dns.Msg, server string) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: a.timeout}
	conn, err := client.DialContext(ctx, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	// The library heeds the end of ctx at its deadline alone.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	question.Id = dns.Id()
	reply, _, err := client.ExchangeWithConnContext(ctx, question, conn)
	return reply, err
}

// isReferral tells "ask others" from "there is no such record": neither comes
// with records, but only the one lacks an authority's word for it.
func isReferral(reply *dns.Msg) bool {
	return reply.Rcode == dns.RcodeSuccess && len(reply.Answer) == 0 && !reply.Authoritative && !reply.RecursionAvailable
}

// maxAliases bounds a chain of CNAME records.
const maxAliases = 16

// read takes the records of one kind out of an answer, along the aliases of the
// name. Where there are none, how long that holds is the SOA record's to say
// (RFC 2308, section 5).
func read(reply *dns.Msg, full string, kind uint16) records {
	name, ttl := full, uint32(MaxTTL/time.Second)
	for range maxAliases {
		var found []dns.RR
		alias := ""
		for _, rr := range reply.Answer {
			h := rr.Header()
			if !strings.EqualFold(h.Name, name) {
				continue
			}
			if c, ok := rr.(*dns.CNAME); ok {
				alias = c.Target
				ttl = min(ttl, h.Ttl)
			} else if h.Rrtype == kind {
				found = append(found, rr)
				ttl = min(ttl, h.Ttl)
			}
		}
		if len(found) > 0 {
			return records{found, time.Duration(ttl) * time.Second}
		}
		if name = alias; alias == "" {
			break
		}
	}
	for _, rr := range reply.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return records{ttl: time.Duration(min(ttl, soa.Minttl, soa.Hdr.Ttl)) * time.Second}
		}
	}
	return records{}
}
