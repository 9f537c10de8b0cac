package server

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"go.uber.org/zap"

	"sluice/handover"
)

// adminSocket is the name of the admin API's socket, as no listener of the file
// needs to be called: the networks differ by more than the name.
const adminSocket = "admin"

// sockets are those that the process was given, by its predecessor or by the
// service manager, and that no listener has taken yet.
type sockets struct {
	mu   sync.Mutex
	free []handover.Socket
}

// take returns the socket that was given for a listener, nil if there is none.
func (s *sockets) take(name, network, address string) net.Listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.free, func(f handover.Socket) bool { return suits(f, name, network, address) })
	if i < 0 {
		return nil
	}
	ln := s.free[i].Listener
	s.free = slices.Delete(s.free, i, i+1)
	return ln
}

// suits tells whether a socket is the one for a listener. One of a predecessor
// was asked for in the same words, and a port of the system's choice goes by the
// listener's name. One of the service manager, which says nothing of that
// (Address is empty), has the listener's name, or its address.
func suits(f handover.Socket, name, network, address string) bool {
	bound := f.Listener.Addr()
	switch {
	case f.Network != network:
		return false
	case f.Address != "":
		return f.Address == address && (f.Name == name || !strings.HasSuffix(address, ":0"))
	case f.Name == name:
		return true
	case network == "unix":
		return bound.String() == address
	}
	return isAddress(bound, address)
}

// isAddress tells whether a TCP socket is bound to what an address asks for.
func isAddress(bound net.Addr, address string) bool {
	b, ok := bound.(*net.TCPAddr)
	host, port, err := net.SplitHostPort(address)
	if !ok || err != nil {
		return false
	}
	at := b.AddrPort()
	if want, err := netip.ParseAddrPort("0.0.0.0:" + port); err != nil || want.Port() != at.Port() {
		return false
	}
	if host == "" {
		return at.Addr().IsUnspecified()
	}
	if host == "localhost" {
		return at.Addr().Unmap().IsLoopback()
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap() == at.Addr().Unmap()
}

// closeRest closes what no listener wants: the file has changed since.
func (s *sockets) closeRest(log *zap.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.free {
		log.Warn("a socket that this process was given fits no listener of the file, and is closed",
			zap.String("name", f.Name), zap.Stringer("address", f.Listener.Addr()))
	}
	handover.Close(s.free)
	s.free = nil
}
