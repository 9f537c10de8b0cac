package proxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	library "github.com/pires/go-proxyproto"

	"sluice/proxy/upstream"
)

// toldBackend starts an HTTP server that must be told whose connection it gets,
// and answers with that.
func toldBackend(t *testing.T, before ...func(*http.Request)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, f := range before {
			f(r)
		}
		fmt.Fprintf(w, "%s to %s", r.RemoteAddr, r.Context().Value(http.LocalAddrContextKey))
	})}
	done := make(chan struct{})
	go func() {
		s.Serve(&library.Listener{Listener: l, ReadHeaderTimeout: 5 * time.Second,
			ConnPolicy: func(library.ConnPolicyOptions) (library.Policy, error) { return library.REQUIRE, nil }})
		close(done)
	}()
	t.Cleanup(func() { s.Close(); <-done })
	return l.Addr().String()
}

// ask sends a request on a connection and returns the body of the answer.
func ask(t *testing.T, c net.Conn, in *bufio.Reader, lines ...string) string {
	t.Helper()
	io.WriteString(c, get("/", lines...))
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestEndpointsAreToldOfTheClient: by the PROXY protocol, on connections that
// serve one client alone.
func TestEndpointsAreToldOfTheClient(t *testing.T) {
	server, config := tlsConfigs(t)
	for _, header := range []upstream.ProxyHeader{upstream.ProxyV1, upstream.ProxyV2} {
		addr := toldBackend(t)
		r := newRig(t, map[string]string{"v1": addr}, func(r *rig) {
			r.upstream.ProxyProtocol = header
			r.listener.TLS = server
			r.listener.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("::1/128")}
		})
		for range 2 {
			c, err := tls.Dial("tcp", r.addr, config)
			if err != nil {
				t.Fatal(err)
			}
			in := bufio.NewReader(c)
			for range 3 {
				if got, want := ask(t, c, in, "X-Forwarded-For: 203.0.113.7"), fmt.Sprintf("%s to %s", c.LocalAddr(), r.addr); got != want {
					t.Errorf("told of %s, want %s", got, want)
				}
			}
			c.Close()
		}
		if n := r.clusters["v1"].Status()[0].Connections; n != 2 {
			t.Errorf("%d connections for two clients", n)
		}
	}
}

// TestEndpointsAreToldOfForwardedClients: of whom a trusted proxy names, in its
// header or its fields, and of nobody where there is no address.
func TestEndpointsAreToldOfForwardedClients(t *testing.T) {
	addr := toldBackend(t)
	r := newRig(t, map[string]string{"v1": addr}, func(r *rig) {
		r.upstream.ProxyProtocol = upstream.ProxyV2
		r.listener.ProxyProtocol = ProxyAccept
		r.listener.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	c := r.dial()
	in := bufio.NewReader(c)
	for _, client := range []string{"203.0.113.7", "203.0.113.8", "203.0.113.7"} {
		if got, want := ask(t, c, in, "X-Forwarded-For: "+client), client+":0 to "+r.addr; got != want {
			t.Errorf("told of %s, want %s", got, want)
		}
	}
	if got, want := ask(t, c, in), fmt.Sprintf("%s to %s", c.LocalAddr(), r.addr); got != want {
		t.Errorf("told of %s, want %s", got, want)
	}
	if n := r.clusters["v1"].Status()[0].Connections; n != 3 {
		t.Errorf("%d connections for three clients", n)
	}
	c = r.dial()
	io.WriteString(c, "PROXY TCP4 198.51.100.4 198.51.100.5 7000 80\r\n")
	if got, want := ask(t, c, bufio.NewReader(c)), "198.51.100.4:7000 to "+r.addr; got != want {
		t.Errorf("told of %s, want %s", got, want)
	}
}

// TestClientsWithoutAnAddress: over a Unix socket there is none, unless one is
// named.
func TestClientsWithoutAnAddress(t *testing.T) {
	addr := toldBackend(t)
	path := t.TempDir() + "/s"
	newRig(t, map[string]string{"v1": addr}, func(r *rig) {
		r.upstream.ProxyProtocol = upstream.ProxyV1
		r.listener.Address, r.listener.ProxyProtocol = "unix:"+path, ProxyAccept
	})
	dial := func() net.Conn {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	c := dial()
	got := ask(t, c, bufio.NewReader(c))
	if want := " to " + addr; len(got) < len(want) || got[len(got)-len(want):] != want { // the connection's own addresses
		t.Errorf("told of %s", got)
	}
	c = dial()
	io.WriteString(c, "PROXY TCP4 198.51.100.4 198.51.100.5 7000 80\r\n")
	if got, want := ask(t, c, bufio.NewReader(c)), "198.51.100.4:7000 to 0.0.0.0:0"; got != want {
		t.Errorf("told of %s, want %s", got, want)
	}
}
