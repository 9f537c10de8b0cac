// Package origin is what stands behind Sluice in end-to-end tests: an endpoint
// that serves HTTP/1.1 with WebSockets and gRPC, each at an address of its own,
// and that can die and return.
package origin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	testing "google.golang.org/grpc/interop/grpc_testing"
)

// Origin is one endpoint. Use Start.
type Origin struct {
	HTTP string // address of the HTTP/1.1 server
	GRPC string // and of the gRPC server, HTTP/2 in the clear

	name  string
	calls atomic.Int64 // of gRPC, under way

	mu   sync.Mutex
	web  *http.Server
	rpc  *grpc.Server
	open map[net.Conn]bool // what Close of neither server closes: hijacked connections
	work sync.WaitGroup
}

// Start starts an endpoint of the version with this name.
func Start(name string) (*Origin, error) {
	o := &Origin{name: name, HTTP: "127.0.0.1:0", GRPC: "127.0.0.1:0", open: map[net.Conn]bool{}}
	return o, o.Revive()
}

// Revive brings an endpoint that was killed back, at its addresses.
func (o *Origin) Revive() error {
	web, err := net.Listen("tcp", o.HTTP)
	if err != nil {
		return err
	}
	rpc, err := net.Listen("tcp", o.GRPC)
	if err != nil {
		return errors.Join(err, web.Close())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.HTTP, o.GRPC = web.Addr().String(), rpc.Addr().String()
	o.web = &http.Server{Handler: o.handler(), ConnState: o.follow, ReadHeaderTimeout: time.Minute}
	o.rpc = grpc.NewServer(grpc.MaxRecvMsgSize(32<<20), grpc.UnaryInterceptor(o.countCall), grpc.StreamInterceptor(o.countStream))
	testing.RegisterTestServiceServer(o.rpc, service{name: o.name})
	server, rpcServer := o.web, o.rpc
	o.work.Go(func() { _ = server.Serve(web) })
	o.work.Go(func() { _ = rpcServer.Serve(rpc) })
	return nil
}

// follow notes connections until they are closed.
func (o *Origin) follow(c net.Conn, state http.ConnState) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch state {
	case http.StateNew:
		o.open[c] = true
	case http.StateClosed:
		delete(o.open, c)
	}
}

// Kill ends the endpoint at once: it listens no more, and every connection
// breaks.
func (o *Origin) Kill() {
	o.mu.Lock()
	web, rpc := o.web, o.rpc
	open := o.open
	o.open = map[net.Conn]bool{}
	o.mu.Unlock()
	_ = web.Close()
	for c := range open {
		_ = c.Close()
	}
	rpc.Stop()
	o.work.Wait()
}

// Calls returns how many calls of gRPC are under way.
func (o *Origin) Calls() int64 { return o.calls.Load() }

func (o *Origin) countCall(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	o.calls.Add(1)
	defer o.calls.Add(-1)
	return handle(ctx, req)
}

func (o *Origin) countStream(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	o.calls.Add(1)
	defer o.calls.Add(-1)
	return handle(srv, s)
}
