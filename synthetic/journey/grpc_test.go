package journey

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// overH2C asks a server at an address over HTTP/2 in the clear.
func overH2C(t *testing.T, address string) Target {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return Target{Host: "shop.test", Send: func(r *http.Request) (*http.Response, error) {
		r.URL.Host, r.Host = address, "shop.test"
		return transport.RoundTrip(r)
	}}
}

// grpcServer serves what register registers, as others implement gRPC.
func grpcServer(t *testing.T, register func(*grpc.Server)) Target {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	register(s)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	target := overH2C(t, l.Addr().String())
	t.Cleanup(func() { s.Stop(); <-done })
	return target
}

// odd is a health service that answers in its own way.
type odd struct {
	healthpb.UnimplementedHealthServer
	check func(context.Context) (*healthpb.HealthCheckResponse, error)
}

func (o odd) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	return o.check(ctx)
}

func TestHealthOfRealServers(t *testing.T) {
	known := health.NewServer()
	known.SetServingStatus("shop.Cart", healthpb.HealthCheckResponse_NOT_SERVING)
	known.SetServingStatus("shop.Till", healthpb.HealthCheckResponse_SERVING)
	good := grpcServer(t, func(s *grpc.Server) { healthpb.RegisterHealthServer(s, known) })
	refuses := grpcServer(t, func(s *grpc.Server) {
		healthpb.RegisterHealthServer(s, odd{check: func(ctx context.Context) (*healthpb.HealthCheckResponse, error) {
			if md, _ := metadata.FromIncomingContext(ctx); len(md["authorization"]) == 1 && md["authorization"][0] == "Bearer sesame" {
				return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
			}
			return nil, status.Error(codes.Unauthenticated, "who are you, sesame? 100% ü\n")
		}})
	})
	slow := grpcServer(t, func(s *grpc.Server) {
		healthpb.RegisterHealthServer(s, odd{check: func(ctx context.Context) (*healthpb.HealthCheckResponse, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
	})
	for _, c := range []struct {
		name, service string
		target        Target
		headers       map[string]string
		timeout       time.Duration
		want          string
	}{
		{"the server", "", good, nil, 0, ""},
		{"a service", "shop.Till", good, nil, 0, ""},
		{"not serving", "shop.Cart", good, nil, 0, "service shop.Cart is NOT_SERVING, not SERVING"},
		{"unknown service", "shop.Crat", good, nil, 0, "grpc-status 5 NOT_FOUND: unknown service (its health service does not know service shop.Crat)"},
		{"no health service", "", grpcServer(t, func(*grpc.Server) {}), nil, 0, "grpc-status 12 UNIMPLEMENTED: unknown service grpc.health.v1.Health (it has no service grpc.health.v1.Health)"},
		{"refused", "", refuses, nil, 0, "grpc-status 16 UNAUTHENTICATED: who are you, ***? 100% ü; "},
		{"metadata", "", refuses, map[string]string{"Authorization": "Bearer {{word}}"}, 0, ""},
		{"slow", "", slow, nil, 30 * time.Millisecond, "no answer within 30ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := one(Step{GRPC: &GRPC{Service: c.service}, Headers: c.headers, Timeout: c.timeout})
			spec.Secrets = map[string]string{"word": "sesame"}
			s := compiled(t, spec).Run(t.Context(), c.target).Steps[0]
			if got := errText(s.Err); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if !strings.HasPrefix(s.Request, "POST /grpc.health.v1.Health/Check\nHost: shop.test\n") || !strings.HasSuffix(s.Request, c.service) {
				t.Errorf("asked %q", s.Request)
			}
		})
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// framed is a message behind its prefix.
func framed(compressed byte, message []byte) string {
	return string(append(binary.BigEndian.AppendUint32([]byte{compressed}, uint32(len(message))), message...))
}

// Servers that are none of gRPC, or broken, over HTTP/2 and HTTP/1.1.
func TestHealthOfOddServers(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		body       string
		status     string // grpc-status, in the trailers
		code       int
		want       string
	}{
		{"good", "application/grpc+proto", framed(0, []byte{8, 1}), "0", 200, ""},
		{"with fields of tomorrow", "application/grpc;v=2", framed(0, []byte("\x12\x03abc\x08\x01\x1d1234\x2112345678\x30\xff\x01")), "0", 200, ""},
		{"a page", "text/html", "<html>", "", 200, `the answer is of type "text/html", not application/grpc`},
		{"a type that only begins alike", "application/grpc-web", framed(0, []byte{8, 1}), "0", 200, `the answer is of type "application/grpc-web", not application/grpc`},
		{"a proxy's error", "text/plain", "no", "", 503, "status 503, which is no answer of gRPC"},
		{"cut off", "application/grpc", framed(0, []byte{8, 1}), "", 200, "there is no grpc-status: the answer was cut off"},
		{"a status that is none", "application/grpc", "", "999999999999", 200, "grpc-status 999999999999"},
		{"a status of tomorrow", "application/grpc", "", "17", 200, "grpc-status 17"},
		{"no message", "application/grpc", "", "0", 200, "the answer holds no message"},
		{"compressed", "application/grpc", framed(1, []byte{8, 1}), "0", 200, "the message is compressed, which was not asked for"},
		{"two messages", "application/grpc", framed(0, []byte{8, 1}) + framed(0, []byte{8, 1}), "0", 200, "the message is said to have 2 bytes, and 9 follow"},
		{"said to be huge", "application/grpc", "\x00\xff\xff\xff\xff", "0", 200, "the message is said to have 4294967295 bytes, and 0 follow"},
		{"huge", "application/grpc", framed(0, bytes.Repeat([]byte{8, 1}, MaxBody)), "0", 200, "the answer has more than the 1048576 bytes that are read"},
		{"garbage", "application/grpc", framed(0, []byte("\xff\xff\xff")), "0", 200, "the message is no HealthCheckResponse"},
		{"a status of a wrong type", "application/grpc", framed(0, []byte("\x0a\x01a")), "0", 200, "the message is no HealthCheckResponse"},
		{"an empty message", "application/grpc", framed(0, nil), "0", 200, "the server is UNKNOWN, not SERVING"},
		{"a status of tomorrow's", "application/grpc", framed(0, []byte{8, 9}), "0", 200, "the server is in status 9, not SERVING"},
	} {
		serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			request, _ := io.ReadAll(r.Body)
			if r.Method != "POST" || r.Header.Get("Te") != "trailers" || string(request) != framed(0, []byte("\x0a\x01a")) {
				t.Errorf("asked %s %v %q", r.Method, r.Header, request)
			}
			w.Header().Set("Content-Type", c.kind)
			w.WriteHeader(c.code)
			w.(http.Flusher).Flush() // in chunks, which trailers can follow
			io.WriteString(w, c.body)
			if c.status != "" {
				w.Header().Set(http.TrailerPrefix+"Grpc-Status", c.status)
			}
		})
		for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(c.name+","+version, func(t *testing.T) {
				target := serve1or2(t, serve, version == "HTTP/2")
				s := compiled(t, one(Step{GRPC: &GRPC{Service: "a"}})).Run(t.Context(), target).Steps[0]
				if got := strings.Replace(errText(s.Err), "service a", "the server", 1); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				if c.want == "" && !strings.Contains(s.Response, "\nGrpc-Status: 0\n") {
					t.Errorf("shown %q", s.Response)
				}
			})
		}
	}
}

func serve1or2(t *testing.T, h http.Handler, two bool) Target {
	if !two {
		return serve(t, h)
	}
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return overH2C(t, strings.TrimPrefix(s.URL, "http://"))
}

// What is read of a message is what the library reads.
func FuzzHealth(f *testing.F) {
	for _, s := range []string{"", "\x08\x01", "\x08\x02\x12\x03abc", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x0b\x0c", "\x1d1234\x08\x03", "\x08\x01\x08\x02"} {
		f.Add([]byte(s), "0", "why")
	}
	f.Fuzz(func(t *testing.T, message []byte, code, why string) {
		a := &answer{Response: &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/grpc"}}, Trailer: http.Header{"Grpc-Status": {code}, "Grpc-Message": {why}}}}
		a.body = []byte(framed(0, message))
		err := new(GRPC).checkHealth(a)
		if code != "0" {
			if err == nil || len(err.Error()) > 1000 {
				t.Fatalf("%q: %v", code, err)
			}
			return
		}
		var want healthpb.HealthCheckResponse
		library := proto.Unmarshal(message, &want)
		if err == nil && (library != nil || want.Status != healthpb.HealthCheckResponse_SERVING) {
			t.Fatalf("%x passes; %v, %v", message, library, want.Status)
		}
		got, err := readHealth(message)
		if err == nil && library == nil && strconv.Itoa(int(int32(got))) != strconv.Itoa(int(want.Status)) {
			t.Fatalf("%x: %d, not %v", message, got, want.Status)
		}
	})
}
