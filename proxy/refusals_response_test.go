package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// badHeads are responses that can't be believed, before anything of them was
// sent on.
var badHeads = []struct{ name, raw string }{
	{"garbage", "\x00\x01\x02\x03\r\n\r\n"},
	{"SSH", "SSH-2.0-OpenSSH_9.2\r\n"},
	{"TLS alert", "\x15\x03\x01\x00\x02\x02\x28"},
	{"HTTP/0.9", "<html>hello</html>\r\n\r\n"},
	{"a request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
	{"version 2", "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"},
	{"lower-case version", "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
	{"ICY", "ICY 200 OK\r\nContent-Length: 2\r\n\r\nok"},
	{"no status", "HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nok"},
	{"short status", "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok"},
	{"long status", "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok"},
	{"status 099", "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok"},
	{"status 600", "HTTP/1.1 600 OK\r\nContent-Length: 2\r\n\r\nok"},
	{"status +20", "HTTP/1.1 +20 OK\r\nContent-Length: 2\r\n\r\nok"},
	{"no space behind the status", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"},
	{"two spaces before the status", "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok"},
	{"an empty line first", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
	{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"},
	{"bare LF between fields", "HTTP/1.1 200 OK\r\nX: y\nContent-Length: 2\r\n\r\nok"},
	{"bare CR in a value", "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok"},
	{"NUL in a value", "HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok"},
	{"ESC in a value", "HTTP/1.1 200 OK\r\nX: \x1b[2J\r\nContent-Length: 2\r\n\r\nok"},
	{"NUL in the reason", "HTTP/1.1 200 O\x00K\r\nContent-Length: 2\r\n\r\nok"},
	{"bare CR in the reason", "HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nok"},
	{"folded line", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok"},
	{"space before the colon", "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok"},
	{"no colon", "HTTP/1.1 200 OK\r\nX\r\nContent-Length: 2\r\n\r\nok"},
	{"empty name", "HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 2\r\n\r\nok"},
	{"both lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
	{"both lengths, turned round", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
	{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"},
	{"two equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"},
	{"a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok"},
	{"a signed length", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok"},
	{"a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok"},
	{"an empty length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok"},
	{"an overflowing length", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok"},
	{"two codings", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	{"chunked twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
	{"a coding that is not ours", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx"},
	{"gzip, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
	{"chunked in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	{"a 204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"},
	{"a 204 that is chunked", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	{"an unasked 101", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"},
	{"a 100 with a length", "HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nok"},
	{"a 1xx in 1.0", "HTTP/1.0 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
	{"a 103 and garbage", "HTTP/1.1 100 Continue\r\n\r\ngarbage\r\n\r\n"},
	{"a long head", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 70<<10) + "\r\n\r\n"},
	{"an endless head", "HTTP/1.1 200 " + strings.Repeat("x", 100<<10)},
	{"many fields", "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 200) + "\r\n"},
	{"a head cut short", "HTTP/1.1 200 OK\r\nContent-Le"},
	{"a head cut at its last line", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"},
	{"one byte", "H"},
	{"an interim response and no more", "HTTP/1.1 100 Continue\r\n\r\n"},
	{"a flood of interim responses", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000) + "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"},
}

func TestResponsesThatCantBeBelievedBecome502(t *testing.T) {
	for _, method := range []string{"GET", "POST"} {
		for _, test := range badHeads {
			t.Run(method+" "+test.name, func(t *testing.T) {
				t.Parallel()
				b := newRecorder(t, last(test.raw))
				r := newRig(t, map[string]string{"v1": b.addr})
				answer := r.exchangeRaw(method + " / HTTP/1.1\r\nHost: a\r\n\r\n" + get("/next", closing))
				// The request that follows has its own connection to the endpoint.
				if statuses(answer) != "502 502" {
					t.Errorf("answered %q", answer)
				}
				if strings.Contains(answer, "\r\n\r\nok") {
					t.Errorf("a body got through: %q", answer)
				}
			})
		}
	}
}

// TestAnEndpointThatClosesAtOnce answers nothing: a GET is tried once more on
// another connection, a POST is not.
func TestAnEndpointThatClosesAtOnce(t *testing.T) {
	b := newRecorder(t, last(""))
	r := newRig(t, map[string]string{"v1": b.addr})
	for method, tries := range map[string]int{"GET": 2, "POST": 1} {
		answer := r.exchangeRaw(method + " /x HTTP/1.1\r\nHost: a\r\n" + closing + "\r\n\r\n")
		if statuses(answer) != "502" {
			t.Errorf("%s: answered %q", method, answer)
		}
		if seen, _ := b.take(); len(seen) != tries {
			t.Errorf("%s was sent %d times, not %d", method, len(seen), tries)
		}
	}
}

// cutBodies are responses that end before their bodies do. Sent is what of the
// body may reach the client.
var cutBodies = []struct{ name, raw string }{
	{"short Content-Length", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"},
	{"short Content-Length, no byte", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"},
	{"short long Content-Length", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 200_000)},
	{"no last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"},
	{"no chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{"a cut chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"},
	{"a cut chunk line", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0"},
	{"no end of the trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"},
	{"cut trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n"},
	{"a malformed chunk size", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n\r\n0\r\n\r\n"},
	{"a bare LF in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n"},
	{"a malformed trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX y\r\n\r\n"},
	{"framing in a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 1\r\n\r\n"},
	{"chunk data too long", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloworld\r\n0\r\n\r\n"},
}

// TestCutBodiesAreNeverWhole checks that a client can always tell that a body
// was cut short: by a length or a last chunk that is missing, and by the reset
// where the end of the connection alone would tell.
func TestCutBodiesAreNeverWhole(t *testing.T) {
	for _, test := range cutBodies {
		for _, proto := range []string{"1.1", "1.0"} {
			t.Run(proto+" "+test.name, func(t *testing.T) {
				t.Parallel()
				b := newRecorder(t, last(test.raw))
				r := newRig(t, map[string]string{"v1": b.addr})
				answer := r.exchangeRaw("GET / HTTP/" + proto + "\r\nHost: a\r\n\r\n")
				checkCut(t, answer)
				if !strings.HasSuffix(answer, "(reset)") {
					t.Errorf("the connection ended in good order after %.300q", answer)
				}
				eventually(t, "the endpoint's failure is counted", func() bool {
					return r.clusters["v1"].Status()[0].Failures == 1
				})
			})
		}
	}
}

// checkCut checks that an answer that came over HTTP is none or is not whole.
func checkCut(t *testing.T, answer string) {
	t.Helper()
	answer, reset := strings.CutSuffix(answer, "(reset)")
	head, body, found := strings.Cut(answer, "\r\n\r\n")
	switch {
	case !found:
	case strings.Contains(head, "Transfer-Encoding: chunked"):
		if strings.HasSuffix(body, "0\r\n\r\n") {
			t.Errorf("the body has a last chunk: %q", answer)
		}
	case strings.Contains(head, "Content-Length:"):
		length := 0
		fmt.Sscanf(head[strings.Index(head, "Content-Length:"):], "Content-Length: %d", &length)
		if len(body) >= length {
			t.Errorf("the body has all its %d bytes: %q", length, answer)
		}
	case !reset:
		t.Errorf("a body that ends with the connection ended in good order: %q", answer)
	}
}

// TestCutBodiesAreNeverWholeOverTLS: a client of HTTP/1.0 takes the end of the
// connection for that of the body, so it must not get a close_notify.
func TestCutBodiesAreNeverWholeOverTLS(t *testing.T) {
	server, client := tlsConfigs(t)
	b := newRecorder(t, last("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"))
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.TLS = server })
	c, err := tls.Dial("tcp", r.addr, client)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, "GET / HTTP/1.0\r\nHost: a\r\n\r\n")
	if answer, err := io.ReadAll(c); err == nil {
		t.Errorf("the connection ended in good order after %q", answer)
	}
}

// TestWholeBodiesThatEndWithTheConnection have no other end to be judged by.
func TestWholeBodiesThatEndWithTheConnection(t *testing.T) {
	for _, head := range []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"} {
		b := newRecorder(t, last(head+"hello"))
		r := newRig(t, map[string]string{"v1": b.addr})
		if answer := r.exchangeRaw("GET / HTTP/1.0\r\nHost: a\r\n\r\n"); !strings.HasSuffix(answer, "\r\n\r\nhello") {
			t.Errorf("HTTP/1.0 got %q", answer)
		}
		answer := r.exchangeRaw(get("/", closing))
		if !strings.HasSuffix(answer, "5\r\nhello\r\n0\r\n\r\n") {
			t.Errorf("HTTP/1.1 got %q", answer)
		}
	}
}

// TestAResetIsNotAnEnd: a body that ends with the connection has no end where
// the connection was reset.
func TestAResetIsNotAnEnd(t *testing.T) {
	b := newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nhello")
		// The reset must not overtake the bytes.
		<-time.After(100 * time.Millisecond)
		c.(*net.TCPConn).SetLinger(0)
		return false
	}
	r := newRig(t, map[string]string{"v1": b.addr})
	checkCut(t, r.exchangeRaw(get("/")))
	if answer := r.exchangeRaw("GET / HTTP/1.0\r\nHost: a\r\n\r\n"); !strings.HasSuffix(answer, "(reset)") {
		t.Errorf("HTTP/1.0 got %q", answer)
	}
}

// TestWhatFollowsAResponseIsNeverAnAnswer: bytes behind a response belong to no
// request, and must not become the answer to the next.
func TestWhatFollowsAResponseIsNeverAnAnswer(t *testing.T) {
	planted := "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for _, first := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 16000\r\n\r\n" + strings.Repeat("x", 16_000),
		"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("x", 300_000),
	} {
		b := newRecorder(t, always(first+planted))
		r := newRig(t, map[string]string{"v1": b.addr})
		answer := r.exchangeRaw(get("/1") + get("/2") + get("/3", closing))
		if strings.Contains(answer, "poison") {
			t.Errorf("%.80q: %.300q", first, answer)
		}
		if n := len(strings.Fields(statuses(answer))); n != 3 {
			t.Errorf("%.80q: %d answers: %.300q", first, n, answer)
		}
	}
}
