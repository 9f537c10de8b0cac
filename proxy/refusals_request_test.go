package proxy

import (
	"fmt"
	"strings"
	"testing"
)

// smuggled is what the attacks of these tables try to have read as a request
// of its own.
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n"

// refusal is a request that must not reach a backend.
type refusal struct {
	name   string
	raw    string
	status int
}

// header is a request with one head line that is under test.
func header(line string) string {
	return "GET / HTTP/1.1\r\nHost: a.example\r\n" + line + "\r\n\r\n"
}

func refusals() []refusal {
	list := []refusal{
		{"bare LF everywhere", "GET / HTTP/1.1\nHost: a.example\n\n", 400},
		{"bare LF after the request line", "GET / HTTP/1.1\nHost: a.example\r\n\r\n", 400},
		{"bare LF between fields", "GET / HTTP/1.1\r\nHost: a.example\nX: y\r\n\r\n", 400},
		{"bare LF ends the head", "GET / HTTP/1.1\r\nHost: a.example\r\n\n", 400},
		{"LF before the request line", "\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"two empty lines before the request line", "\r\n\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"space before the request line", " GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"bare CR in the request line", "GET /\r HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"bare CR in a value", header("X: a\rb"), 400},
		{"bare CR before CRLF", header("X: a\r"), 400},
		{"CR CR LF ends the head", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\r\n", 400},
		{"NUL in a value", header("X: a\x00b"), 400},
		{"NUL in a name", header("X\x00: a"), 400},
		{"NUL in the target", "GET /\x00 HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"BEL in a value", header("X: \x07"), 400},
		{"ESC in a value", header("X: \x1b[31m"), 400},
		{"DEL in a value", header("X: a\x7f"), 400},
		{"vertical tab in a value", header("X: a\x0bb"), 400},
		{"form feed in a value", header("X: a\x0cb"), 400},
		{"folded line, space", header("X: a\r\n b"), 400},
		{"folded line, tab", header("X: a\r\n\tb"), 400},
		{"folded first line", "GET / HTTP/1.1\r\n Host: a.example\r\n\r\n", 400},
		{"folded empty line", header("X: a\r\n "), 400},
		{"space before the colon", header("X : a"), 400},
		{"tab before the colon", header("X\t: a"), 400},
		{"space in a name", header("X Y: a"), 400},
		{"empty name", header(": a"), 400},
		{"no colon", header("X"), 400},
		{"slash in a name", header("X/Y: a"), 400},
		{"bracket in a name", header("X[]: a"), 400},
		{"quote in a name", header("\"X\": a"), 400},
		{"8-bit name", header("X\xe9: a"), 400},
		{"UTF-8 name", header("Ⅹ: a"), 400},

		{"no Host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", 400},
		{"two Hosts", header("Host: b.example"), 400},
		{"two equal Hosts", header("Host: a.example"), 400},
		{"two Hosts, other case", header("hOST: b.example"), 400},
		{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
		{"Host with a path", "GET / HTTP/1.1\r\nHost: a.example/x\r\n\r\n", 400},
		{"Host with user", "GET / HTTP/1.1\r\nHost: u@a.example\r\n\r\n", 400},
		{"Host with space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		{"Host list", "GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n", 400},
		{"Host port not a number", "GET / HTTP/1.1\r\nHost: a.example:8x\r\n\r\n", 400},
		{"Host port too large", "GET / HTTP/1.1\r\nHost: a.example:65536\r\n\r\n", 400},
		{"Host with two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400},
		{"Host with %00", "GET / HTTP/1.1\r\nHost: a%00\r\n\r\n", 400},
		{"Host not IPv6", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
		{"two Hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		{"absolute target, bad Host field", "GET http://a.example/ HTTP/1.1\r\nHost: b c\r\n\r\n", 400},
		{"absolute target without Host field", "GET http://a.example/ HTTP/1.1\r\n\r\n", 400},
		{"absolute target, empty authority", "GET http:///x HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"absolute target, user", "GET http://u:p@a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},

		{"relative target", "GET x HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"authority target", "GET a.example:80 HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"ftp target", "GET ftp://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"* with GET", "GET * HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"*x", "OPTIONS *x HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"empty target", "GET  HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"two spaces after the method", "GET  / HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"two spaces before the version", "GET /  HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"space in the target", "GET /a b HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"tab between", "GET\t/ HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"fragment", "GET /a#b HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"8-bit target", "GET /\xe9 HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"broken escape", "GET /%zz HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"CONNECT", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", 501},
		{"method with a bracket", "GE(T / HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"HTTP/0.9", "GET /\r\n\r\n", 400},
		{"lower-case version", "GET / http/1.1\r\nHost: a.example\r\n\r\n", 400},
		{"version 1", "GET / HTTP/1\r\nHost: a.example\r\n\r\n", 400},
		{"version 1.10", "GET / HTTP/1.10\r\nHost: a.example\r\n\r\n", 400},
		{"version 2.0", "GET / HTTP/2.0\r\nHost: a.example\r\n\r\n", 505},
		{"version 9.9", "GET / HTTP/9.9\r\nHost: a.example\r\n\r\n", 505},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		{"space after the version", "GET / HTTP/1.1 \r\nHost: a.example\r\n\r\n", 400},
		{"TLS to a plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400},
		{"PROXY protocol that was not agreed", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n", 400},

		{"long head", header("X: " + strings.Repeat("x", 70<<10)), 431},
		{"many fields", "GET / HTTP/1.1\r\nHost: a.example\r\n" + strings.Repeat("X: y\r\n", 200) + "\r\n", 431},
		{"long target", "GET /" + strings.Repeat("x", 40<<10) + " HTTP/1.1\r\nHost: a.example\r\n\r\n", 414},
		{"endless target", "GET /" + strings.Repeat("x", 80<<10), 414},
		{"unknown expectation", header("Expect: 200-maybe"), 417},
		{"malformed Connection", header("Connection: a b"), 400},
		{"two Upgrades", header("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b"), 400},
	}
	return append(append(list, lengthRefusals()...), codingRefusals()...)
}

// lengthRefusals are lengths that cannot be believed, each with a body that a
// lenient reader would take for a request.
func lengthRefusals() (list []refusal) {
	for _, value := range []string{
		"", "+5", "-5", "5,5", "5, 5", "5, 6", "5;", "5 5", "0x5", "5.0", "1e1", "٥", "5\x00", "\x0b5",
		"9223372036854775808", "18446744073709551621", "99999999999999999999999999", "five", "\"5\"", "5\t6",
	} {
		list = append(list, refusal{fmt.Sprintf("Content-Length %q", value), post(smuggled, "Content-Length: "+value), 400})
	}
	for _, lines := range []string{
		"Content-Length: 5\r\nContent-Length: 5",
		"Content-Length: 5\r\nContent-Length: 0",
		"Content-Length: 0\r\nContent-Length: 44",
		"Content-Length: 5\r\nX: y\r\ncontent-length: 6",
		"Content-Length : 44",
		"Content-Length\t: 44",
		"Content-Length: 4\r\n 4",
		" Content-Length: 44",
		"X: y\r\n\tContent-Length: 44",
		"Content-Length\r\n: 44",
		"Content-Length: 44\rX: y",
		"X: y\nContent-Length: 44",
		"Content\x00-Length: 44",
	} {
		list = append(list, refusal{fmt.Sprintf("%q", lines), post(smuggled, lines), 400})
	}
	return list
}

// codingRefusals are the Transfer-Encodings of the literature on smuggling
// (CL.TE, TE.CL, TE.TE, TE.0), each with a body that ends early for one reader
// and late for the other.
func codingRefusals() (list []refusal) {
	add := func(status int, lines ...string) {
		for _, body := range []string{"0\r\n\r\n" + smuggled, "5\r\nhello\r\n0\r\n\r\n" + smuggled} {
			list = append(list, refusal{fmt.Sprintf("%q before %.3q", lines, body), post(body, lines...), status})
		}
	}
	add(400, "Content-Length: 6", "Transfer-Encoding: chunked")
	add(400, "Transfer-Encoding: chunked", "Content-Length: 6")
	add(400, "Content-Length: 0", "Transfer-Encoding: chunked")
	add(400, "content-length: 6", "tRANSFER-eNCODING: CHUNKED")
	add(501, "Content-Length: 6", "Transfer-Encoding: identity, chunked")
	for _, value := range []string{
		"", ",", "chunked,", ",chunked", "chunked, chunked", "chunked;q=1", "chunked;", "\"chunked\"",
		"chunked x", "chunked, identity", "chunked, gzip", "\x0bchunked", "chunked\x0b", "chunked\x0c", "\x00chunked",
		"chunked\r\n\tx", "\r\n chunked", "chunked\r", "chunked\x7f", "chunk\xc2\xa0ed", "\xa0chunked", "(x)chunked", "chunked,\"\"",
		"=chunked", "chunked\n", "{chunked}",
	} {
		add(400, "Transfer-Encoding: "+value)
	}
	for _, value := range []string{"identity", "xchunked", "chunkedx", "x-chunked", "gzip", "gzip, chunked", "identity, chunked", "cow", "'chunked'", "chun'ked", "chunked1"} {
		add(501, "Transfer-Encoding: "+value)
	}
	add(400, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")
	add(400, "Transfer-Encoding: chunked", "Transfer-Encoding: identity")
	add(400, "Transfer-Encoding: chunked", "transfer-encoding: x")
	add(501, "Transfer-Encoding: x", "Transfer-Encoding: chunked")
	add(501, "Transfer-Encoding: identity", "Transfer-Encoding: chunked")
	add(400, "Transfer-Encoding : chunked")
	add(400, "Transfer-Encoding\t: chunked")
	add(400, "Transfer-Encoding\x0b: chunked")
	add(400, "Transfer-Encoding\x00: chunked")
	add(400, " Transfer-Encoding: chunked")
	add(400, "\tTransfer-Encoding: chunked")
	add(400, "X: y\r\n Transfer-Encoding: chunked")
	add(400, "X: y\nTransfer-Encoding: chunked")
	add(400, "X: y\rTransfer-Encoding: chunked")
	add(400, "Transfer-Encoding\r\n : chunked")
	add(400, "Transfer-Encoding\r\n: chunked")
	return append(list, refusal{"Transfer-Encoding in 1.0",
		"POST / HTTP/1.0\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n" + smuggled, 400})
}

// TestRefusedRequestsReachNoBackend sends each on a connection of its own and
// behind a good request, and after it one by which the backend's record is
// known to be up to date.
func TestRefusedRequestsReachNoBackend(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	cases := refusals()
	if len(cases) < 100 {
		t.Errorf("only %d cases", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			checkRefusal(t, r.exchangeRaw(c.raw), c.status)
			checkSeen(t, r, b)
			answer := r.exchangeRaw(get("/before") + c.raw)
			own, found := strings.CutPrefix(answer[strings.Index(answer, "\r\n\r\n")+4:], "ok")
			if !found {
				t.Fatalf("the good request was answered %q", answer)
			}
			checkRefusal(t, own, c.status)
			checkSeen(t, r, b, "GET /before")
		})
	}
}

// checkRefusal checks that the answer is one response with this status, and
// nothing behind it.
func checkRefusal(t *testing.T, answer string, status int) {
	t.Helper()
	if statuses(answer) != fmt.Sprint(status) {
		t.Errorf("answered %q, want one %d", answer, status)
	}
	if !strings.Contains(answer, "\r\nConnection: close\r\n") {
		t.Errorf("no Connection: close in %q", answer)
	}
	if _, body, _ := strings.Cut(answer, "\r\n\r\n"); !strings.Contains(answer, fmt.Sprintf("\r\nContent-Length: %d\r\n", len(body))) {
		t.Errorf("a body of %d bytes in %q", len(body), answer)
	}
}

// checkSeen checks which requests the backend has seen since the last look.
func checkSeen(t *testing.T, r *rig, b *recorder, want ...string) {
	t.Helper()
	if answer := r.exchangeRaw(get("/sentinel", closing)); statuses(answer) != "200" {
		t.Fatalf("the sentinel was answered %q", answer)
	}
	seen, partial := b.take()
	if got := fmt.Sprint(shorts(seen)); got != fmt.Sprint(append(want, "GET /sentinel")) || partial > 0 {
		t.Errorf("the backend saw %s and %d broken off, want %v and the sentinel", got, partial, want)
	}
}
