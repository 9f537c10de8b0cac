package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	grpctest "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// eachCall runs a test with a client of gRPC on both listeners.
func (st *stand) eachCall(t *testing.T, test func(t *testing.T, c grpctest.TestServiceClient)) {
	t.Helper()
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure=%v", secure), func(t *testing.T) {
			address, trust := st.Plain, insecure.NewCredentials()
			if secure {
				address, trust = st.Secure, credentials.NewTLS(st.TLS())
			}
			cc, err := grpc.NewClient(address, grpc.WithTransportCredentials(trust), grpc.WithDisableRetry(),
				grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(32<<20)))
			if err != nil {
				t.Fatal(err)
			}
			defer cc.Close()
			test(t, grpctest.NewTestServiceClient(cc))
		})
	}
}

func payload(n int) *grpctest.Payload { return &grpctest.Payload{Body: make([]byte, n)} }

// parameters ask for answers of these sizes.
func parameters(sizes ...int32) (all []*grpctest.ResponseParameters) {
	for _, n := range sizes {
		all = append(all, &grpctest.ResponseParameters{Size: n})
	}
	return all
}

// TestGRPCUnary makes calls with one message each way, from nothing to more
// than all windows.
func TestGRPCUnary(t *testing.T) {
	st := setUp(t)
	st.eachCall(t, func(t *testing.T, c grpctest.TestServiceClient) {
		ctx := briefly(t)
		if _, err := c.EmptyCall(ctx, &grpctest.Empty{}); err != nil {
			t.Error(err)
		}
		for _, n := range []int{0, 1, 16 << 10, 1 << 20, 10 << 20} {
			var header, trailer metadata.MD
			with := metadata.AppendToOutgoingContext(ctx, "x-echo", "text", "x-echo-bin", "\x00\xff\x80")
			res, err := c.UnaryCall(with, &grpctest.SimpleRequest{ResponseSize: int32(n), Payload: payload(n)}, grpc.Header(&header), grpc.Trailer(&trailer))
			if err != nil || len(res.GetPayload().GetBody()) != n || res.GetHostname() != "v1" {
				t.Errorf("%d bytes: %v, %d came back", n, err, len(res.GetPayload().GetBody()))
			}
			for name, md := range map[string]metadata.MD{"header": header, "trailer": trailer} {
				if !slices.Equal(md.Get("x-echo"), []string{"text"}) || !slices.Equal(md.Get("x-echo-bin"), []string{"\x00\xff\x80"}) {
					t.Errorf("%s: %v", name, md)
				}
			}
		}
	})
}

// TestGRPCStreams makes calls of the three streaming kinds, and one whose server
// answers only after all has come.
func TestGRPCStreams(t *testing.T) {
	st := setUp(t)
	sizes := []int32{0, 1, 31415, 9, 2653, 1 << 20, 58979}
	st.eachCall(t, func(t *testing.T, c grpctest.TestServiceClient) {
		ctx := briefly(t)
		t.Run("server", func(t *testing.T) {
			s, err := c.StreamingOutputCall(ctx, &grpctest.StreamingOutputCallRequest{ResponseParameters: parameters(sizes...)})
			if err != nil {
				t.Fatal(err)
			}
			receive(t, s, sizes...)
			receiveEnd(t, s)
		})
		t.Run("client", func(t *testing.T) {
			s, err := c.StreamingInputCall(ctx)
			if err != nil {
				t.Fatal(err)
			}
			sum := int32(0)
			for _, n := range sizes {
				if err := s.Send(&grpctest.StreamingInputCallRequest{Payload: payload(int(n))}); err != nil {
					t.Fatal(err)
				}
				sum += n
			}
			if res, err := s.CloseAndRecv(); err != nil || res.GetAggregatedPayloadSize() != sum {
				t.Errorf("%v, %v; want %d", res, err, sum)
			}
		})
		t.Run("both", func(t *testing.T) {
			s, err := c.FullDuplexCall(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range sizes { // each is answered before the next is sent
				if err := s.Send(&grpctest.StreamingOutputCallRequest{ResponseParameters: parameters(n, 3), Payload: payload(int(n))}); err != nil {
					t.Fatal(err)
				}
				receive(t, s, n, 3)
			}
			if err := s.CloseSend(); err != nil {
				t.Fatal(err)
			}
			receiveEnd(t, s)
		})
		t.Run("half", func(t *testing.T) {
			s, err := c.HalfDuplexCall(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range sizes {
				if err := s.Send(&grpctest.StreamingOutputCallRequest{ResponseParameters: parameters(n)}); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.CloseSend(); err != nil {
				t.Fatal(err)
			}
			receive(t, s, sizes...)
			receiveEnd(t, s)
		})
	})
}

// answers is a stream of them.
type answers interface {
	Recv() (*grpctest.StreamingOutputCallResponse, error)
}

// receive awaits answers of these sizes.
func receive(t *testing.T, s answers, sizes ...int32) {
	t.Helper()
	for i, n := range sizes {
		if res, err := s.Recv(); err != nil || len(res.GetPayload().GetBody()) != int(n) {
			t.Fatalf("answer %d: %d bytes, want %d, %v", i, len(res.GetPayload().GetBody()), n, err)
		}
	}
}

// receiveEnd awaits that the server ends the call, well.
func receiveEnd(t *testing.T, s answers) {
	t.Helper()
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

// TestGRPCStatus: the status of a call is the server's, whatever it holds, and
// what is not there says so.
func TestGRPCStatus(t *testing.T) {
	st := setUp(t)
	st.eachCall(t, func(t *testing.T, c grpctest.TestServiceClient) {
		ctx := briefly(t)
		const special = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
		for code, message := range map[codes.Code]string{codes.Unknown: "test status message", codes.DataLoss: special, codes.Unavailable: "gone", codes.ResourceExhausted: ""} {
			want := &grpctest.EchoStatus{Code: int32(code), Message: message}
			_, err := c.UnaryCall(ctx, &grpctest.SimpleRequest{ResponseStatus: want})
			if s := status.Convert(err); s.Code() != code || s.Message() != message {
				t.Errorf("unary: %v", err)
			}
			s, err := c.FullDuplexCall(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Send(&grpctest.StreamingOutputCallRequest{ResponseParameters: parameters(10), ResponseStatus: want}); err != nil {
				t.Fatal(err)
			}
			receive(t, s, 10)
			if _, err := s.Recv(); status.Code(err) != code || status.Convert(err).Message() != message {
				t.Errorf("stream: %v", err)
			}
		}
		if _, err := c.UnimplementedCall(ctx, &grpctest.Empty{}); status.Code(err) != codes.Unimplemented {
			t.Errorf("a call that is not there: %v", err)
		}
	})
}

// TestGRPCGivesUp: a deadline that passes and a call that is cancelled end it on
// both sides.
func TestGRPCGivesUp(t *testing.T) {
	st := setUp(t)
	st.eachCall(t, func(t *testing.T, c grpctest.TestServiceClient) {
		slow := &grpctest.StreamingOutputCallRequest{ResponseParameters: []*grpctest.ResponseParameters{{Size: 1}, {Size: 1, IntervalUs: 60_000_000}}}
		ctx, cancel := context.WithTimeout(briefly(t), 100*time.Millisecond)
		defer cancel()
		s, err := c.StreamingOutputCall(ctx, slow)
		if err == nil {
			receive(t, s, 1)
			_, err = s.Recv()
		}
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("after the deadline: %v", err)
		}
		ctx, cancel = context.WithCancel(briefly(t))
		if s, err = c.StreamingOutputCall(ctx, slow); err != nil {
			t.Fatal(err)
		}
		receive(t, s, 1)
		cancel()
		if _, err := s.Recv(); status.Code(err) != codes.Canceled {
			t.Errorf("cancelled: %v", err)
		}
	})
	for _, o := range []interface{ Calls() int64 }{st.v1, st.v2} {
		if !eventually(t, func() bool { return o.Calls() == 0 }) {
			t.Errorf("%d calls go on at the server", o.Calls())
		}
	}
}

// eventually awaits a condition for a bounded time.
func eventually(t *testing.T, condition func() bool) bool {
	ctx := briefly(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// TestGRPCCallsAtOnce makes 100 calls of each kind at once on one connection.
func TestGRPCCallsAtOnce(t *testing.T) {
	st := setUp(t)
	st.eachCall(t, func(t *testing.T, c grpctest.TestServiceClient) {
		ctx := briefly(t)
		const all = 100
		failed := make(chan error, 2*all)
		for range all {
			go func() {
				_, err := c.UnaryCall(ctx, &grpctest.SimpleRequest{ResponseSize: 50_000, Payload: payload(50_000)})
				failed <- err
			}()
			go func() { failed <- pingPong(ctx, c, 20, 10_000) }()
		}
		for range 2 * all {
			if err := <-failed; err != nil {
				t.Fatal(err)
			}
		}
	})
}

// pingPong exchanges messages of a size.
func pingPong(ctx context.Context, c grpctest.TestServiceClient, times int, size int32) error {
	s, err := c.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for range times {
		if err := s.Send(&grpctest.StreamingOutputCallRequest{ResponseParameters: parameters(size), Payload: payload(int(size))}); err != nil {
			return err
		}
		if _, err := s.Recv(); err != nil {
			return err
		}
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	if _, err := s.Recv(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("at the end: %w", err)
	}
	return nil
}
