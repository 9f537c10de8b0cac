package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
)

// callers returns workers that make calls of gRPC.
func (w *world) callers() []*worker {
	return []*worker{
		calling("gRPC", w.Plain, insecure.NewCredentials(), 3, 10*time.Millisecond, false, unary),
		calling("gRPC over TLS", w.Secure, credentials.NewTLS(w.TLS()), 3, 10*time.Millisecond, false, unary),
		calling("gRPC stream", w.Plain, insecure.NewCredentials(), 3, 50*time.Millisecond, true, pingPong),
		calling("gRPC stream over TLS", w.Secure, credentials.NewTLS(w.TLS()), 3, 50*time.Millisecond, true, pingPong),
	}
}

func calling(kind, address string, trust credentials.TransportCredentials, many int, pause time.Duration, lasts bool,
	call func(context.Context, grpc_testing.TestServiceClient) error) *worker {
	// It neither fails nor connects before the first call; what it does not
	// like about the address, that call says.
	cc, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(trust))
	if err != nil {
		return &worker{kind: kind, many: 1, pause: time.Second, close: func() {}, do: func(context.Context) error { return err }}
	}
	c := grpc_testing.NewTestServiceClient(cc)
	return &worker{kind: kind, many: many, pause: pause, lasts: lasts, close: func() { _ = cc.Close() },
		do: func(ctx context.Context) error { return call(ctx, c) }}
}

func payload(n int) *grpc_testing.Payload { return &grpc_testing.Payload{Body: make([]byte, n)} }

func unary(ctx context.Context, c grpc_testing.TestServiceClient) error {
	const n = 5000
	res, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{ResponseSize: n, Payload: payload(n)})
	if err == nil && len(res.GetPayload().GetBody()) != n {
		err = fmt.Errorf("%d bytes came, not %d", len(res.GetPayload().GetBody()), n)
	}
	return err
}

// pingPong exchanges messages for two seconds.
func pingPong(ctx context.Context, c grpc_testing.TestServiceClient) error {
	s, err := c.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for range 20 {
		err := s.Send(&grpc_testing.StreamingOutputCallRequest{
			Payload: payload(3000), ResponseParameters: []*grpc_testing.ResponseParameters{{Size: 3000}},
		})
		if err != nil && !errors.Is(err, io.EOF) { // at EOF, Recv says what it is
			return err
		}
		if _, err := s.Recv(); err != nil {
			return err
		}
		<-time.After(100 * time.Millisecond)
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}
