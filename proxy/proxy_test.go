package proxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

func TestGetIsProxied(t *testing.T) {
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL, r.Header.Get("Sluice-Version"))
	})
	r := newRig(t, map[string]string{"v1": addr})
	res, body := r.get(client(t), "/a/b?c=d")
	if res.StatusCode != 200 || body != "GET /a/b?c=d v1" {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
	if c := res.Header.Get("Set-Cookie"); !strings.HasPrefix(c, "sluice_web=") {
		t.Errorf("no pin in %q", c)
	}
	if cc := res.Header.Get("Cache-Control"); cc != "private" {
		t.Errorf("Cache-Control %q with a pin", cc)
	}
}

func TestBodiesOfEverySizeArriveWhole(t *testing.T) {
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
	r := newRig(t, map[string]string{"v1": addr})
	c := client(t)
	for _, size := range []int{0, 1, 100, 4 << 10, 16<<10 - 300, 16 << 10, 33 << 10, 64 << 10, 100_000, 1 << 20, 5 << 20} {
		for _, path := range []string{"/length", "/chunked"} {
			for _, chunked := range []bool{false, true} {
				body := make([]byte, size)
				rand.NewChaCha8([32]byte{1}).Read(body)
				var in io.Reader = bytes.NewReader(body)
				if chunked {
					in = io.MultiReader(in)
				}
				req, _ := http.NewRequest("POST", "http://"+r.addr+path, in)
				res, got := r.do(c, req)
				if res.Header.Get("X-Sum") != fmt.Sprintf("%x", sha256.Sum256(body)) {
					t.Errorf("%s, %d bytes, chunked %v: the endpoint got another body", path, size, chunked)
				}
				if got != string(body) {
					t.Errorf("%s, %d bytes, chunked %v: the client got %d bytes, not its own: %.80q", path, size, chunked, len(got), got)
				}
			}
		}
	}
}
