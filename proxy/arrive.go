package proxy

import (
	"errors"
	"net"
	"net/netip"

	"go.uber.org/zap"

	"sluice/proxy/proxyproto"
)

// ProxyMode is how a listener treats the PROXY protocol, by which a balancer
// says whose connection it passes on.
type ProxyMode uint8

// The modes. In both of the last the header is read from trusted proxies alone;
// who reaches a Unix socket is trusted by the rights of its file.
const (
	ProxyOff     ProxyMode = iota
	ProxyAccept            // where it is sent
	ProxyRequire           // a connection without it is closed
)

// Why a connection is refused before its first request, in the metrics.
const (
	refusedProxyProtocol = "proxy_protocol"
	refusedPerClient     = "per_client"
)

// arrive learns whose connection this is, before anything is read of it but the
// header of a balancer, and reports whether it is let in.
func (c *conn1) arrive() bool {
	if err := c.readProxyHeader(); err != nil {
		c.srv.stats.ConnectionRefused(refusedProxyProtocol)
		c.srv.log.Debug("a connection is refused", zap.String("listener", c.peer.listener.Name),
			zap.Stringer("from", c.peer.addr), zap.Error(err))
		return false
	}
	if !c.peer.countsAlone() {
		return true
	}
	c.peer.counted = c.srv.holders.Take(c.peer.addr.Addr(), c.peer.listener.ConnectionsPerClient)
	if !c.peer.counted {
		c.srv.stats.ConnectionRefused(refusedPerClient)
	}
	return c.peer.counted
}

// countsAlone reports whether the peer is held to its listener's limit of a
// client's connections. Trusted proxies stand for many clients.
func (p *peer) countsAlone() bool {
	return p.listener.ConnectionsPerClient > 0 && !p.trusted && p.addr.IsValid()
}

// Errors of readProxyHeader.
var (
	errUntrustedSender = errors.New("the PROXY protocol is required, and the sender is none of trusted_proxies")
	errNoProxyHeader   = errors.New("the PROXY protocol is required, and the connection begins otherwise")
)

// readProxyHeader takes the client's address from the header of the PROXY
// protocol, if the listener reads it and there is one. It has the time that a
// request's head has. What the client then is trusted with goes by its own
// address: a balancer that passes on a connection vouches for nothing in it.
func (c *conn1) readProxyHeader() error {
	l := c.peer.listener
	switch {
	case l.ProxyProtocol == ProxyOff:
		return nil
	case !c.peer.trusted && c.peer.addr.IsValid():
		if l.ProxyProtocol == ProxyRequire {
			return errUntrustedSender
		}
		return nil
	}
	c.sock.SetTimeout(l.HeadTimeout)
	var header proxyproto.Header
	var wrong error
	err := c.sock.Preamble(proxyproto.Enough, func(p []byte) (int, bool) {
		header, wrong = proxyproto.Parse(p)
		return header.Length, wrong != proxyproto.ErrMore
	})
	switch {
	case err != nil:
		return err
	case wrong == proxyproto.ErrNone && l.ProxyProtocol == ProxyAccept:
	case wrong == proxyproto.ErrNone:
		return errNoProxyHeader
	case wrong != nil:
		return wrong
	case header.Source.IsValid():
		local := c.peer.local
		c.peer = newPeer(l, header.Source, c.peer.shard)
		c.peer.local = local
	}
	return nil
}

// tcpAddr returns the address of an end of a connection; not a valid one for a
// Unix socket.
func tcpAddr(end net.Addr) netip.AddrPort {
	a, ok := end.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
