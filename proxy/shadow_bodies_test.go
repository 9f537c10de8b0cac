package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestBodiesAreCopied: whole ones, of every framing, and none that is too long or
// was not kept.
func TestBodiesAreCopied(t *testing.T) {
	long := strings.Repeat("0123456789", 5000)
	for name, test := range map[string]struct {
		request string
		want    string // of the copies' fate
		body    string
		buffer  int64
	}{
		"short":                     {post("hello", "Content-Length: 5", closing), "answered", "hello", 0},
		"none":                      {post("", "Content-Length: 0", closing), "answered", "", 0},
		"chunked":                   {post("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked", closing), "answered", "hello", 0},
		"chunked and retained":      {putOf("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked", closing), "answered", "hello", 1 << 20},
		"retained in part":          {putOf("a\r\n0123456789\r\n5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked", closing), "answered", "0123456789hello", 12},
		"chunked, with trailers":    {putOf("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "Transfer-Encoding: chunked", "Trailer: X-Sum", closing), "answered", "hello", 0},
		"long":                      {putOf(long, fmt.Sprint("Content-Length: ", len(long)), closing), "answered", long, 0},
		"long and retained":         {putOf(long, fmt.Sprint("Content-Length: ", len(long)), closing), "answered", long, 1 << 20},
		"longer than what is taken": {putOf(long+long, fmt.Sprint("Content-Length: ", 2*len(long)), closing), "request", "", 0},
		"longer than it said":       {putOf(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", 2*len(long), long+long), "Transfer-Encoding: chunked", closing), "request", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v1, v2 := newRecorder(t, nil), newRecorder(t, nil)
			k := new(told)
			r := newRig(t, map[string]string{"v1": v1.addr, "v2": v2.addr},
				shadowsV1(k, func(s *Shadow) { s.Methods = []string{"POST", "PUT"} }), func(r *rig) { r.settings.RetryBuffer = test.buffer })
			if s := statuses(r.exchangeRaw(test.request)); s != "200" {
				t.Fatalf("the customer got %q", s)
			}
			r.awaitFates(t, map[string]uint64{test.want: 1})
			seen, _ := v2.take()
			if test.want != "answered" {
				if len(seen) > 0 {
					t.Errorf("it was copied: %v", seen)
				}
				return
			}
			if len(seen) != 1 || seen[0].body != test.body || seen[0].get("transfer-encoding") != "" || seen[0].get("trailer") != "" {
				t.Errorf("copied as %.200v", seen)
			}
		})
	}
}

// putOf is post with another method.
func putOf(body string, lines ...string) string {
	return "PUT" + strings.TrimPrefix(post(body, lines...), "POST")
}

// TestBodiesOfHTTP2AreCopied, in frames of any size, to endpoints of either
// version.
func TestBodiesOfHTTP2AreCopied(t *testing.T) {
	echo := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	}
	for name, start := range map[string]func() (string, option){
		"1.1": func() (string, option) { return backend(t, echo), func(*rig) {} },
		"2":   func() (string, option) { return backend2(t, echo), speaksHTTP2 },
	} {
		k := new(told)
		address, way := start()
		r := newRig(t, map[string]string{"v1": address, "v2": address}, h2c, way,
			shadowsV1(k, func(s *Shadow) { s.Methods, s.MaxBody = []string{"POST"}, 300_000 }))
		c := client2(t, nil)
		for _, size := range []int{0, 1, 16 << 10, 100_000, 300_000} {
			for _, declared := range []bool{false, true} {
				body := strings.Repeat("x", size)
				var in io.Reader = strings.NewReader(body)
				if !declared {
					in = io.MultiReader(in)
				}
				req, err := http.NewRequest("POST", "http://"+r.addr+"/", in)
				if err != nil {
					t.Fatal(err)
				}
				if _, got := r.do(c, req); got != body {
					t.Fatalf("HTTP/%s: the customer got %d of %d bytes", name, len(got), size)
				}
				if p := k.one(t); string(p.Baseline.Body) != body || string(p.Candidate.Body) != body || p.Candidate.Failure != "" {
					t.Errorf("HTTP/%s, %d bytes: told of %d and %d, %q", name, size, len(p.Baseline.Body), len(p.Candidate.Body), p.Candidate.Failure)
				}
			}
		}
		r.awaitIdle(t)
	}
}
