package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sluice/proxy/upstream"
)

// caller is a gRPC server for tests. What it does follows from the messages, or
// from do where that is set.
type caller struct {
	name      string
	address   string
	server    *grpc.Server
	do        func(grpc.ServerStream) error
	hanging   atomic.Int32 // calls that came to hang
	cancelled atomic.Int32
	metadata  atomic.Pointer[metadata.MD]
	served    chan struct{}
}

type note = wrapperspb.BytesValue

// describe is what protoc would have generated.
func (c *caller) describe() *grpc.ServiceDesc {
	stream := func(name string, h func(grpc.ServerStream) error) grpc.StreamDesc {
		return grpc.StreamDesc{StreamName: name, ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, s grpc.ServerStream) error { return h(s) }}
	}
	return &grpc.ServiceDesc{
		ServiceName: "test.Calls", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: c.unary}},
		Streams: []grpc.StreamDesc{stream("Collect", c.collect), stream("Spread", c.spread), stream("Chat", c.chat), stream("Do", func(s grpc.ServerStream) error { return c.do(s) })},
	}
}

// unary answers with what it got, or with the status that it was asked for.
func (c *caller) unary(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	in := new(note)
	if err := decode(in); err != nil {
		return nil, err
	}
	md, _ := metadata.FromIncomingContext(ctx)
	c.metadata.Store(&md)
	grpc.SetHeader(ctx, metadata.Pairs("x-served-by", c.name))
	grpc.SetTrailer(ctx, metadata.Pairs("x-after", "all"))
	switch text := string(in.Value); {
	case strings.HasPrefix(text, "fail "):
		var code int
		fmt.Sscan(text[5:], &code)
		return nil, status.Error(codes.Code(code), "as asked for: 100 %")
	case text == "hang":
		c.hanging.Add(1)
		<-ctx.Done()
		c.cancelled.Add(1)
		return nil, ctx.Err()
	}
	return in, nil
}

// collect counts the bytes of all messages.
func (c *caller) collect(s grpc.ServerStream) error {
	total := 0
	for {
		in := new(note)
		if err := s.RecvMsg(in); err == io.EOF {
			return s.SendMsg(&note{Value: fmt.Append(nil, total)})
		} else if err != nil {
			return err
		}
		total += len(in.Value)
	}
}

// spread sends its message ten times.
func (c *caller) spread(s grpc.ServerStream) error {
	in := new(note)
	if err := s.RecvMsg(in); err != nil {
		return err
	}
	for range 10 {
		if err := s.SendMsg(in); err != nil {
			return err
		}
	}
	return nil
}

// chat answers each message.
func (c *caller) chat(s grpc.ServerStream) error {
	for {
		in := new(note)
		if err := s.RecvMsg(in); err == io.EOF {
			return nil
		} else if err != nil {
			c.cancelled.Add(1)
			return err
		}
		if err := s.SendMsg(&note{Value: append([]byte(c.name+": "), in.Value...)}); err != nil {
			return err
		}
	}
}

// callServer starts a gRPC server.
func callServer(t testing.TB, name string, options ...grpc.ServerOption) *caller {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{name: name, address: l.Addr().String(), served: make(chan struct{})}
	options = append([]grpc.ServerOption{grpc.MaxRecvMsgSize(64 << 20), grpc.MaxSendMsgSize(64 << 20)}, options...)
	c.server = grpc.NewServer(options...)
	c.server.RegisterService(c.describe(), nil)
	go func() { c.server.Serve(l); close(c.served) }()
	t.Cleanup(func() { c.server.Stop(); <-c.served })
	return c
}

// callRig starts a proxy before gRPC servers, each a version of one endpoint.
func callRig(t testing.TB, servers []*caller, options ...option) *rig {
	versions := map[string]string{}
	for _, s := range servers {
		versions[s.name] = s.address
	}
	return newRig(t, versions, append([]option{h2c, speaksHTTP2}, options...)...)
}

// calls returns a gRPC client of the proxy.
func (r *rig) calls() *grpc.ClientConn {
	r.t.Helper()
	cc, err := grpc.NewClient("passthrough:///"+r.addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20)), grpc.WithDisableRetry())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { cc.Close() })
	return cc
}

// within is the context of a call that must end.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// unary makes a call and returns the answer's text.
func unary(ctx context.Context, cc *grpc.ClientConn, text string, options ...grpc.CallOption) (string, error) {
	out := new(note)
	err := cc.Invoke(ctx, "/test.Calls/Unary", &note{Value: []byte(text)}, out, options...)
	return string(out.Value), err
}

var bothWays = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}

// open begins a stream.
func open(t testing.TB, ctx context.Context, cc *grpc.ClientConn, method string) grpc.ClientStream {
	t.Helper()
	s, err := cc.NewStream(ctx, bothWays, "/test.Calls/"+method)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// say sends a message; hear receives one.
func say(t testing.TB, s grpc.ClientStream, text string) {
	t.Helper()
	if err := s.SendMsg(&note{Value: []byte(text)}); err != nil {
		t.Fatal(err)
	}
}

func hear(t testing.TB, s grpc.ClientStream) string {
	t.Helper()
	out := new(note)
	if err := s.RecvMsg(out); err != nil {
		t.Fatal(err)
	}
	return string(out.Value)
}

func TestCallsOfEveryKind(t *testing.T) {
	server := callServer(t, "v1")
	r := callRig(t, []*caller{server})
	cc := r.calls()
	ctx := within(t, 30*time.Second)

	var header, trailer metadata.MD
	got, err := unary(metadata.AppendToOutgoingContext(ctx, "x-mine", "1", "x-bin", "\x00\xff"), cc, "hello", grpc.Header(&header), grpc.Trailer(&trailer))
	if err != nil || got != "hello" {
		t.Fatalf("unary: %q, %v", got, err)
	}
	if header.Get("x-served-by")[0] != "v1" || trailer.Get("x-after")[0] != "all" {
		t.Errorf("header %v, trailer %v", header, trailer)
	}
	md := *server.metadata.Load()
	for key, want := range map[string]string{
		"x-mine": "1", "x-bin": "\x00\xff", "sluice-version": "v1", "x-forwarded-for": "127.0.0.1", "content-type": "application/grpc",
	} {
		if v := md.Get(key); len(v) != 1 || v[0] != want {
			t.Errorf("the server saw %s: %q, want %q", key, v, want)
		}
	}

	s := open(t, ctx, cc, "Collect")
	for range 100 {
		say(t, s, "0123456789")
	}
	s.CloseSend()
	if got := hear(t, s); got != "1000" {
		t.Errorf("client streaming: %s", got)
	}

	s = open(t, ctx, cc, "Spread")
	say(t, s, "again")
	s.CloseSend()
	for range 10 {
		if got := hear(t, s); got != "again" {
			t.Fatalf("server streaming: %s", got)
		}
	}
	if err := s.RecvMsg(new(note)); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}

	s = open(t, ctx, cc, "Chat")
	for i := range 20 {
		say(t, s, fmt.Sprint(i))
		if got := hear(t, s); got != fmt.Sprint("v1: ", i) {
			t.Fatalf("both ways: %s", got)
		}
	}
	s.CloseSend()
	if err := s.RecvMsg(new(note)); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// Each code comes through with its message, also where the response is trailers
// alone, and is counted as what it means.
func TestCodesComeThroughAndAreCounted(t *testing.T) {
	r := callRig(t, []*caller{callServer(t, "v1")})
	cc := r.calls()
	ctx := within(t, 30*time.Second)
	for code := codes.Code(1); code <= codes.Unauthenticated; code++ {
		_, err := unary(ctx, cc, fmt.Sprint("fail ", int(code)))
		if st := status.Convert(err); st.Code() != code || st.Message() != "as asked for: 100 %" {
			t.Errorf("code %d: got %v", code, err)
		}
	}
	err := cc.Invoke(ctx, "/test.Calls/Nothing", &note{}, new(note))
	if status.Code(err) != codes.Unimplemented || !strings.Contains(err.Error(), "unknown method") {
		t.Errorf("a method that is not there: %v", err)
	}
	eventually(t, "the count of 17 calls", func() bool { return counted(r, 4)+counted(r, 5) == 17 })
	// 2, 4, 12, 13, 14, 15 and the unknown method are the server's fault.
	if n := counted(r, 5); n != 7 {
		t.Errorf("%d calls counted as the server's failures, want 7", n)
	}
}

// counted returns how many requests ended with a status of this class.
func counted(r *rig, class int) uint64 {
	v1 := r.of("v1")
	return v1.ByClass(fmt.Sprint(class, "xx"))
}

func TestLargeMessagesBothWays(t *testing.T) {
	r := callRig(t, []*caller{callServer(t, "v1")})
	cc := r.calls()
	ctx := within(t, 60*time.Second)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB
	for range 2 {
		got, err := unary(ctx, cc, string(big))
		if err != nil || got != string(big) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	s := open(t, ctx, cc, "Chat")
	for range 2 {
		say(t, s, string(big))
		if got := hear(t, s); got != "v1: "+string(big) {
			t.Fatalf("%d bytes", len(got))
		}
	}
}

// An endpoint that ends a call at its deadline, before the proxy has looked at the
// time, has not failed.
func TestADeadlineIsKeptByTheEndpointToo(t *testing.T) {
	for left, want := range map[time.Duration]bool{-time.Second: true, 0: true, time.Millisecond: true, time.Minute: false} {
		x := &exchange{course: course{deadline: time.Now().Add(left)}}
		if got := x.pastDeadline(); got != want {
			t.Errorf("with %v left: %v", left, got)
		}
	}
	if new(exchange).pastDeadline() {
		t.Error("without a deadline")
	}
}

func TestCallsHaveTheirDeadline(t *testing.T) {
	server := callServer(t, "v1")
	r := callRig(t, []*caller{server})
	_, err := unary(within(t, time.Second), r.calls(), "hang")
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	eventually(t, "the server's end", func() bool { return server.cancelled.Load() == 1 })
	if n := r.clusters["v1"].Status()[0].Failures; n != 0 {
		t.Error("a client's deadline counts against the endpoint")
	}
}

// The proxy ends a call at its deadline also for a client that doesn't.
func TestProxyKeepsTheDeadlineOfACall(t *testing.T) {
	server := callServer(t, "v1")
	r := callRig(t, []*caller{server})
	ended := make(chan error, 1)
	server.do = func(s grpc.ServerStream) error {
		<-s.Context().Done()
		ended <- s.Context().Err()
		return s.Context().Err()
	}
	res := rawCall(t, r, "Do", "100m")
	if res.status != "4" || !strings.Contains(res.message, "deadline") {
		t.Errorf("got %+v", res)
	}
	<-ended
}

// A call without a deadline is not cut by the time that other responses have.
func TestResponseTimeoutSparesCalls(t *testing.T) {
	t.Parallel()
	server := callServer(t, "v1")
	server.do = func(s grpc.ServerStream) error {
		in := new(note)
		if err := s.RecvMsg(in); err != nil {
			return err
		}
		timer := time.NewTimer(400 * time.Millisecond)
		defer timer.Stop()
		<-timer.C // no message, and no header
		return s.SendMsg(in)
	}
	r := callRig(t, []*caller{server}, func(r *rig) {
		r.settings.ResponseTimeout = 50 * time.Millisecond
		r.listener.BodyTimeout = 50 * time.Millisecond // nor is one that is silent
	})
	s := open(t, t.Context(), r.calls(), "Do")
	say(t, s, "patience")
	if got := hear(t, s); got != "patience" {
		t.Errorf("got %q", got)
	}
}

func TestCancelledCallsEndAtTheServer(t *testing.T) {
	server := callServer(t, "v1")
	r := callRig(t, []*caller{server})
	cc := r.calls()
	ctx, cancel := context.WithCancel(t.Context())
	s := open(t, ctx, cc, "Chat")
	say(t, s, "x")
	hear(t, s)
	cancel()
	eventually(t, "the stream's end at the server", func() bool { return server.cancelled.Load() == 1 })

	ctx, cancel = context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { _, err := unary(ctx, cc, "hang"); done <- err }()
	eventually(t, "the call at the server", func() bool { return server.hanging.Load() == 1 })
	cancel()
	if err := <-done; status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	eventually(t, "the call's end at the server", func() bool { return server.cancelled.Load() == 2 })
	eventually(t, "the end of all", func() bool { return r.clusters["v1"].InUse() == 0 })
	if n := r.clusters["v1"].Status()[0].Failures; n != 0 {
		t.Error("a client that leaves counts against the endpoint")
	}
}

// A server that dies within a stream ends it with a code, and the next call
// finds another.
func TestServerThatDiesWithinAStream(t *testing.T) {
	server := callServer(t, "v1")
	r := callRig(t, []*caller{server})
	cc := r.calls()
	s := open(t, within(t, 30*time.Second), cc, "Chat")
	say(t, s, "x")
	hear(t, s)
	server.server.Stop()
	if err := s.RecvMsg(new(note)); status.Code(err) != codes.Unavailable {
		t.Errorf("within the stream: %v", err)
	}
	if _, err := unary(within(t, 30*time.Second), cc, "x"); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "can't be reached") {
		t.Errorf("afterwards: %v", err)
	}
}

// A server that stops in good order finishes its streams; new calls go to
// another endpoint.
func TestServerThatStopsInGoodOrder(t *testing.T) {
	a, b := callServer(t, "a"), callServer(t, "b")
	r := newRig(t, map[string]string{"v1": a.address + "," + b.address}, h2c, speaksHTTP2)
	cc := r.calls()
	ctx := within(t, 30*time.Second)
	s := open(t, ctx, cc, "Chat")
	say(t, s, "x")
	first, _, _ := strings.Cut(hear(t, s), ":")
	stopping, other := a, b
	if first == "b" {
		stopping, other = b, a
	}
	stopped := make(chan struct{})
	go func() { stopping.server.GracefulStop(); close(stopped) }()
	for range 200 {
		if _, err := unary(ctx, cc, "y"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.SendMsg(&note{Value: []byte("still")}); err != nil {
		t.Fatal(err, s.RecvMsg(new(note)))
	}
	if got := hear(t, s); got != first+": still" {
		t.Errorf("got %q", got)
	}
	s.CloseSend()
	if err := s.RecvMsg(new(note)); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	<-stopped
	if other.metadata.Load() == nil {
		t.Error("the other endpoint was asked nothing")
	}
}

// A flip moves new calls; a stream finishes where it is.
func TestStreamFinishesWhereItIsAtAFlip(t *testing.T) {
	v1, v2 := callServer(t, "v1"), callServer(t, "v2")
	r := callRig(t, []*caller{v1, v2}, func(r *rig) { r.service.Versions[1].Weight = 0 })
	cc := r.calls()
	ctx := within(t, 30*time.Second)
	s := open(t, ctx, cc, "Chat")
	say(t, s, "before")
	if got := hear(t, s); got != "v1: before" {
		t.Fatalf("got %q", got)
	}
	r.service.Versions[0].Weight, r.service.Versions[1].Weight = 0, 1
	r.service.Epoch++
	r.srv.Swap(r.table())
	var header metadata.MD
	if _, err := unary(ctx, cc, "x", grpc.Header(&header)); err != nil || header.Get("x-served-by")[0] != "v2" {
		t.Errorf("a new call: %v, %v", header, err)
	}
	say(t, s, "after")
	if got := hear(t, s); got != "v1: after" {
		t.Errorf("got %q", got)
	}
	s.CloseSend()
	if err := s.RecvMsg(new(note)); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// A thousand streams are open at once, though a server takes a hundred on a
// connection.
func TestThousandStreamsAtOnce(t *testing.T) {
	server := callServer(t, "v1", grpc.MaxConcurrentStreams(100))
	r := callRig(t, []*caller{server})
	const conns, each = 5, 200
	ctx := within(t, 60*time.Second)
	var all sync.WaitGroup
	opened := make(chan struct{}, conns*each)
	finish := make(chan struct{})
	failed := make(chan error, conns*each)
	for range conns {
		cc := r.calls()
		for i := range each {
			all.Go(func() {
				failed <- func() error {
					s, err := cc.NewStream(ctx, bothWays, "/test.Calls/Chat")
					if err != nil {
						return err
					}
					for round := range 2 {
						text := fmt.Sprint(i, round)
						out := new(note)
						if err := errors.Join(s.SendMsg(&note{Value: []byte(text)}), s.RecvMsg(out)); err != nil {
							return err
						} else if string(out.Value) != "v1: "+text {
							return fmt.Errorf("got %q", out.Value)
						}
						if round == 0 {
							opened <- struct{}{}
							<-finish
						}
					}
					s.CloseSend()
					if err := s.RecvMsg(new(note)); err != io.EOF {
						return err
					}
					return nil
				}()
			})
		}
	}
	for range conns * each {
		select {
		case <-opened:
		case err := <-failed:
			t.Fatal(err)
		}
	}
	if n := r.clusters["v1"].Status()[0].Connections; n != 10 {
		t.Errorf("%d connections carry 1,000 streams, want 10", n)
	}
	close(finish)
	all.Wait()
	for range conns * each {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
}

// What the proxy answers itself is in gRPC's terms.
func TestOwnAnswersToCalls(t *testing.T) {
	r := callRig(t, []*caller{{name: "v1", address: ""}})
	if _, err := unary(within(t, 10*time.Second), r.calls(), "x"); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "No endpoint is able") {
		t.Errorf("no endpoint: %v", err)
	}
	limited := callRig(t, []*caller{callServer(t, "v1")}, func(r *rig) { r.listener.BodyBytes = 1000 })
	_, err := unary(within(t, 10*time.Second), limited.calls(), strings.Repeat("x", 100_000))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a body over the limit: %v", err)
	}
	full := callRig(t, []*caller{callServer(t, "v1")}, func(r *rig) { r.upstream.MaxConnections = 1 })
	cc := full.calls()
	s := open(t, within(t, 10*time.Second), cc, "Chat")
	say(t, s, "x")
	hear(t, s)
	if _, err := unary(within(t, 10*time.Second), cc, "x"); status.Code(err) != codes.Unavailable {
		t.Errorf("over the limit of requests: %v", err)
	}
}

// rawAnswer is what a call came to that no gRPC library made.
type rawAnswer struct {
	http            int
	status, message string
}

// rawCall makes a call without a message, whose client has no deadline of its own.
func rawCall(t *testing.T, r *rig, method, timeout string) rawAnswer {
	t.Helper()
	req := must(newPost("http://"+r.addr+"/test.Calls/"+method, "application/grpc"))
	req.Header.Set("Te", "trailers")
	req.Header.Set("Grpc-Timeout", timeout)
	res, err := client2(t, nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	a := rawAnswer{res.StatusCode, res.Header.Get("Grpc-Status"), res.Header.Get("Grpc-Message")}
	if a.status == "" {
		a.status, a.message = res.Trailer.Get("Grpc-Status"), res.Trailer.Get("Grpc-Message")
	}
	return a
}

func TestGRPCIsTold(t *testing.T) {
	for kind, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "Application/GRPC; x=y": true,
		"application/grpc-web": false, "application/grpcx": false, "application/json": false, "": false,
	} {
		if isGRPC(kind) != want {
			t.Errorf("%q", kind)
		}
	}
}

func TestGRPCTimeouts(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"1S": time.Second, "20m": 20 * time.Millisecond, "3u": 3 * time.Microsecond, "99999999n": 99999999, "1H": time.Hour, "0S": 0,
		"2M": 2 * time.Minute, "99999999H": 365 * 24 * time.Hour,
	} {
		if got, ok := parseGRPCTimeout(s); !ok || got != want {
			t.Errorf("%s: %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{"", "S", "1", "1s", "-1S", "123456789S", "1 S", "1.5S", "0x1S"} {
		if got, ok := parseGRPCTimeout(s); ok {
			t.Errorf("%q passes for %v", s, got)
		}
	}
}

func FuzzGRPCTimeout(f *testing.F) {
	f.Add("20m")
	f.Add("99999999H")
	f.Fuzz(func(t *testing.T, s string) {
		if d, ok := parseGRPCTimeout(s); ok && (d < 0 || d > 365*24*time.Hour || len(s) < 2 || len(s) > 9) {
			t.Errorf("%q is %v", s, d)
		}
	})
}

func TestResetsHaveTheirCodes(t *testing.T) {
	for err, want := range map[error]grpcCode{
		&upstream.ResetError{Code: 0x7}: grpcUnavailable, &upstream.ResetError{Code: 0x8}: grpcCanceled,
		&upstream.ResetError{Code: 0xb}: grpcResourceExhausted, &upstream.ResetError{Code: 0xc}: grpcPermissionDenied,
		&upstream.ResetError{Code: 0x1}: grpcInternal, upstream.ErrLinkLost: grpcUnavailable, upstream.ErrDeadline: grpcDeadlineExceeded,
		upstream.ErrMalformed: grpcInternal,
	} {
		if got, text := grpcCutOff(err); got != want || strings.Contains(text, "%") {
			t.Errorf("%v: %d %q, want %d", err, got, text, want)
		}
	}
}
