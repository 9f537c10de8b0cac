package proxy

import (
	"crypto/tls"

	"go.uber.org/zap"
)

// handshake completes TLS, and reports whether the connection is for requests.
// What stalls ends by the time that a head may take.
//
// A connection for the validation of a domain (RFC 8737) ends with its handshake,
// for which no client certificate was asked: it must not carry a request.
func (c *conn1) handshake(t *tls.Conn) bool {
	l := c.peer.listener
	c.sock.SetTimeout(l.HeadTimeout)
	if err := t.Handshake(); err != nil {
		if !c.peer.synthetic {
			c.srv.stats.HandshakeFailed(l.Name)
		}
		c.srv.log.Debug("TLS handshake failed", zap.String("listener", l.Name), zap.Error(err), zap.Stringer("client", c.peer.addr))
		return false
	}
	state := t.ConnectionState()
	c.peer.tlsVersion = state.Version
	c.peer.identify(&state)
	return state.NegotiatedProtocol != "acme-tls/1"
}
