package proxy

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestForwardedRequestsAreUnambiguous sends what may look odd and is right, and
// checks that a strict reader sees exactly the requests that were sent.
func TestForwardedRequestsAreUnambiguous(t *testing.T) {
	chunked := "Transfer-Encoding: chunked"
	end := get("/end", closing)
	tests := []struct {
		name string
		raw  string
		want []string
	}{
		{"plain", get("/a"), []string{"GET /a"}},
		{"an empty line before the request", "\r\n" + get("/a"), []string{"GET /a"}},
		{"two requests at once", get("/a") + get("/b"), []string{"GET /a", "GET /b"}},
		{"a body with Content-Length", post("hello", "Content-Length: 5"), []string{"POST /first hello"}},
		{"a body that looks like a request", post(smuggled, fmt.Sprintf("Content-Length: %d", len(smuggled))), []string{"POST /first " + smuggled}},
		{"length 0", post("", "Content-Length: 0"), []string{"POST /first"}},
		{"no length, then a request", post("") + get("/b"), []string{"POST /first", "GET /b"}},
		{"leading zeros", post("hello", "Content-Length: 0005"), []string{"POST /first hello"}},
		{"a length with spaces around", post("hello", "Content-Length:   5\t "), []string{"POST /first hello"}},
		{"a GET with a body", "GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", []string{"GET /a hello"}},
		{"a HEAD with a body", "HEAD /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", []string{"HEAD /a hello"}},
		{"a GET with a chunked body", "GET /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", []string{"GET /a hello"}},
		{"chunked", post("5\r\nhello\r\n0\r\n\r\n", chunked), []string{"POST /first hello"}},
		{"chunked, two chunks", post("2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", chunked), []string{"POST /first hello"}},
		{"chunked, nothing", post("0\r\n\r\n", chunked), []string{"POST /first"}},
		{"chunked, zeros", post("005\r\nhello\r\n000\r\n\r\n", chunked), []string{"POST /first hello"}},
		{"chunked, capitals", post("A\r\n0123456789\r\n0\r\n\r\n", chunked), []string{"POST /first 0123456789"}},
		{"chunked, coding in capitals", post("5\r\nhello\r\n0\r\n\r\n", "TRANSFER-ENCODING: ChunKed"), []string{"POST /first hello"}},
		{"chunked, white space about the coding", post("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: \t chunked \t"), []string{"POST /first hello"}},
		{"chunked, extensions", post("5;a\r\nhello\r\n5;a=b;c=\"d\"\r\nworld\r\n0;x=y\r\n\r\n", chunked), []string{"POST /first helloworld"}},
		{"chunked, an extension with CRLF quoted", post("5;a=\"0 0\"\r\nhello\r\n0\r\n\r\n", chunked), []string{"POST /first hello"}},
		{"chunked, a request in the data", post(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled), chunked), []string{"POST /first " + smuggled}},
		{"chunked, trailers", post("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", chunked), []string{"POST /first hello"}},
		{"chunked, a last chunk in the data", post("7\r\n0\r\n\r\nGE\r\n0\r\n\r\n", chunked), []string{"POST /first 0\r\n\r\nGE"}},
		{"names that look like framing", post("hello", "Content-Length: 5", "Transfer_Encoding: chunked", "X-Transfer-Encoding: chunked", "Content_Length: 9", "Transfer-Encoding-: chunked", "Content-Lengt: 3"), []string{"POST /first hello"}},
		{"framing named in Connection", post("hello", "Content-Length: 5", "Connection: Content-Length, Host, Transfer-Encoding"), []string{"POST /first hello"}},
		{"coding named in Connection", post("5\r\nhello\r\n0\r\n\r\n", chunked, "Connection: transfer-encoding"), []string{"POST /first hello"}},
		{"TE is not Transfer-Encoding", post("hello", "Content-Length: 5", "TE: chunked"), []string{"POST /first hello"}},
		{"framing in a value", post("hello", "Content-Length: 5", "X: Transfer-Encoding: chunked"), []string{"POST /first hello"}},
		{"method override is not ours", post("hello", "Content-Length: 5", "X-HTTP-Method-Override: GET"), []string{"POST /first hello"}},
		{"absolute target", "GET http://other.example/a?b HTTP/1.1\r\nHost: a.example\r\n\r\n", []string{"GET /a?b"}},
		{"absolute target without a path", "GET http://other.example HTTP/1.1\r\nHost: a.example\r\n\r\n", []string{"GET /"}},
		{"absolute target, query alone", "GET http://other.example?x HTTP/1.1\r\nHost: a.example\r\n\r\n", []string{"GET /?x"}},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", []string{"OPTIONS *"}},
		{"dots and slashes stay", get("//a/../b/./%2e%2e/"), []string{"GET //a/../b/./%2e%2e/"}},
		{"a target that names another request", get("/%20HTTP/1.1%0d%0aHost:%20b"), []string{"GET /%20HTTP/1.1%0d%0aHost:%20b"}},
		{"own methods", "PURGE /a HTTP/1.1\r\nHost: a\r\n\r\nfoo /b HTTP/1.1\r\nHost: a\r\n\r\n", []string{"PURGE /a", "foo /b"}},
		{"version 1.9", "GET /a HTTP/1.9\r\nHost: a.example\r\n\r\n", []string{"GET /a"}},
		{"1.0 with keep-alive", "GET /a HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n", []string{"GET /a"}},
		{"1.0 without Host", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", []string{"GET /a"}},
		{"an upgrade with a body", post("hello", "Content-Length: 5", "Connection: upgrade", "Upgrade: websocket"), []string{"POST /first hello"}},
		{"h2c upgrade", get("/a", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"), []string{"GET /a"}},
		{"8-bit value", get("/a", "X: caf\xe9"), []string{"GET /a"}},
		{"empty values", get("/a", "X:", "Y: ", "Accept:\t"), []string{"GET /a"}},
	}
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := r.exchangeRaw(test.raw + end)
			seen, partial := b.take()
			want := append(test.want, "GET /end")
			if got := shorts(seen); fmt.Sprint(got) != fmt.Sprint(want) || partial > 0 {
				t.Errorf("the backend saw %q and %d broken off, want %q", got, partial, want)
			}
			if got, want := statuses(answer), strings.Repeat(" 200", len(want))[1:]; got != want {
				t.Errorf("answered %s, want %s", got, want)
			}
		})
	}
}

// TestMalformedBodiesAreNeverWhole sends bodies whose end can't be told. The
// head is on its way by then; the backend must not take what it gets for a
// request, and what follows must not be read as one.
func TestMalformedBodiesAreNeverWhole(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	for _, body := range []string{
		"5\nhello\r\n0\r\n\r\n",
		"5\r\nhello\n0\r\n\r\n",
		"5\r\nhello\r\n0\n\r\n",
		"5\r\nhello\r\n0\r\n\n",
		"5\rhello\r\n0\r\n\r\n",
		"5\r\r\nhello\r\n0\r\n\r\n",
		"5\r\nhello0\r\n\r\n",
		"5\r\nhelloworld\r\n0\r\n\r\n",
		"5\r\nhello\r0\r\n\r\n",
		" 5\r\nhello\r\n0\r\n\r\n",
		"5 \r\nhello\r\n0\r\n\r\n",
		"\t5\r\nhello\r\n0\r\n\r\n",
		"+5\r\nhello\r\n0\r\n\r\n",
		"-5\r\nhello\r\n0\r\n\r\n",
		"0x5\r\nhello\r\n0\r\n\r\n",
		"5h\r\nhello\r\n0\r\n\r\n",
		"5_\r\nhello\r\n0\r\n\r\n",
		"g\r\nhello\r\n0\r\n\r\n",
		"\r\nhello\r\n0\r\n\r\n",
		"5,5\r\nhello\r\n0\r\n\r\n",
		"5\x00\r\nhello\r\n0\r\n\r\n",
		"8000000000000000\r\nhello\r\n0\r\n\r\n",
		"10000000000000005\r\nhello\r\n0\r\n\r\n",
		"00000000000000005\r\nhello\r\n0\r\n\r\n",
		"5;\r\nhello\r\n0\r\n\r\n",
		"5; a\r\nhello\r\n0\r\n\r\n",
		"5 ;a\r\nhello\r\n0\r\n\r\n",
		"5;a =b\r\nhello\r\n0\r\n\r\n",
		"5;a= b\r\nhello\r\n0\r\n\r\n",
		"5;a=\r\nhello\r\n0\r\n\r\n",
		"5;a=\"b\r\nhello\r\n0\r\n\r\n",
		"5;a=\"b\r\n\"\r\nhello\r\n0\r\n\r\n",
		"5;a=b\n\r\nhello\r\n0\r\n\r\n",
		"5;\nhello\r\n0\r\n\r\n",
		"5;a\rX: y\r\nhello\r\n0\r\n\r\n",
		"5;\x00\r\nhello\r\n0\r\n\r\n",
		"5;" + strings.Repeat("a", 2000) + "\r\nhello\r\n0\r\n\r\n",
		strings.Repeat("1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n", 1000) + "0\r\n\r\n",
		"5\r\nhello\r\n0\r\nX\r\n\r\n",
		"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
		"5\r\nhello\r\n0\r\n X: y\r\n\r\n",
		"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
		"5\r\nhello\r\n0\r\nX: y\n\r\n",
		"5\r\nhello\r\n0\r\nX: \x00\r\n\r\n",
		"5\r\nhello\r\n0\r\nContent-Length: 3\r\n\r\n",
		"5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n",
		"5\r\nhello\r\n0\r\nHost: b.example\r\n\r\n",
		"5\r\nhello\r\n0\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
		"5\r\nhello\r\n0\r\nX: " + strings.Repeat("x", 70<<10) + "\r\n\r\n",
	} {
		name := fmt.Sprintf("%.40q", body)
		t.Run(name, func(t *testing.T) {
			answer := r.exchangeRaw(post(body+smuggled, "Transfer-Encoding: chunked"))
			if s := statuses(answer); s != "400" && s != "431" {
				t.Errorf("answered %q", answer)
			}
			if !strings.Contains(answer, "\r\nConnection: close\r\n") {
				t.Errorf("no Connection: close in %q", answer)
			}
			checkOnlySentinel(t, r, b)
		})
	}
	checkNoEjection(t, r)
}

// checkOnlySentinel checks that the backend saw no whole request before the
// sentinel.
func checkOnlySentinel(t *testing.T, r *rig, b *recorder) {
	t.Helper()
	if answer := r.exchangeRaw(get("/sentinel", closing)); statuses(answer) != "200" {
		t.Fatalf("the sentinel was answered %q", answer)
	}
	if seen, _ := b.take(); fmt.Sprint(shorts(seen)) != "[GET /sentinel]" {
		t.Errorf("the backend saw %q", shorts(seen))
	}
}

// TestBodiesCutShortAreNeverWhole ends the client's direction, or the whole
// connection, in the middle of a body.
func TestBodiesCutShortAreNeverWhole(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	for _, request := range []string{
		post("hell", "Content-Length: 5"),
		post("", "Content-Length: 5"),
		post(strings.Repeat("x", 100<<10), "Content-Length: 200000"),
		post("5\r\nhell", "Transfer-Encoding: chunked"),
		post("5\r\nhello\r\n", "Transfer-Encoding: chunked"),
		post("5\r\nhello\r\n0\r\n", "Transfer-Encoding: chunked"),
		post("5\r\nhello\r\n0\r\nX: y\r\n", "Transfer-Encoding: chunked"),
		post("", "Transfer-Encoding: chunked"),
	} {
		c := r.dial()
		io.WriteString(c, request)
		closeWrite(c)
		if answer := strings.TrimSuffix(readAll(t, c), "(reset)"); answer != "" && statuses(answer) != "400" {
			t.Errorf("%.60q: answered %q", request, answer)
		}
		checkOnlySentinel(t, r, b)
	}
	checkNoEjection(t, r)
}

// checkNoEjection checks that what clients did wrong was not counted against
// an endpoint.
func checkNoEjection(t *testing.T, r *rig) {
	t.Helper()
	for _, c := range r.clusters {
		for _, e := range c.Status() {
			if e.Failures > 0 {
				t.Errorf("%d failures were counted against %s", e.Failures, e.Address)
			}
		}
	}
}

// TestPipelinedRequestsComeApartAsTheyWerePut sends random sequences of
// requests, cut into random pieces, and checks that the backend sees that
// sequence and the client gets its answers in order.
func TestPipelinedRequestsComeApartAsTheyWerePut(t *testing.T) {
	b := newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(m.target), m.target)
		return err == nil
	}
	r := newRig(t, map[string]string{"v1": b.addr})
	rapid.Check(t, func(rt *rapid.T) {
		var raw strings.Builder
		var want []string
		n := rapid.IntRange(1, 8).Draw(rt, "requests")
		for i := range n {
			body := strings.Repeat("x", rapid.SampledFrom([]int{0, 0, 1, 7, 1000, 40_000}).Draw(rt, "size"))
			target := fmt.Sprintf("/%d", i)
			m := message{method: "POST", target: target, body: body}
			want = append(want, m.String())
			line := "X: y\r\n"
			if i == n-1 {
				line = closing + "\r\n"
			}
			if rapid.Bool().Draw(rt, "chunked") {
				fmt.Fprintf(&raw, "POST %s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n%s\r\n%s", target, line, inChunks(body))
			} else {
				fmt.Fprintf(&raw, "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%s\r\n%s", target, len(body), line, body)
			}
		}
		c := r.dial()
		defer c.Close()
		go writeInPieces(c, raw.String(), rapid.IntRange(1, 5).Draw(rt, "pieces"))
		answer := readAll(t, c)
		seen, _ := b.take()
		if got := shorts(seen); fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Fatalf("the backend saw %.300q, want %.300q", got, want)
		}
		for i := range n {
			_, rest, found := strings.Cut(answer, fmt.Sprintf("\r\n\r\n/%d", i))
			if answer = rest; !found {
				rt.Fatalf("no answer to request %d", i)
			}
		}
	})
}

// inChunks frames a body in chunks of random sizes.
func inChunks(body string) string {
	var out strings.Builder
	for len(body) > 0 {
		n := 1 + rand.IntN(len(body))
		fmt.Fprintf(&out, "%x\r\n%s\r\n", n, body[:n])
		body = body[n:]
	}
	return out.String() + "0\r\n\r\n"
}

// writeInPieces writes s in n pieces of random sizes.
func writeInPieces(w io.Writer, s string, n int) {
	for ; n > 1 && len(s) > 0; n-- {
		cut := rand.IntN(len(s))
		io.WriteString(w, s[:cut])
		s = s[cut:]
	}
	io.WriteString(w, s)
}
