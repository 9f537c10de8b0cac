package origin

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	testing "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// What a call's metadata "x-echo" holds comes back in both header and trailer.
const echoed = "x-echo"

// service is gRPC's own test service: a call of each kind.
type service struct {
	testing.UnimplementedTestServiceServer
	name string
}

// greet sends the header, with the version and what is to be echoed, and sets
// the trailer.
func (s service) greet(ctx context.Context, header, trailer func(metadata.MD) error) error {
	md, _ := metadata.FromIncomingContext(ctx)
	reply := metadata.Pairs("x-version", s.name, "x-via", strings.Join(md.Get("via"), ","))
	for _, v := range md.Get(echoed) {
		reply.Append(echoed, v)
	}
	for _, v := range md.Get(echoed + "-bin") {
		reply.Append(echoed+"-bin", v)
	}
	return errors.Join(header(reply), trailer(reply))
}

func (s service) unary(ctx context.Context) error {
	return s.greet(ctx, func(md metadata.MD) error { return grpc.SendHeader(ctx, md) }, func(md metadata.MD) error { return grpc.SetTrailer(ctx, md) })
}

func (s service) stream(st grpc.ServerStream) error {
	return s.greet(st.Context(), st.SendHeader, func(md metadata.MD) error { st.SetTrailer(md); return nil })
}

// asked returns the status that a request asks for, if any.
func asked(e *testing.EchoStatus) error {
	if e.GetCode() == 0 {
		return nil
	}
	return status.Error(codes.Code(e.GetCode()), e.GetMessage())
}

func payload(size int32) *testing.Payload { return &testing.Payload{Body: make([]byte, size)} }

func (s service) EmptyCall(ctx context.Context, _ *testing.Empty) (*testing.Empty, error) {
	return &testing.Empty{}, s.unary(ctx)
}

func (s service) UnaryCall(ctx context.Context, in *testing.SimpleRequest) (*testing.SimpleResponse, error) {
	if err := s.unary(ctx); err != nil {
		return nil, err
	}
	if err := asked(in.GetResponseStatus()); err != nil {
		return nil, err
	}
	return &testing.SimpleResponse{Payload: payload(in.GetResponseSize()), Hostname: s.name}, nil
}

// answer sends the messages that a request asks for.
func answer(ctx context.Context, in *testing.StreamingOutputCallRequest, send func(*testing.StreamingOutputCallResponse) error) error {
	for _, p := range in.GetResponseParameters() {
		if us := p.GetIntervalUs(); us > 0 && !pause(ctx, time.Duration(us)*time.Microsecond) {
			return status.FromContextError(ctx.Err()).Err()
		}
		if err := send(&testing.StreamingOutputCallResponse{Payload: payload(p.GetSize())}); err != nil {
			return err
		}
	}
	return nil
}

func (s service) StreamingOutputCall(in *testing.StreamingOutputCallRequest, st grpc.ServerStreamingServer[testing.StreamingOutputCallResponse]) error {
	if err := s.stream(st); err != nil {
		return err
	}
	if err := answer(st.Context(), in, st.Send); err != nil {
		return err
	}
	return asked(in.GetResponseStatus())
}

func (s service) StreamingInputCall(st grpc.ClientStreamingServer[testing.StreamingInputCallRequest, testing.StreamingInputCallResponse]) error {
	if err := s.stream(st); err != nil {
		return err
	}
	sum := 0
	for {
		in, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return st.SendAndClose(&testing.StreamingInputCallResponse{AggregatedPayloadSize: int32(sum)})
		}
		if err != nil {
			return err
		}
		sum += len(in.GetPayload().GetBody())
	}
}

func (s service) FullDuplexCall(st grpc.BidiStreamingServer[testing.StreamingOutputCallRequest, testing.StreamingOutputCallResponse]) error {
	if err := s.stream(st); err != nil {
		return err
	}
	for {
		in, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = answer(st.Context(), in, st.Send)
		}
		if err == nil {
			err = asked(in.GetResponseStatus())
		}
		if err != nil {
			return err
		}
	}
}

// HalfDuplexCall answers when the client has sent all.
func (s service) HalfDuplexCall(st grpc.BidiStreamingServer[testing.StreamingOutputCallRequest, testing.StreamingOutputCallResponse]) error {
	if err := s.stream(st); err != nil {
		return err
	}
	var all []*testing.StreamingOutputCallRequest
	for {
		in, err := st.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		all = append(all, in)
	}
	for _, in := range all {
		if err := answer(st.Context(), in, st.Send); err != nil {
			return err
		}
	}
	return nil
}
