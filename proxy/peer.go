package proxy

import (
	"crypto/tls"
	"net/netip"
	"strings"

	"sluice/proxy/h1"
	"sluice/proxy/head"
)

// peer is what is known of a client's connection before it says anything.
type peer struct {
	listener *ListenerConfig
	addr     netip.AddrPort // of the other end of the connection
	local    netip.AddrPort // of this end; not valid for a Unix socket
	tls      bool
	// tlsVersion is what was agreed on (tls.VersionTLS12, …); 0 without TLS.
	tlsVersion uint16
	trusted    bool   // one of the listener's trusted proxies: what it says of its clients is believed
	shard      uint32 // spreads the counters
	counted    bool   // among its client's connections, until the end
	synthetic  bool   // it is this process itself: see Server.DialSynthetic

	forwarded []byte // the X-Forwarded-* fields of a peer that is the client itself
	scheme    string // "http" or "https"
	certified bool   // it has shown a certificate, which was verified
	identity  []byte // the fields that say whose
}

// newPeer describes the other end of a connection.
func newPeer(l *ListenerConfig, addr netip.AddrPort, shard uint32) peer {
	p := peer{listener: l, addr: addr, shard: shard, tls: l.TLS != nil, scheme: "http"}
	if p.tls {
		p.scheme = "https"
	}
	for _, prefix := range l.TrustedProxies {
		if prefix.Contains(p.addr.Addr()) {
			p.trusted = true
		}
	}
	if p.addr.IsValid() {
		p.forwarded = append(p.forwarded, "X-Forwarded-For: "...)
		p.forwarded = p.addr.Addr().AppendTo(p.forwarded)
		p.forwarded = append(p.forwarded, h1.CRLF...)
	}
	p.forwarded = append(p.forwarded, "X-Forwarded-Proto: "...)
	p.forwarded = append(p.forwarded, p.scheme...)
	p.forwarded = append(p.forwarded, h1.CRLF...)
	return p
}

// tlsText is the version of TLS as logs have it; "" without TLS.
func (p *peer) tlsText() string {
	switch p.tlsVersion {
	case tls.VersionTLS12:
		return "1.2"
	case tls.VersionTLS13:
		return "1.3"
	}
	return ""
}

// clientOf returns the client's address: the peer's, or, where the peer is a
// trusted proxy, the last address in X-Forwarded-For that isn't one. A proxy
// appends whom it was asked by, so what stands before the first stranger from
// the right is that stranger's word.
func (p *peer) clientOf(req *head.Request) netip.Addr {
	client := p.addr.Addr()
	if !p.trusted {
		return client
	}
	for i := len(req.Fields) - 1; i >= 0; i-- {
		if req.Fields[i].ID != head.XForwardedFor {
			continue
		}
		for rest := req.Fields[i].Value; rest != ""; {
			last := strings.LastIndexByte(rest, ',')
			hop, ok := parseHop(strings.Trim(rest[last+1:], " \t"))
			if !ok {
				return client
			}
			if client = hop; !p.isTrusted(hop) {
				return client
			}
			rest = rest[:max(last, 0)]
		}
	}
	return client
}

// isTrusted reports whether an address is one of the listener's trusted
// proxies.
func (p *peer) isTrusted(a netip.Addr) bool {
	for _, prefix := range p.listener.TrustedProxies {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// parseHop reads one element of X-Forwarded-For, with or without a port.
func parseHop(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Unmap().WithZone(""), true
	}
	ap, err := netip.ParseAddrPort(s)
	return ap.Addr().Unmap().WithZone(""), err == nil
}

// appendForwarded writes who asks, for the endpoint: whose certificate it was
// shown, and the peer's address behind
// what a trusted peer says of its own clients, else alone.
func (x *exchange) appendForwarded(dst []byte) []byte {
	p := x.peer
	dst = append(dst, p.identity...)
	if !p.trusted {
		dst = append(dst, p.forwarded...)
		return h1.AppendField(dst, "X-Forwarded-Host", x.req.Host)
	}
	dst = x.appendForwardedFor(dst)
	dst = x.extendForwarded(dst)
	if _, has := x.req.Lookup(head.XForwardedProto); !has {
		dst = h1.AppendField(dst, "X-Forwarded-Proto", p.scheme)
	}
	if _, has := x.req.Lookup(head.XForwardedHost); !has {
		dst = h1.AppendField(dst, "X-Forwarded-Host", x.req.Host)
	}
	return dst
}

// appendForwardedFor writes the X-Forwarded-For of a trusted peer with the
// peer itself at its end.
func (x *exchange) appendForwardedFor(dst []byte) []byte {
	dst = append(dst, "X-Forwarded-For: "...)
	for i := range x.req.Fields {
		if f := &x.req.Fields[i]; f.ID == head.XForwardedFor && f.Value != "" {
			dst = append(dst, f.Value...)
			dst = append(dst, ", "...)
		}
	}
	dst = appendNode(dst, x.peer.addr.Addr())
	return append(dst, h1.CRLF...)
}

// extendForwarded writes the Forwarded field (RFC 7239) of a trusted peer that
// sent one, with this hop at its end.
func (x *exchange) extendForwarded(dst []byte) []byte {
	found := false
	for i := range x.req.Fields {
		f := &x.req.Fields[i]
		if f.ID != head.Forwarded || f.Value == "" {
			continue
		}
		if !found {
			dst = append(dst, "Forwarded: "...)
			found = true
		}
		dst = append(dst, f.Value...)
		dst = append(dst, ", "...)
	}
	if !found {
		return dst
	}
	addr := x.peer.addr.Addr()
	dst = append(dst, `for="`...)
	if addr.Is6() {
		dst = append(dst, '[')
		dst = addr.AppendTo(dst)
		dst = append(dst, ']')
	} else {
		dst = appendNode(dst, addr)
	}
	dst = append(dst, `";proto=`...)
	dst = append(dst, x.peer.scheme...)
	return append(dst, h1.CRLF...)
}

// appendNode writes an address, or "unknown" for a peer without one (a Unix
// socket).
func appendNode(dst []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return append(dst, "unknown"...)
	}
	return a.AppendTo(dst)
}
