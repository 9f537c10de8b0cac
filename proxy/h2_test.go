package proxy

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

// h2c is an option: the listener serves HTTP/2 in the clear beside HTTP/1.
func h2c(r *rig) { r.listener.H2C = true }

// client2 returns an HTTP client that speaks HTTP/2 alone: with prior knowledge,
// or over TLS with this configuration.
func client2(t testing.TB, config *tls.Config) *http.Client {
	tr := &http.Transport{TLSClientConfig: config, Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP2(config != nil)
	tr.Protocols.SetUnencryptedHTTP2(config == nil)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

func TestGetOverHTTP2(t *testing.T) {
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s %s", r.Method, r.Host, r.URL, r.Header.Get("Sluice-Version"), r.Header.Get("Via"))
	})
	r := newRig(t, map[string]string{"v1": addr}, h2c)
	res, body := r.get(client2(t, nil), "/a/b?c=d", "Host", "x")
	if want := "GET " + r.addr + " /a/b?c=d v1 2 sluice"; res.StatusCode != 200 || res.Proto != "HTTP/2.0" || body != want {
		t.Errorf("got %d %s %q, want %q", res.StatusCode, res.Proto, body, want)
	}
	if c := res.Header.Get("Set-Cookie"); !strings.HasPrefix(c, "sluice_web=") {
		t.Errorf("no pin in %q", c)
	}
	if res, _ := r.get(client(t), "/"); res.StatusCode != 200 || res.Proto != "HTTP/1.1" {
		t.Errorf("HTTP/1.1 beside it: %d %s", res.StatusCode, res.Proto)
	}
}

// TestBodiesOverHTTP2: every size, each way of telling the length, over TLS and
// in the clear.
func TestBodiesOverHTTP2(t *testing.T) {
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("backend: %v", err)
		}
		w.Header().Set("X-Sum", fmt.Sprintf("%x", sha256.Sum256(body)))
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		w.Write(body)
	})
	server, tlsClient := tlsConfigs(t)
	server.NextProtos = []string{"h2", "http/1.1"}
	clear := newRig(t, map[string]string{"v1": addr}, h2c)
	secure := newRig(t, map[string]string{"v1": addr}, func(r *rig) { r.listener.TLS = server })
	for scheme, c := range map[string]*http.Client{"http://" + clear.addr: client2(t, nil), "https://" + secure.addr: client2(t, tlsClient)} {
		for _, size := range []int{0, 1, 100, 16<<10 - 300, 16 << 10, 33 << 10, 64 << 10, 100_000, 1 << 20, 5 << 20} {
			for _, path := range []string{"/length", "/chunked"} {
				for _, chunked := range []bool{false, true} {
					body := make([]byte, size)
					rand.NewChaCha8([32]byte{1}).Read(body)
					var in io.Reader = bytes.NewReader(body)
					if chunked {
						in = io.MultiReader(in)
					}
					req, _ := http.NewRequest("POST", scheme+path, in)
					res, got := clear.do(c, req)
					if res.Header.Get("X-Sum") != fmt.Sprintf("%x", sha256.Sum256(body)) {
						t.Errorf("%s%s, %d bytes, chunked %v: the endpoint got another body", scheme, path, size, chunked)
					}
					if got != string(body) {
						t.Errorf("%s%s, %d bytes, chunked %v: the client got %d bytes, not its own: %.80q", scheme, path, size, chunked, len(got), got)
					}
				}
			}
		}
	}
}
