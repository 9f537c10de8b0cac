package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// failsOnce is a backend that reads requests whole and breaks the connection
// under the first; it answers the others with what it got.
type failsOnce struct {
	mu   sync.Mutex
	seen []string // bodies, "(cut)" for one that did not come whole
	how  []string // in what framing
}

func newFailsOnce(t *testing.T) (*failsOnce, string) {
	f := &failsOnce{}
	return f, backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			body = []byte("(cut)")
		}
		f.mu.Lock()
		f.seen = append(f.seen, string(body))
		f.how = append(f.how, fmt.Sprint(r.ContentLength, " ", r.Trailer.Get("X-End")))
		first := len(f.seen) == 1
		f.mu.Unlock()
		if first {
			panic(http.ErrAbortHandler)
		}
		w.Write(body)
	})
}

// asked returns how many requests there were, all of which must have had the
// body, and the framing of the last.
func (f *failsOnce) asked(t *testing.T, body string) (int, string) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, got := range f.seen {
		if got != body {
			t.Errorf("request %d had a body of %d bytes, want %d", i, len(got), len(body))
		}
	}
	if len(f.how) == 0 {
		return 0, ""
	}
	return len(f.seen), f.how[len(f.how)-1]
}

func retaining(n int64) option { return func(r *rig) { r.settings.RetryBuffer = n } }

// inPieces gives a request in two pieces, the second when the first was read.
func inPieces(t *testing.T, r *rig, request string) string {
	c := r.dial()
	cut := strings.Index(request, "\r\n\r\n") + 4
	io.WriteString(c, request[:cut])
	eventually(t, "the head was read", func() bool { return r.of("v1").InFlight == 1 })
	io.WriteString(c, request[cut:])
	return readAll(t, c)
}

func asChunk(data string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(data), data) }

// TestRetainedBodyIsSentAgain: what fits into the buffer is sent again, whatever
// its framing; what does not is passed on whole, once.
func TestRetainedBodyIsSentAgain(t *testing.T) {
	small, middle, large := "hello", strings.Repeat("m", 40<<10), strings.Repeat("l", 64<<10+1)
	for _, test := range []struct {
		name, method, fields, sent, body string
		asked                            int
		how                              string
	}{
		{"short", "PUT", "Content-Length: 5", small, small, 2, "5 "},
		{"long", "DELETE", fmt.Sprint("Content-Length: ", len(middle)), middle, middle, 2, fmt.Sprint(len(middle), " ")},
		{"too long", "PUT", fmt.Sprint("Content-Length: ", len(large)), large, large, 1, fmt.Sprint(len(large), " ")},
		{"not idempotent", "POST", "Content-Length: 5", small, small, 1, "5 "},
		{"chunked", "PUT", "Transfer-Encoding: chunked", asChunk("hel") + asChunk("lo") + "0\r\n\r\n", small, 2, "5 "},
		{"chunked, long", "PUT", "Transfer-Encoding: chunked", asChunk(middle) + "0\r\n\r\n", middle, 2, fmt.Sprint(len(middle), " ")},
		{"chunked, empty", "PUT", "Transfer-Encoding: chunked", "0\r\n\r\n", "", 2, "-1 "},
		{"chunked, too long", "PUT", "Transfer-Encoding: chunked", asChunk(middle) + asChunk(middle) + "0\r\n\r\n", middle + middle, 1, "-1 "},
		{"chunked, with trailers", "PUT", "Transfer-Encoding: chunked\r\nTrailer: X-End", asChunk(small) + "0\r\nX-End: z\r\n\r\n", small, 2, "-1 z"},
		{"chunked, too long, with trailers", "PUT", "Transfer-Encoding: chunked\r\nTrailer: X-End", asChunk(large) + "0\r\nX-End: z\r\n\r\n", large, 1, "-1 z"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, addr := newFailsOnce(t)
			r := newRig(t, map[string]string{"v1": addr}, retaining(64<<10))
			got := inPieces(t, r, test.method+" / HTTP/1.1\r\nHost: a\r\n"+test.fields+"\r\n"+closing+"\r\n\r\n"+test.sent)
			want := "200"
			if test.asked == 1 {
				want = "502"
			}
			if s := statuses(got); s != want {
				t.Errorf("answered %s, want %s", s, want)
			}
			if asked, how := f.asked(t, test.body); asked != test.asked || how != test.how {
				t.Errorf("asked %d times, last by %q, want %d and %q", asked, how, test.asked, test.how)
			}
			if n := r.of("v1").BytesIn; n != uint64(len(test.body)) {
				t.Errorf("%d bytes counted, want %d", n, len(test.body))
			}
		})
	}
}

// Without a buffer a body that is not here with its head is sent once.
func TestNothingIsRetainedUnasked(t *testing.T) {
	f, addr := newFailsOnce(t)
	r := newRig(t, map[string]string{"v1": addr})
	if s := statuses(inPieces(t, r, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"+closing+"\r\n\r\nhello")); s != "502" {
		t.Errorf("answered %s", s)
	}
	if n, _ := f.asked(t, "hello"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestExpectedContinueIsTheEndpoints: a client that waits for 100 gets it from
// the endpoint, before it has sent anything.
func TestExpectedContinueIsTheEndpoints(t *testing.T) {
	addr := backend(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	r := newRig(t, map[string]string{"v1": addr}, retaining(64<<10))
	c := r.dial()
	io.WriteString(c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"+closing+"\r\n\r\n")
	until(t, c, "HTTP/1.1 100 Continue\r\n\r\n")
	io.WriteString(c, "hello")
	if got := readAll(t, c); statuses(got) != "200" || !strings.HasSuffix(got, "hello") {
		t.Errorf("answered %q", got)
	}
}

// TestARetainedBodyThatFails: its endpoint is not asked at all.
func TestARetainedBodyThatFails(t *testing.T) {
	b := newRecorder(t, nil)
	for _, test := range []struct {
		name, body, want string
		change           option
	}{
		{"stands still", "he", "408", func(r *rig) { r.listener.BodyTimeout = short }},
		{"is malformed", "zz\r\n", "400", func(*rig) {}},
		{"is too long", asChunk("hello"), "413", func(r *rig) { r.listener.BodyBytes = 4 }},
	} {
		framing := "Content-Length: 5"
		if test.name != "stands still" {
			framing = "Transfer-Encoding: chunked"
		}
		r := newRig(t, map[string]string{"v1": b.addr}, retaining(64<<10), test.change)
		if s := statuses(inPieces(t, r, "PUT / HTTP/1.1\r\nHost: a\r\n"+framing+"\r\n\r\n"+test.body)); s != test.want {
			t.Errorf("%s: answered %s, want %s", test.name, s, test.want)
		}
	}
	r := newRig(t, map[string]string{"v1": b.addr}, retaining(64<<10))
	c := r.dial()
	io.WriteString(c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
	eventually(t, "the head was read", func() bool { return r.of("v1").InFlight == 1 })
	c.Close()
	eventually(t, "it is over", func() bool { return r.of("v1").InFlight == 0 })
	if n := b.connections(); n != 0 {
		t.Errorf("the endpoint was asked %d times", n)
	}
}

// TestAnEarlyAnswerToARetainedBody: the endpoint may answer before it has read
// the body; the client's connection goes on, for its request was read.
func TestAnEarlyAnswerToARetainedBody(t *testing.T) {
	b := newRecorder(t, nil)
	b.answerHead = func(c net.Conn, _ *message) bool {
		io.WriteString(c, "HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n")
		return true
	}
	r := newRig(t, map[string]string{"v1": b.addr}, retaining(1<<20))
	c := r.dial()
	body := strings.Repeat("x", 1<<20)
	for range 2 {
		go io.WriteString(c, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n"+body)
		if got := until(t, c, "\r\n\r\n"); statuses(got) != "409" || strings.Contains(got, "close") {
			t.Errorf("answered %q", got)
		}
	}
}

// TestRetainedBodiesOverHTTP2 sends bodies whose ends come late from clients
// over HTTP/2, to endpoints of either version.
func TestRetainedBodiesOverHTTP2(t *testing.T) {
	for _, size := range []int{5, 40 << 10, 64<<10 + 1} {
		f, addr := newFailsOnce(t)
		r := newRig(t, map[string]string{"v1": addr}, retaining(64<<10), h2c)
		body := bytes.Repeat([]byte("x"), size)
		in, out := io.Pipe()
		go func() {
			out.Write(body[:2])
			eventually(t, "the head was read", func() bool { return r.of("v1").InFlight == 1 })
			out.Write(body[2:])
			out.Close()
		}()
		req, _ := http.NewRequest("PUT", "http://"+r.addr+"/", in)
		res, got := r.do(client2(t, nil), req)
		want, times := 200, 2
		if size > 64<<10 {
			want, times = 502, 1
		}
		if res.StatusCode != want || want == 200 && got != string(body) {
			t.Errorf("%d bytes: answered %d with %d bytes", size, res.StatusCode, len(got))
		}
		if n, _ := f.asked(t, string(body)); n != times {
			t.Errorf("%d bytes: asked %d times", size, n)
		}
	}
}

// TestStatusesAfterRetainedBodies: an answer that is passed over leaves nothing
// of the body under way.
func TestStatusesAfterRetainedBodies(t *testing.T) {
	var n int
	b := newRecorder(t, func(c net.Conn, _ *message) bool {
		n++
		status := "503 Service Unavailable"
		if n == 2 {
			status = "200 OK"
		}
		io.WriteString(c, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n")
		return true
	})
	r := newRig(t, map[string]string{"v1": b.addr}, retaining(64<<10), func(r *rig) { r.settings.RetryOn = []int{503} })
	if s := statuses(inPieces(t, r, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"+closing+"\r\n\r\nhello")); s != "200" {
		t.Errorf("answered %s", s)
	}
	if seen, partial := b.take(); len(seen) != 2 || partial != 0 || string(seen[0].body) != "hello" || string(seen[1].body) != "hello" || b.connections() != 1 {
		t.Errorf("the endpoint saw %v on %d connections", shorts(seen), b.connections())
	}
}
