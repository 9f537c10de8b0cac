package upstream

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"sluice/proxy/proxyproto"
)

// ProxyHeader is the header of the PROXY protocol that connections to endpoints
// begin with, before TLS.
type ProxyHeader uint8

// The headers: none, or that of version 1 or 2.
const (
	NoProxyHeader ProxyHeader = iota
	ProxyV1
	ProxyV2
)

// Origin is what a header says of whom a connection serves. The zero value says
// nothing: the connection is the proxy's own.
type Origin struct {
	Client netip.AddrPort // port 0: not known
	Server netip.AddrPort // where the client's connection came to
}

// errHeaderOverHTTP2 is what a configuration is refused for.
var errHeaderOverHTTP2 = errors.New("an HTTP/2 connection is shared by many clients; the PROXY protocol tells of one: leave it out, or speak HTTP/1.1")

// TellsOrigin reports whether connections are for one client alone, to be named
// in Acquire.Origin.
func (c *Cluster) TellsOrigin() bool { return c.view.Load().cfg.ProxyProtocol != NoProxyHeader }

// reach dials, and sends the header that comes before all else.
func (e *Endpoint) reach(ctx context.Context, w *way, from Origin) (net.Conn, error) {
	nc, err := e.cluster.dial(ctx, e.network, e.address)
	if err != nil || w.header == NoProxyHeader {
		return nc, err
	}
	appendHeader := proxyproto.AppendV1
	if w.header == ProxyV2 {
		appendHeader = proxyproto.AppendV2
	}
	// A new connection has room for so few bytes: this does not wait.
	if _, err := nc.Write(appendHeader(nil, from.Client, from.Server)); err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}
