package proxy

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"

	"sluice/proxy/head"
	"sluice/proxy/sock"
	"sluice/stats"
)

// Synthetic requests are those of journeys. They take the way of all others, but
// count for no customer: not in the statistics of versions, of refusals and of
// overload, in no trial, pin or rate, and not for the ejection of endpoints. They
// come over connections that this process makes to itself, or from a trusted peer
// that says so, as a sidecar's are behind an edge that has asked for them.

// syntheticField names a journey on its requests. No other peer may send it.
const syntheticField = "sluice-synthetic"

// DialSynthetic opens a connection to the server whose requests are synthetic:
// HTTP/1.1, or HTTP/2 with prior knowledge. It is served as one to the listener of
// that name, but without TLS: routes, limits of sizes and times, and what
// endpoints are told of the scheme are that listener's. "" is any, one that speaks
// TLS rather than another.
//
// A Sluice-Override on it is believed. Answers tell who gave them, as far as that
// is known: Sluice-Service, Sluice-Version, Sluice-Endpoint and Sluice-Reason.
func (s *Server) DialSynthetic(ctx context.Context, name string) (net.Conn, error) {
	l, err := s.listenerFor(name)
	if err != nil {
		return nil, err
	}
	return s.dialSelf(ctx, l, nil)
}

// ErrNoTLS is returned by DialSyntheticTLS where no listener speaks TLS.
var ErrNoTLS = errors.New("proxy: no listener speaks TLS")

// DialSyntheticTLS is DialSynthetic but that the server awaits a TLS handshake, as
// on the listener's own connections.
func (s *Server) DialSyntheticTLS(ctx context.Context, name string) (net.Conn, error) {
	l, err := s.listenerFor(name)
	if err != nil {
		return nil, err
	}
	config := l.config.Load().TLS
	if config == nil {
		return nil, ErrNoTLS
	}
	return s.dialSelf(ctx, l, config)
}

// dialSelf makes a connection of the server to itself, over TLS where secure says
// how.
func (s *Server) dialSelf(ctx context.Context, l *listener, secure *tls.Config) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	near, far, err := socketPair()
	if err != nil {
		return nil, err
	}
	c := &conn1{srv: s, from: l, peer: syntheticPeer(l.config.Load(), s.turn.Add(1))}
	if secure != nil {
		c.sock = sock.NewTLS(far, tls.Server, secure)
	} else {
		c.sock = sock.New(far)
	}
	if !l.enter(c) {
		near.Close()
		return nil, errStopped
	}
	go c.startSynthetic()
	return near, nil
}

// listenerFor returns the listener of a name, or for "" the one whose requests are
// likeliest what customers send: over TLS, and not all redirected.
func (s *Server) listenerFor(name string) (*listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var best *listener
	for _, l := range s.listeners {
		c := l.config.Load()
		if name == "" && (best == nil || serves(c, best.config.Load()) < 0) || name != "" && c.Name == name {
			best = l
		}
	}
	switch {
	case best != nil:
		return best, nil
	case s.stopping || name == "":
		return nil, errors.New("proxy: no listener is open")
	}
	return nil, fmt.Errorf("proxy: no listener is named %q", name)
}

// serves orders listeners for listenerFor, the better one first.
func serves(a, b *ListenerConfig) int {
	rank := func(c *ListenerConfig) int {
		switch {
		case c.TLS != nil:
			return 0
		case c.RedirectHTTPS == 0:
			return 1
		}
		return 2
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Name, b.Name))
}

// syntheticPeer is the peer of a connection of this process to itself. Nothing
// that it says of others is believed; it is the client.
func syntheticPeer(l *ListenerConfig, shard uint32) peer {
	p := newPeer(l, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 0), shard)
	p.trusted, p.synthetic = false, true
	return p
}

// socketPair returns the two ends of a connection inside the process.
func socketPair() (near, far net.Conn, err error) {
	syscall.ForkLock.RLock() // a child that is started between the two calls would inherit them
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "synthetic")
		end, failure := net.FileConn(file) // has a descriptor of its own
		file.Close()
		if ends[i] = end; failure != nil {
			err = failure
		}
	}
	if err == nil {
		return ends[0], ends[1], nil
	}
	for _, end := range slices.DeleteFunc(ends[:], func(c net.Conn) bool { return c == nil }) {
		end.Close()
	}
	return nil, nil, err
}

// startSynthetic serves a connection of dialSelf.
func (c *conn1) startSynthetic() {
	defer c.survive()
	if t, isTLS := c.sock.NetConn().(*tls.Conn); isTLS {
		c.startTLS(t)
		return
	}
	if c.beginsWithPreface() {
		c.serve2(true)
		return
	}
	c.serve()
}

// recogniseSynthetic tells whether the request is synthetic.
func (x *exchange) recogniseSynthetic() {
	x.synthetic = x.peer.synthetic
	if !x.peer.trusted {
		return
	}
	for i := range x.req.Fields {
		if x.isSyntheticName(&x.req.Fields[i]) {
			x.synthetic = true
		}
	}
}

// isSyntheticName reports whether a field is Sluice-Synthetic.
func (x *exchange) isSyntheticName(f *head.Field) bool {
	return f.ID == head.SluiceField && head.EqualFold(f.Name, syntheticField)
}

// isSyntheticField reports whether a field is Sluice-Synthetic, and may be passed
// on.
func (x *exchange) isSyntheticField(f *head.Field) bool {
	return x.synthetic && x.isSyntheticName(f)
}

// counts returns where the exchange is counted that asks a target.
func (x *exchange) counts(t *Target) *stats.Version {
	if x.synthetic {
		return x.srv.uncounted
	}
	return t.Stats
}

// countSynthetic counts an exchange that has ended and is synthetic.
func (x *exchange) countSynthetic() {
	if x.target != nil {
		x.target.Stats.Synthetic(x.outcome.Status)
	}
}

// countRefused counts a request that is refused with a status.
func (x *exchange) countRefused(status int) {
	if !x.synthetic {
		x.srv.stats.Refused(status)
	}
}

// countNoRoute counts a request that no route leads anywhere.
func (x *exchange) countNoRoute() {
	if !x.synthetic {
		x.srv.stats.NoRoute(x.peer.listener.Name)
	}
}

// tell says in the answer who gave it, in place of what the endpoint says of
// that.
func (x *exchange) tell() {
	for i := range x.res.Fields {
		if f := &x.res.Fields[i]; f.ID == head.SluiceField {
			f.Name = ""
		}
	}
	service, version, endpoint := x.whoAnswered()
	if version == "" && x.dec.Failed != nil {
		version = x.dec.Failed.Name // that should have answered
	}
	if endpoint == "" && x.failure.at != nil {
		endpoint = x.failure.at.Address // that could not be reached
	}
	for _, f := range [...]head.Field{
		{Name: "Sluice-Service", Value: service}, {Name: "Sluice-Version", Value: version}, {Name: "Sluice-Endpoint", Value: endpoint},
	} {
		if f.Value != "" {
			x.extra = append(x.extra, f)
		}
	}
	if service != "" {
		x.extra = append(x.extra, head.Field{Name: "Sluice-Reason", Value: x.reasonText()})
	}
}
