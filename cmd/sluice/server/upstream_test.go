package server

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Endpoints are spoken to over TLS, and the authority that is trusted may
// change while the proxy runs.
func TestEndpointsOverTLS(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir, "web")
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "web.pem"), filepath.Join(dir, "web.key"))
	if err != nil {
		t.Fatal(err)
	}
	backend := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("as " + r.TLS.ServerName))
	}))
	backend.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	backend.StartTLS()
	t.Cleanup(backend.Close)

	good, err := os.ReadFile(filepath.Join(dir, "web.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), good, 0o600); err != nil {
		t.Fatal(err)
	}
	path := write(t, dir, "state: {backend: memory}\nlisteners: [{name: edge, address: \"127.0.0.1:0\"}]\n"+
		`services: {web: {versions: {v1: {endpoints: ["`+strings.TrimPrefix(backend.URL, "https://")+`"], weight: 1}}, `+
		`health: {disabled: true}, upstream: {tls: {ca: ca.pem, server_name: web.test}}}}`)
	s := start(t, path, Options{})
	s.watchFile()
	v := stranger(t)
	target := s.url("", "/")
	if a := v.get(target); a.status != 200 || a.body != "as web.test" {
		t.Fatalf("got %d %q", a.status, a.body)
	}

	certificate(t, dir, "stranger") // another key
	other, err := os.ReadFile(filepath.Join(dir, "web.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ca   []byte
		want int
	}{{other, 502}, {good, 200}} {
		if err := os.WriteFile(filepath.Join(dir, "ca.pem"), c.ca, 0o600); err != nil {
			t.Fatal(err)
		}
		await(t, "the authority's change", func() bool { return v.get(target).status == c.want })
	}
}
