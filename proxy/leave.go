package proxy

// How a server leaves: for good, or because another process goes on with its
// sockets.

import (
	"context"
	"net"
	"strings"
	"time"
)

// Leave makes the next request of every connection its last, while the
// listeners go on: answers say so to HTTP/1.1's clients (Connection: close), and
// GOAWAY to those of HTTP/2. Connections that wait for a request stay open,
// since a client may be sending one at this very moment, and would lose it with
// the connection; they end by their idle timeout. The tables go on, too.
func (s *Server) Leave() {
	s.leaving.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.drain()
	}
}

// Release stops accepting on sockets that another process has, too. What waits
// in their queues is left to that process, and so are the names of Unix sockets.
// No listener is opened any more. Shutdown is still due.
func (s *Server) Release() {
	for _, l := range s.dropListeners() {
		l.release()
	}
}

// Await waits until the last connection has ended, or ctx; it reports which.
func (s *Server) Await(ctx context.Context) bool {
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// dropListeners takes the listeners away from Listen, for good.
func (s *Server) dropListeners() map[string]*listener {
	s.mu.Lock()
	defer s.mu.Unlock()
	listeners := s.listeners
	s.listeners = map[string]*listener{}
	s.stopping = true
	return listeners
}

// release ends accept without emptying the queue, and closes this process's
// hold on the socket.
func (l *listener) release() {
	l.closing.Store(true)
	if d, ok := l.net.(interface{ SetDeadline(time.Time) error }); ok && d.SetDeadline(time.Unix(1, 0)) == nil {
		<-l.ended
	}
	if u, ok := l.net.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	l.net.Close()
	<-l.ended
}

// Socket is an open listener, as another process may take it over.
type Socket struct {
	Name             string // of the listener
	Network, Address string // as the configuration has them
	Listener         net.Listener
}

// Sockets returns the open listeners. They stay the server's own.
func (s *Server) Sockets() []Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Socket
	for _, l := range s.listeners {
		c := l.config.Load()
		network, address := split(c.Address)
		all = append(all, Socket{c.Name, network, address, l.net})
	}
	return all
}

// split returns the network of a listener's address, and what to bind there.
func split(address string) (network, addr string) {
	if path, unix := strings.CutPrefix(address, unixPrefix); unix {
		return "unix", path
	}
	return "tcp", address
}

// cutOffTime bounds the wait for goroutines whose connections were cut off.
const cutOffTime = 2 * time.Second

// cutOff ends the connections that are left: the clients', and those to
// endpoints, which their requests may be waiting for.
func (s *Server) cutOff() error {
	s.mu.Lock()
	n := len(s.conns)
	for c := range s.conns {
		c.abort()
	}
	s.mu.Unlock()
	for _, t := range s.Table().Targets {
		if t != nil && t.Cluster != nil {
			t.Cluster.Abort()
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), cutOffTime)
	defer cancel()
	s.Await(ctx)
	if n > 0 {
		return &CutOffError{Connections: n}
	}
	return nil
}
