package proxy

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"sluice/proxy/upstream"
)

// TestCallsOverTLSToTheEndpoint: gRPC over TLS on both sides.
func TestCallsOverTLSToTheEndpoint(t *testing.T) {
	secure, _ := tlsConfigs(t)
	server := callServer(t, "v1", grpc.Creds(credentials.NewTLS(secure)))
	edge, trusting := tlsConfigs(t)
	edge.NextProtos = []string{"h2"}
	r := callRig(t, []*caller{server}, func(r *rig) {
		r.listener.TLS, r.listener.H2C = edge, false
		r.upstream.TLS = &upstream.TLSConfig{CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificates[0].Certificate[0]})}
		r.upstream.Health = upstream.HealthConfig{Interval: 5 * time.Millisecond, Fall: 1}
	})
	cc, err := grpc.NewClient("passthrough:///"+r.addr, grpc.WithTransportCredentials(credentials.NewTLS(trusting)), grpc.WithDisableRetry())
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	ctx := within(t, 30*time.Second)
	s := open(t, ctx, cc, "Chat")
	for _, text := range []string{"one", strings.Repeat("x", 100_000)} {
		say(t, s, text)
		if got := hear(t, s); got != "v1: "+text {
			t.Errorf("got %.40q", got)
		}
		if got, err := unary(ctx, cc, text); err != nil || got != text {
			t.Errorf("got %.40q, %v", got, err)
		}
	}
	s.CloseSend()
	if err := s.RecvMsg(new(note)); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if st := r.clusters["v1"].Status()[0]; !st.Healthy || st.HealthError != "" || st.Failures > 0 {
		t.Errorf("%+v", st)
	}
}

// TestHTTP2EndpointsByOtherWays: on a Unix socket, on IPv6, over TLS, for clients
// of both versions, with bodies that stream.
func TestHTTP2EndpointsByOtherWays(t *testing.T) {
	secure, _ := tlsConfigs(t)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificates[0].Certificate[0]})
	for _, way := range []struct {
		network, address string
		tls              *tls.Config
	}{{"unix", t.TempDir() + "/s", nil}, {"tcp", "[::1]:0", nil}, {"tcp", "127.0.0.1:0", secure}} {
		l, err := net.Listen(way.network, way.address)
		if err != nil {
			t.Fatal(err)
		}
		address := l.Addr().String()
		if way.network == "unix" {
			address = "unix:" + address
		}
		s := &http.Server{Protocols: new(http.Protocols), TLSConfig: way.tls, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Asked", fmt.Sprint(r.Proto, " ", r.Host, " ", r.TLS != nil))
			w.WriteHeader(200)
			io.Copy(flushing{w}, r.Body)
		})}
		s.Protocols.SetHTTP2(way.tls != nil)
		s.Protocols.SetUnencryptedHTTP2(way.tls == nil)
		done := make(chan struct{})
		go func() {
			if way.tls != nil {
				s.ServeTLS(l, "", "")
			} else {
				s.Serve(l)
			}
			close(done)
		}()
		r := newRig(t, map[string]string{"v1": address}, h2c, speaksHTTP2, func(r *rig) {
			if way.tls != nil {
				r.upstream.TLS = &upstream.TLSConfig{CA: ca}
			}
		})
		for _, c := range []*http.Client{client(t), client2(t, nil)} {
			for _, body := range []string{"", "short", strings.Repeat("long ", 200_000)} {
				req, err := http.NewRequest("POST", "http://"+r.addr+"/", io.MultiReader(strings.NewReader(body)))
				if err != nil {
					t.Fatal(err)
				}
				res, got := r.do(c, req)
				if want := fmt.Sprint("HTTP/2.0 ", r.addr, " ", way.tls != nil); res.StatusCode != 200 || res.Header.Get("X-Asked") != want || got != body {
					t.Errorf("%s: %d, asked for %q, want %q, %d of %d bytes", address, res.StatusCode, res.Header.Get("X-Asked"), want, len(got), len(body))
				}
			}
		}
		s.Close()
		<-done
	}
}

// TestSilentCallsOutliveTheClientsTime: neither the time for a request's body nor
// its least rate is asked of a call, which may be silent in either direction.
func TestSilentCallsOutliveTheClientsTime(t *testing.T) {
	r := callRig(t, []*caller{callServer(t, "v1")}, func(r *rig) {
		r.listener.RequestTimeout, r.listener.BodyTimeout = 20*time.Millisecond, 20*time.Millisecond
		r.listener.MinBodyRate = 1 << 30
	})
	s := open(t, within(t, 30*time.Second), r.calls(), "Chat")
	for _, text := range []string{"before", "after"} {
		say(t, s, text)
		if got := hear(t, s); got != "v1: "+text {
			t.Errorf("got %q", got)
		}
		<-time.After(300 * time.Millisecond) // far beyond the limits
	}
	s.CloseSend()
	if err := s.RecvMsg(new(note)); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// TestSilentCallsEndInTheExchangesTime: a call without a deadline that is silent
// on both sides has the time of a response's body, and its client hears of it.
func TestSilentCallsEndInTheExchangesTime(t *testing.T) {
	server := callServer(t, "v1")
	r := callRig(t, []*caller{server}, func(r *rig) { r.settings.BodyTimeout = 200 * time.Millisecond })
	s := open(t, t.Context(), r.calls(), "Chat")
	say(t, s, "x")
	hear(t, s)
	if err := s.RecvMsg(new(note)); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
	eventually(t, "the stream's end at the server", func() bool { return server.cancelled.Load() == 1 })
	eventually(t, "the end of all", func() bool { return r.clusters["v1"].InUse() == 0 })
}

// TestInsteadOfHTTP2Endpoints: the shield and the asset fallback pass over what
// HTTP/2 endpoints answer, and the 404 that nobody betters comes whole.
func TestInsteadOfHTTP2Endpoints(t *testing.T) {
	fill := strings.Repeat("v2 ", 100_000) // is not here when its head is
	v1 := backend2(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/nowhere.js") {
			w.WriteHeader(404)
		}
		io.WriteString(w, "v1")
	})
	v2 := backend2(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/reset":
			panic(http.ErrAbortHandler)
		case strings.HasPrefix(r.URL.Path, "/assets"):
			w.Header().Set("Trailer", "X-After")
			w.WriteHeader(404)
			io.WriteString(w, fill)
			w.Header().Set("X-After", "all")
		default:
			w.WriteHeader(503)
			io.WriteString(w, fill)
		}
	})
	r := newRig(t, map[string]string{"v1": v1, "v2": v2}, shield(), assets("/assets"), h2c, speaksHTTP2, func(r *rig) { r.upstream.Outlier.Disabled = true })
	for name, c := range map[string]*http.Client{"HTTP/1.1": client(t), "HTTP/2": client2(t, nil)} {
		cookie := strings.TrimPrefix(onV2, "Cookie: ")
		for _, path := range []string{"/page", "/reset", "/assets/a.js"} {
			if res, body := r.get(c, path, "Cookie", cookie); res.StatusCode != 200 || body != "v1" {
				t.Errorf("%s, %s: %d %.20q", name, path, res.StatusCode, body)
			}
		}
		res, body := r.get(c, "/assets/nowhere.js", "Cookie", cookie)
		if res.StatusCode != 404 || body != fill || res.Header.Get("Cache-Control") != "no-store" || res.Trailer.Get("X-After") != "all" {
			t.Errorf("%s, nowhere: %d, %d bytes, %q, trailers %v", name, res.StatusCode, len(body), res.Header.Get("Cache-Control"), res.Trailer)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+r.addr+"/page", nil)
	client2(t, nil).Do(req)
	eventually(t, "no stream stays in use", func() bool { return r.clusters["v1"].InUse()+r.clusters["v2"].InUse() == 0 })
	for _, v := range []string{"v1", "v2"} {
		if n := r.clusters[v].Status()[0].Connections; n != 1 {
			t.Errorf("%d connections to %s", n, v)
		}
	}
}

// TestWebSocketsOverHTTP2AreClosedAtAFlip: by a Close frame each way, the end of
// the stream, and a word to open another connection.
func TestWebSocketsOverHTTP2AreClosedAtAFlip(t *testing.T) {
	got := make(chan []byte, 1)
	b := upgradeBackend(t, func(c net.Conn) {
		readFrame(c)
		sent(got, string(frame(1, []byte("hi"), false)))(c)
	})
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := r.dial2()
	c.connect2(1)
	c.expect("HEADERS 1 :status=200")
	c.WriteData(1, false, frame(1, []byte("hello"), true))
	if text := string(c.readData(1, 4)); text != "\x81\x02hi" {
		t.Fatalf("got %q", text)
	}
	eventually(t, "the tunnel lasts", func() bool { return r.listed() == 1 })
	r.closeAll(0)
	var data []byte
	for away := false; !away || len(data) < 4; {
		f, err := c.ReadFrame()
		if err != nil {
			t.Fatalf("%v after %q", err, data)
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			away = true
		case *http2.DataFrame:
			data = append(data, f.Data()...)
		}
	}
	if string(data) != "\x88\x02\x03\xf4" {
		t.Errorf("the client got %q, want a Close frame with 1012", data)
	}
	c.WriteData(1, true, frame(8, []byte{3, 0xf4}, true))
	_, payload, err := readFrame(strings.NewReader(string(<-got)))
	if err != nil || string(payload) != "\x03\xe9" {
		t.Errorf("the endpoint got %q at the end (%v), want 1001", payload, err)
	}
	eventually(t, "the tunnel is gone", func() bool {
		s := r.of("v1")
		return s.TunnelsActive == 0 && s.StreamsClosed == 1 && s.InFlight == 0 && r.clusters["v1"].InUse() == 0 && r.listed() == 0
	})
}
