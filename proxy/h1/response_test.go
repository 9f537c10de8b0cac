package h1

import (
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"sluice/proxy/head"
)

// ok is a valid 200 with these further field lines.
func ok(lines string) string { return "HTTP/1.1 200 OK\r\n" + lines + "\r\n" }

func TestResponseRefused(t *testing.T) {
	const chunked, length = "Transfer-Encoding: chunked\r\n", "Content-Length: 0\r\n"
	for _, tc := range []struct {
		name string
		data string
		want *rule
	}{
		{"empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", badVersion},
		{"bytes before", "xHTTP/1.1 200 OK\r\n\r\n", badVersion},
		{"HTTP/0.9", "hello\r\n\r\n", badVersion},
		{"other protocol", "ICY 200 OK\r\n\r\n", badVersion},
		{"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", otherVersion},
		{"no space after the version", "HTTP/1.1\r\n\r\n", badVersion},
		{"two spaces after the version", "HTTP/1.1  200 OK\r\n\r\n", badStatus},
		{"status of two digits", "HTTP/1.1 20 OK\r\n\r\n", badStatus},
		{"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", badStatusLine},
		{"status with a sign", "HTTP/1.1 +20 OK\r\n\r\n", badStatus},
		{"status 099", "HTTP/1.1 099 OK\r\n\r\n", badStatus},
		{"status 600", "HTTP/1.1 600 OK\r\n\r\n", badStatus},
		{"no space after the status", "HTTP/1.1 200\r\n\r\n", badStatusLine},
		{"tab after the status", "HTTP/1.1 200\tOK\r\n\r\n", badStatusLine},
		{"control in the reason", "HTTP/1.1 200 O\x01K\r\n\r\n", control},
		{"bare LF", "HTTP/1.1 200 OK\nX: y\r\n\r\n", bareLF},
		{"bare CR", "HTTP/1.1 200 O\rK\r\n\r\n", bareCR},
		{"bare LF in a field", ok("X: y\nY: z\r\n"), bareLF},
		{"NUL in a value", ok("X: \x00\r\n"), control},
		{"folded line", ok("X: y\r\n z\r\n"), foldedLine},
		{"space before the colon", ok("X : y\r\n"), nameSpace},
		{"empty name", ok(": y\r\n"), nameEmpty},
		{"no colon", ok("X\r\n"), nameNoColon},
		{"both lengths", ok(length + chunked), bothLengths},
		{"both lengths in a 304", "HTTP/1.1 304 x\r\n" + length + chunked + "\r\n", bothLengths},
		{"Content-Length twice", ok(length + length), lengthRepeated},
		{"Content-Length listed", ok("Content-Length: 5, 5\r\n"), badLength},
		{"Content-Length signed", ok("Content-Length: -1\r\n"), badLength},
		{"Content-Length empty", ok("Content-Length:\r\n"), badLength},
		{"Content-Length overflows", ok("Content-Length: 9999999999999999999\r\n"), lengthOverflow},
		{"unknown coding", ok("Transfer-Encoding: gzip, chunked\r\n"), unknownCoding},
		{"chunked twice", ok("Transfer-Encoding: chunked, chunked\r\n"), badCoding},
		{"chunked not last", ok("Transfer-Encoding: chunked, gzip\r\n"), badCoding},
		{"two Transfer-Encodings", ok(chunked + chunked), codingRepeated},
		{"Transfer-Encoding in HTTP/1.0", "HTTP/1.0 200 OK\r\n" + chunked + "\r\n", codingIn10},
		{"Connection not of tokens", ok("Connection: a b\r\n"), badConnection},
		{"204 with a length", "HTTP/1.1 204 x\r\nContent-Length: 1\r\n\r\n", lengthForbidden},
		{"204 chunked", "HTTP/1.1 204 x\r\n" + chunked + "\r\n", lengthForbidden},
		{"100 with a length", "HTTP/1.1 100 x\r\n" + length + "\r\n", lengthForbidden},
		{"103 chunked", "HTTP/1.1 103 x\r\n" + chunked + "\r\n", lengthForbidden},
		{"100 in HTTP/1.0", "HTTP/1.0 100 x\r\n\r\n", interimIn10},
		{"101 unasked", "HTTP/1.1 101 x\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n", unasked101},
		{"head that never ends", ok("X: " + strings.Repeat("x", 70<<10)), headTooLong},
		{"status line that never ends", "HTTP/1.1 200 " + strings.Repeat("x", 70<<10), headTooLong},
		{"too many fields", ok(strings.Repeat("X: y\r\n", 129)), tooManyField},
	} {
		for _, step := range []int{0, 1} {
			m := readResponse(tc.data, step, "GET", false, nil)
			var e *Error
			if !errors.Is(m.err, &tc.want.response) || !errors.As(m.err, &e) || e.Status != 502 {
				t.Errorf("%s, step %d: got error %v, want %v", tc.name, step, m.err, &tc.want.response)
			}
		}
	}
}

func TestSwitchingProtocols(t *testing.T) {
	for lines, want := range map[string]bool{
		"Upgrade: websocket\r\nConnection: Upgrade\r\n":               true,
		"Upgrade: websocket\r\n":                                      false,
		"Connection: Upgrade\r\n":                                     false,
		"Upgrade:\r\nConnection: Upgrade\r\n":                         false,
		"Upgrade: websocket\r\nUpgrade: b\r\nConnection: Upgrade\r\n": false,
	} {
		m := readResponse("HTTP/1.1 101 Switching Protocols\r\n"+lines+"\r\nraw", 0, "GET", true, nil)
		if want && (m.err != nil || m.response.Length != 0 || m.rest != "raw") {
			t.Errorf("%q: %+v", lines, m)
		}
		if !want && !errors.Is(m.err, &bad101.response) {
			t.Errorf("%q: got %v", lines, m.err)
		}
	}
}

func TestResponseFraming(t *testing.T) {
	for _, tc := range []struct {
		name, method, data string
		status             int
		length, declared   int64
		closes             bool
		body, rest         string
	}{
		{"length", "GET", ok("Content-Length: 2\r\n") + "abX", 200, 2, 2, false, "ab", "X"},
		{"length 0", "GET", ok("Content-Length: 0\r\n") + "X", 200, 0, 0, false, "", "X"},
		{"chunked", "GET", ok("Transfer-Encoding: chunked\r\n") + "2\r\nab\r\n0\r\n\r\nX", 200, head.Chunked, -1, false, "ab", "X"},
		{"until close", "GET", ok("") + "abX", 200, head.UntilClose, -1, true, "abX", ""},
		{"HTTP/1.0", "GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nab", 200, head.UntilClose, -1, true, "ab", ""},
		{"HTTP/1.0 with length", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab", 200, 2, 2, true, "ab", ""},
		{"HTTP/1.0 kept alive", "GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nab", 200, 2, 2, false, "ab", ""},
		{"close", "GET", ok("Content-Length: 0\r\nConnection: close\r\n"), 200, 0, 0, true, "", ""},
		{"HEAD", "HEAD", ok("Content-Length: 5\r\n") + "X", 200, 0, 5, false, "", "X"},
		{"HEAD chunked", "HEAD", ok("Transfer-Encoding: chunked\r\n") + "X", 200, 0, -1, false, "", "X"},
		{"HEAD without length", "HEAD", ok("") + "X", 200, 0, -1, false, "", "X"},
		{"304", "GET", "HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\nX", 304, 0, 5, false, "", "X"},
		{"204", "GET", "HTTP/1.1 204 \r\n\r\nX", 204, 0, -1, false, "", "X"},
		{"204 of length 0", "GET", "HTTP/1.1 204 \r\nContent-Length: 0\r\n\r\nX", 204, 0, -1, false, "", "X"},
		{"100", "GET", "HTTP/1.1 100 Continue\r\n\r\nX", 100, 0, -1, false, "", "X"},
		{"103", "GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nX", 103, 0, -1, false, "", "X"},
	} {
		for _, step := range []int{0, 1} {
			m := readResponse(tc.data, step, tc.method, false, nil)
			r := m.response
			if m.err != nil || m.bodyErr != nil || r.Status != tc.status || r.Length != tc.length || r.Declared != tc.declared ||
				r.Close != tc.closes || m.body != tc.body || m.rest != tc.rest {
				t.Errorf("%s, step %d: got %+v, want %+v", tc.name, step, m, tc)
			}
		}
	}
}

func TestResponseHead(t *testing.T) {
	m := readResponse("HTTP/1.1 404 Not \t\xe9found\r\nServer: x\r\nContent-Length: 0\r\n\r\n", 0, "GET", false, nil)
	want := head.Response{Status: 404, Reason: "Not \t\xe9found", Proto: head.HTTP11, Declared: 0, Fields: []head.Field{
		{ID: head.Server, Name: "Server", Value: "x"}, {ID: head.ContentLength, Name: "Content-Length", Value: "0"}}}
	if m.err != nil || !reflect.DeepEqual(m.response, want) {
		t.Errorf("got %+v, %v", m.response, m.err)
	}
}

func TestResponseStreamEnds(t *testing.T) {
	whole := ok("Content-Length: 0\r\n")
	for n := range len(whole) {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		for _, step := range []int{0, 1} {
			if m := readResponse(whole[:n], step, "GET", false, nil); m.err != want {
				t.Errorf("after %d bytes, step %d: %v, want %v", n, step, m.err, want)
			}
		}
	}
}
