package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
)

// spokenTo is a file with one service of one endpoint, which is spoken to as these
// lines say.
func spokenTo(endpoint, upstream string) string {
	return plainListener + "state: {backend: memory}\n" +
		fmt.Sprintf("services: {web: {versions: {v1: {endpoints: [%q], weight: 1}}, health: {disabled: true}, outlier: {max_percent: 0}, upstream: {%s}}}", endpoint, upstream)
}

// A reload changes the header that endpoints are sent.
func TestHeaderOfTheFileIsSent(t *testing.T) {
	type key struct{}
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := r.Context().Value(key{}).(*proxyproto.Conn).ProxyHeader()
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprintf(w, "version %d of %s", h.Version, host)
	}))
	backend.Listener = &proxyproto.Listener{Listener: backend.Listener, ReadHeaderTimeout: 5 * time.Second,
		ConnPolicy: func(proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) { return proxyproto.REQUIRE, nil }}
	backend.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, key{}, c) }
	backend.Start()
	t.Cleanup(backend.Close)
	endpoint := strings.TrimPrefix(backend.URL, "http://")

	s := start(t, write(t, t.TempDir(), spokenTo(endpoint, "proxy_protocol: v1")), Options{})
	v := stranger(t)
	for _, c := range []struct {
		header string
		status int
		body   string
	}{{"v1", 200, "version 1 of 127.0.0.1"}, {"v2", 200, "version 2 of 127.0.0.1"}, {"off", 502, ""}, {"v1", 200, "version 1 of 127.0.0.1"}} {
		rewrite(t, s.path, spokenTo(endpoint, "proxy_protocol: "+c.header))
		s.reload()
		if a := v.get(s.url("", "/")); a.status != c.status || c.body != "" && a.body != c.body {
			t.Errorf("%s: got %d %q", c.header, a.status, a.body)
		}
	}
}

// A reload changes the version of HTTP, on connections of its own.
func TestProtocolOfTheFileIsSpoken(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir, "web")
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "web.pem"), filepath.Join(dir, "web.key"))
	if err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	backend.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	backend.EnableHTTP2 = true
	backend.StartTLS()
	t.Cleanup(backend.Close)
	endpoint := strings.TrimPrefix(backend.URL, "https://")
	secure := ", tls: {ca: web.pem, server_name: web.test}"

	s := start(t, write(t, dir, spokenTo(endpoint, "protocol: h2"+secure)), Options{})
	v := stranger(t)
	for _, c := range []struct{ protocol, body string }{{"h2", "HTTP/2.0"}, {"h1", "HTTP/1.1"}, {"h2", "HTTP/2.0"}} {
		rewrite(t, s.path, spokenTo(endpoint, "protocol: "+c.protocol+secure))
		s.reload()
		for range 3 {
			if a := v.get(s.url("", "/")); a.status != 200 || a.body != c.body {
				t.Errorf("%s: got %d %q", c.protocol, a.status, a.body)
			}
		}
	}
}
