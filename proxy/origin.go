package proxy

import (
	"net/netip"

	"sluice/proxy/upstream"
)

// origin is what endpoints are told of the client by the PROXY protocol. The port
// of a client that a trusted proxy names is not known: 0.
func (x *exchange) origin() *upstream.Origin {
	p := x.peer
	o := &upstream.Origin{Client: netip.AddrPortFrom(x.in.Client, 0), Server: p.local}
	if x.in.Client == p.addr.Addr() {
		o.Client = p.addr
	}
	if !o.Server.IsValid() {
		// A client named over a Unix socket came to no address that is known here.
		o.Server = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	return o
}
