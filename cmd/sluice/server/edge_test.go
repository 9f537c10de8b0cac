package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/configs"
	"sluice/proxy"
	"sluice/proxy/limit"
)

// TestWhatTheFileSaysOfTheEdgeIsTranslated: every key of a listener's limits and
// times gets to the proxy, each to its own field.
func TestWhatTheFileSaysOfTheEdgeIsTranslated(t *testing.T) {
	file, err := configs.Load(write(t, t.TempDir(), `
listeners:
  - name: edge
    address: unix:/run/edge
    proxy_protocol: require
    redirect_https: 8443
    timeouts: {head: 1s, idle: 2s, request: 3s}
    limits: {head_bytes: 4KiB, fields: 50, uri_bytes: 600, body_bytes: 700, min_body_rate: 800, connections: 900,
      connections_per_client: 1000, requests_per_client: {rate: 1.5, burst: 1200}}
overload: {target: 13ms}`, web(t, 1, 0)))
	if err != nil {
		t.Fatal(err)
	}
	c := listenerConfigs(file)[0]
	want := proxy.ListenerConfig{Name: "edge", Address: "unix:/run/edge", ProxyProtocol: proxy.ProxyRequire, RedirectHTTPS: 8443,
		HeadTimeout: time.Second, IdleTimeout: 2 * time.Second, BodyTimeout: 2 * time.Second, RequestTimeout: 3 * time.Second,
		BodyBytes: 700, MinBodyRate: 800, Connections: 900, ConnectionsPerClient: 1000, ClientRate: limit.Rate{PerSecond: 1.5, Burst: 1200}}
	want.Limits.HeadBytes, want.Limits.Fields, want.Limits.URIBytes = 4<<10, 50, 600
	if c.Limits != want.Limits || c.ClientRate != want.ClientRate || c.ProxyProtocol != want.ProxyProtocol || c.RedirectHTTPS != want.RedirectHTTPS ||
		c.HeadTimeout != want.HeadTimeout || c.IdleTimeout != want.IdleTimeout || c.BodyTimeout != want.BodyTimeout || c.RequestTimeout != want.RequestTimeout ||
		c.BodyBytes != want.BodyBytes || c.MinBodyRate != want.MinBodyRate || c.Connections != want.Connections ||
		c.ConnectionsPerClient != want.ConnectionsPerClient || c.Name != want.Name || c.Address != want.Address {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
	if d := overloadTarget(file.Overload); d != 13*time.Millisecond {
		t.Errorf("overload.target is %v", d)
	}
	if d := overloadTarget(configs.Overload{Disabled: true}); d >= 0 {
		t.Errorf("overload.disabled is %v", d)
	}
}

// TestTheFilesLimitsHold, each over a listener of its own, whose other limits are
// the default ones.
func TestTheFilesLimitsHold(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir, "edge")
	s := start(t, write(t, dir, `
state: {backend: memory}
listeners:
  - {name: plain, address: "127.0.0.1:0"}
  - {name: moved, address: "127.0.0.1:0", redirect_https: 8443}
  - {name: paced, address: "127.0.0.1:0", limits: {requests_per_client: {rate: 0.001, burst: 2}}}
  - {name: short, address: "127.0.0.1:0", limits: {body_bytes: 4}}
  - {name: alone, address: "127.0.0.1:0", limits: {connections_per_client: 1}}
  - {name: slow, address: "127.0.0.1:0", timeouts: {request: 200ms}}
  - {name: secure, address: "127.0.0.1:0", tls: {certificates: [{cert: web.pem, key: web.key}], hsts: {max_age: 2h}}}
`, web(t, 1, 0), `    limits: {requests: {rate: 0.001, burst: 20}}
  scarce:
    versions: {v1: {endpoints: [`+backend(t, "scarce")+`], weight: 1}}
    limits: {requests_per_client: {rate: 0.001, burst: 1}}
routes:
  - {hosts: [scarce.test], service: scarce}
  - {service: web}`), Options{})
	v := stranger(t)

	v.get(s.url("plain", "/")).served(t, "v1")
	if a := v.get(s.url("moved", "/a?b"), "Host: web.test"); a.status != 308 || a.header.Get("Location") != "https://web.test:8443/a?b" {
		t.Errorf("redirect_https: %d to %s", a.status, a.header.Get("Location"))
	}
	for i, want := range []int{200, 200, 429} {
		if a := v.get(s.url("paced", "/")); a.status != want {
			t.Errorf("requests_per_client: request %d is answered %d", i, a.status)
		}
	}
	res, err := v.http.Post(s.url("short", "/"), "text/plain", strings.NewReader("12345"))
	if err != nil || res.StatusCode != 413 {
		t.Errorf("body_bytes: %v, %v", res, err)
	}
	res.Body.Close()
	for i, want := range []int{200, 429} {
		if a := v.get(s.url("plain", "/"), "Host: scarce.test"); a.status != want {
			t.Errorf("the service's requests_per_client: request %d is answered %d", i, a.status)
		}
	}
	holdsOneConnection(t, s.Addrs()["alone"].String())
	isTimed(t, s.Addrs()["slow"].String())
	over, _ := secure(t)
	if a := over.get("https://" + s.Addrs()["secure"].String() + "/"); a.status != 200 || a.header.Get("Strict-Transport-Security") != "max-age=7200" {
		t.Errorf("hsts: %d, %v", a.status, a.header)
	}
	last := 0
	for range 20 {
		last = v.get(s.url("plain", "/")).status
	}
	if last != 429 {
		t.Errorf("the service's requests: the last is answered %d", last)
	}
}

// holdsOneConnection checks connections_per_client.
func holdsOneConnection(t *testing.T, addr string) {
	t.Helper()
	first, second := open(t, "tcp", addr), open(t, "tcp", addr)
	for _, c := range []net.Conn{first, second} {
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	}
	a, _ := io.ReadAll(first)
	b, _ := io.ReadAll(second)
	if answered := bytes.Contains(a, []byte(" 200 ")); answered == bytes.Contains(b, []byte(" 200 ")) {
		t.Errorf("connections_per_client: got %q and %q", a, b)
	}
}

// isTimed checks timeouts.request.
func isTimed(t *testing.T, addr string) {
	t.Helper()
	c := open(t, "tcp", addr)
	io.WriteString(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1")
	if a, _ := io.ReadAll(c); !bytes.Contains(a, []byte(" 408 ")) {
		t.Errorf("timeouts.request: got %q", a)
	}
}

// open opens a raw connection.
func open(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	t.Cleanup(func() { c.Close() })
	return c
}

// TestListenersOnUnixSockets serve, read the PROXY protocol from whoever may
// connect, survive a reload, and leave no file behind.
func TestListenersOnUnixSockets(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "edge.sock")
	lines := []string{`
state: {backend: memory}
listeners:
  - {name: edge, address: "unix:` + path + `", proxy_protocol: accept, limits: {requests_per_client: {rate: 0.001, burst: 2}}}`, web(t, 1, 0)}
	s := start(t, write(t, dir, lines...), Options{})
	v := stranger(t)
	v.http.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", path) }
	v.get("http://edge.test/").served(t, "v1")
	s.reload()
	v.get("http://edge.test/").served(t, "v1")

	got := ""
	for range 3 { // each on a connection of its own, all of one client
		c := open(t, "unix", path)
		io.WriteString(c, "PROXY TCP4 192.0.2.7 192.0.2.1 4000 80\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
		a, _ := io.ReadAll(c)
		status, _, _ := strings.Cut(strings.TrimPrefix(string(a), "HTTP/1.1 "), " ")
		got += status + " "
	}
	if got != "200 200 429 " {
		t.Errorf("a client that the PROXY protocol names is answered %s", got)
	}
	v.http.CloseIdleConnections()
	s.close()
	if _, err := net.Dial("unix", path); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("after the end: %v", err)
	}
}
