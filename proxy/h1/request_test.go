package h1

import (
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"sluice/proxy/buffer"
	"sluice/proxy/head"
)

const hostLine = "Host: a.example\r\n"

// get is a valid GET with these further field lines.
func get(lines string) string { return "GET / HTTP/1.1\r\n" + hostLine + lines + "\r\n" }

func TestRequestRefused(t *testing.T) {
	for _, tc := range []struct {
		name string
		data string
		want *rule
	}{
		// Bytes and lines.
		{"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", bareLF},
		{"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", bareLF},
		{"bare LF for the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\nX", bareLF},
		{"bare CR in a value", get("X: a\rb\r\n"), bareCR},
		{"bare CR in a name", get("X\rY: a\r\n"), bareCR},
		{"bare CR for the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\rX", bareCR},
		{"CR CR LF", get("X: a\r\r\n"), bareCR},
		{"bare CR in the target", "GET /\rx HTTP/1.1\r\n\r\n", bareCR},
		{"bare CR before the request", "\rGET / HTTP/1.1\r\n\r\n", bareCR},
		{"LF before the request", "\nGET / HTTP/1.1\r\n\r\n", bareLF},
		{"two empty lines before the request", "\r\n\r\nGET / HTTP/1.1\r\n\r\n", badMethod},
		{"NUL in a value", get("X: a\x00b\r\n"), control},
		{"NUL in a name", get("X\x00: a\r\n"), control},
		{"NUL in the method", "G\x00T / HTTP/1.1\r\n\r\n", control},
		{"DEL in a value", get("X: a\x7f\r\n"), control},
		{"DEL in a name", get("X\x7f: b\r\n"), control},
		{"vertical tab in a value", get("X: aaaaaaaaaaaaaaaaaaaaaaaaaaa\x0bb\r\n"), control},
		{"unit separator in a value", get("X: a\x1f\r\n"), control},
		{"TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03", control},
		{"folded line", get("X: a\r\n b\r\n"), foldedLine},
		{"folded line with a tab", get("X: a\r\n\tb\r\n"), foldedLine},
		{"white space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", foldedLine},
		{"line of white space", get(" \r\n"), foldedLine},
		{"space before the colon", get("X : a\r\n"), nameSpace},
		{"tab before the colon", get("X\t: a\r\n"), nameSpace},
		{"space in a name", get("X Y: a\r\n"), nameSpace},
		{"empty name", get(": a\r\n"), nameEmpty},
		{"no colon", get("X\r\n"), nameNoColon},
		{"name with a parenthesis", get("X(Y): a\r\n"), nameChar},
		{"name not ASCII", get("X\xc3\xa9: a\r\n"), nameChar},
		{"name begins with a quote", get("\"X\": a\r\n"), nameChar},

		// Request line.
		{"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", badMethod},
		{"method not a token", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", badMethod},
		{"tab after the method", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", badMethod},
		{"method alone", "GET\r\nHost: a\r\n\r\n", badMethod},
		{"two spaces after the method", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", emptyTarget},
		{"two spaces after the target", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", badVersion},
		{"space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", badVersion},
		{"tab in the target", "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", badTarget},
		{"fragment in the target", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", badTarget},
		{"target not ASCII", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", badTarget},
		{"DEL in the target", "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", control},
		{"no digits after a %", "GET /a%zz HTTP/1.1\r\nHost: a\r\n\r\n", badEscape},
		{"target ends in a cut escape", "GET /a%2 HTTP/1.1\r\nHost: a\r\n\r\n", badEscape},
		{"HTTP/0.9", "GET /\r\n\r\n", badVersion},
		{"version in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n", badVersion},
		{"version without minor", "GET / HTTP/1\r\nHost: a\r\n\r\n", badVersion},
		{"version of two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", badVersion},
		{"version with a leading zero", "GET / HTTP/01.1\r\nHost: a\r\n\r\n", badVersion},
		{"space after the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", badVersion},
		{"short junk for a version", "GET / X\r\n\r\n", badVersion},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", otherVersion},
		{"HTTP/0.9 spelled out", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", otherVersion},
		{"HTTP/3.0", "GET / HTTP/3.0\r\nHost: a\r\n\r\n", otherVersion},

		// Target forms.
		{"asterisk for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", asteriskForm},
		{"asterisk with more", "OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n", targetForm},
		{"CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", noConnect},
		{"CONNECT with a path", "CONNECT / HTTP/1.1\r\nHost: a:443\r\n\r\n", noConnect},
		{"authority for GET", "GET a.example:80 HTTP/1.1\r\nHost: a\r\n\r\n", targetForm},
		{"relative path", "GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", targetForm},
		{"query alone", "GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", targetForm},
		{"another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", targetForm},
		{"scheme without authority", "GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n", targetForm},
		{"absolute without host", "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", badHost},
		{"absolute with userinfo", "GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", badHost},
		{"absolute with a bad port", "GET http://a:b/ HTTP/1.1\r\nHost: a\r\n\r\n", badHost},
		{"absolute with a bad escape", "GET http://a/%g0 HTTP/1.1\r\nHost: a\r\n\r\n", badEscape},
		{"absolute without Host field", "GET http://a/ HTTP/1.1\r\n\r\n", hostMissing},
		{"absolute with a bad Host field", "GET http://a/ HTTP/1.1\r\nHost: b/c\r\n\r\n", badHost},

		// Host.
		{"no Host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", hostMissing},
		{"no field at all", "GET / HTTP/1.1\r\n\r\n", hostMissing},
		{"no Host in HTTP/1.2", "GET / HTTP/1.2\r\n\r\n", hostMissing},
		{"Host twice", get(hostLine), hostRepeated},
		{"Host twice in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n", hostRepeated},

		// Lengths.
		{"Content-Length twice", get("Content-Length: 5\r\nContent-Length: 6\r\n"), lengthRepeated},
		{"Content-Length twice the same", get("Content-Length: 5\r\ncontent-length: 5\r\n"), lengthRepeated},
		{"Content-Length listed", get("Content-Length: 5, 5\r\n"), badLength},
		{"Content-Length with +", get("Content-Length: +5\r\n"), badLength},
		{"Content-Length with -", get("Content-Length: -5\r\n"), badLength},
		{"Content-Length empty", get("Content-Length:\r\n"), badLength},
		{"Content-Length blank", get("Content-Length:  \r\n"), badLength},
		{"Content-Length hexadecimal", get("Content-Length: 0x5\r\n"), badLength},
		{"Content-Length with a space", get("Content-Length: 1 2\r\n"), badLength},
		{"Content-Length a fraction", get("Content-Length: 5.0\r\n"), badLength},
		{"Content-Length over int64", get("Content-Length: 9223372036854775808\r\n"), lengthOverflow},
		{"Content-Length over uint64", get("Content-Length: 18446744073709551621\r\n"), lengthOverflow},
		{"both lengths", get("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), bothLengths},
		{"both lengths, other order", get("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), bothLengths},

		// Transfer codings.
		{"unknown coding", get("Transfer-Encoding: xchunked\r\n"), unknownCoding},
		{"gzip alone", get("Transfer-Encoding: gzip\r\n"), unknownCoding},
		{"gzip, chunked", get("Transfer-Encoding: gzip, chunked\r\n"), unknownCoding},
		{"identity", get("Transfer-Encoding: identity\r\n"), unknownCoding},
		{"chunked, gzip", get("Transfer-Encoding: chunked, gzip\r\n"), badCoding},
		{"chunked twice", get("Transfer-Encoding: chunked, chunked\r\n"), badCoding},
		{"chunked with a parameter", get("Transfer-Encoding: chunked;a=b\r\n"), badCoding},
		{"quoted chunked", get("Transfer-Encoding: \"chunked\"\r\n"), badCoding},
		{"empty coding", get("Transfer-Encoding:\r\n"), badCoding},
		{"empty element after", get("Transfer-Encoding: chunked,\r\n"), badCoding},
		{"empty element before", get("Transfer-Encoding: ,chunked\r\n"), badCoding},
		{"vertical tab before chunked", get("Transfer-Encoding: \x0bchunked\r\n"), control},
		{"Transfer-Encoding twice", get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), codingRepeated},
		{"Transfer-Encoding in HTTP/1.0", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", codingIn10},
		{"both lengths in HTTP/1.0", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", bothLengths},

		// The rest.
		{"other expectation", get("Expect: 200-ok\r\n"), badExpect},
		{"expectation with more", get("Expect: 100-continue, x\r\n"), badExpect},
		{"Connection not of tokens", get("Connection: a b\r\n"), badConnection},
		{"Connection quoted", get("Connection: \"close\"\r\n"), badConnection},
		{"two upgrades", get("Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n"), upgradeRepeated},
	} {
		t.Run(tc.name, func(t *testing.T) { wantRequestError(t, tc.data, tc.want, nil) })
	}
}

func TestErrorStatus(t *testing.T) {
	for want, data := range map[int]string{
		400: get("X : y\r\n"),
		414: "GET /" + strings.Repeat("a", 40<<10) + " HTTP/1.1\r\n\r\n",
		417: get("Expect: x\r\n"),
		431: get(strings.Repeat("X: y\r\n", 200)),
		501: "CONNECT a:1 HTTP/1.1\r\n\r\n",
		505: "GET / HTTP/2.0\r\n\r\n",
	} {
		var e *Error
		if m := readRequest(data, 0, nil); !errors.As(m.err, &e) || e.Status != want || e.Reason == "" {
			t.Errorf("got %v, want status %d", m.err, want)
		}
	}
}

// TestEveryControl puts each byte that may not stand in a head at each kind of
// place in it.
func TestEveryControl(t *testing.T) {
	places := []string{"G%T / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /% HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1%1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1%\r\nHost: a\r\n\r\n", get("%: a\r\n"), get("X%: a\r\n"), get("X:%\r\n"), get("X: a%b\r\n"), get("X: 12345678%90123456\r\n")}
	for c := range 256 {
		if c >= 0x20 && c != 0x7F || c == '\t' {
			continue
		}
		for _, place := range places {
			data := strings.Replace(place, "%", string(byte(c)), 1)
			if m := readRequest(data, 0, nil); m.err == nil {
				t.Errorf("%q is accepted", data)
			}
		}
	}
}

func TestHosts(t *testing.T) {
	for _, host := range []string{"a", "a.example", "A.Example:80", "a.example:", "a_b", "127.0.0.1:8080", "[::1]", "[2001:db8::1]:443",
		"[::ffff:1.2.3.4]", "a:65535", "xn--bcher-kva.example", "a-b~c!$&'()*+;=", "a:00080"[:6]} {
		if m := readRequest("GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n", 0, nil); m.err != nil || m.request.Host != host {
			t.Errorf("Host %q: got %q, %v", host, m.request.Host, m.err)
		}
	}
	for _, host := range []string{"", ":80", "a b", "a/b", "a?b", "a#b", "u@a", "a,b", "a:b", "a:1:2", "a:65536", "a:-1", "a:+80", "::1", "[::1",
		"[]", "[::1]x", "[::1]80", "[1.2.3.4]", "[a.example]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[v1.a]", "[:::]", "a%41", "a\\b", "a\"b", "a<b",
		"b\xc3\xbccher", "a|b", "[[::1]]", "a]", "a:8\t0", "a:000080"} {
		wantRequestError(t, "GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n", badHost, nil)
	}
}

func TestRequestAccepted(t *testing.T) {
	field := func(name, value string) head.Field {
		return head.Field{ID: head.Identify(name), Name: name, Value: value}
	}
	for _, tc := range []struct {
		name string
		data string
		want head.Request
	}{
		{"plain", "GET /a/b?c=d?e HTTP/1.1\r\nHost: x\r\n\r\n", head.Request{Method: "GET", Target: "/a/b?c=d?e", Path: "/a/b", Query: "c=d?e",
			Host: "x", Proto: head.HTTP11, Fields: []head.Field{field("Host", "x")}}},
		{"after an empty line", "\r\nGET /? HTTP/1.1\r\nHost: x\r\n\r\n", head.Request{Method: "GET", Target: "/?", Path: "/",
			Host: "x", Proto: head.HTTP11, Fields: []head.Field{field("Host", "x")}}},
		{"white space around values", "P!T // HTTP/1.1\r\nHost:x\r\nA:\t a\tb c \t\r\nB:\r\nC: \xe9\r\n\r\n", head.Request{Method: "P!T", Target: "//", Path: "//",
			Host: "x", Proto: head.HTTP11, Fields: []head.Field{field("Host", "x"), field("A", "a\tb c"), field("B", ""), field("C", "\xe9")}}},
		{"browser's target", "GET /a|b%2F?q=\"{[^`]}%\\ HTTP/1.1\r\nHost: x\r\n\r\n", head.Request{Method: "GET", Target: "/a|b%2F?q=\"{[^`]}%\\",
			Path: "/a|b%2F", Query: "q=\"{[^`]}%\\", Host: "x", Proto: head.HTTP11, Fields: []head.Field{field("Host", "x")}}},
		{"absolute form", "GET HTTP://b:81/c?d HTTP/1.1\r\nHost: x\r\n\r\n", head.Request{Method: "GET", Target: "/c?d", Path: "/c", Query: "d",
			Host: "b:81", Proto: head.HTTP11, Fields: []head.Field{field("Host", "x")}}},
		{"absolute form without path", "GET https://b HTTP/1.1\r\nHost: x\r\n\r\n", head.Request{Method: "GET", Target: "/", Path: "/",
			Host: "b", Proto: head.HTTP11, Fields: []head.Field{field("Host", "x")}}},
		{"absolute form with query alone", "GET http://b?c/d HTTP/1.1\r\nHost: x\r\n\r\n", head.Request{Method: "GET", Target: "/?c/d", Path: "/", Query: "c/d",
			Host: "b", Proto: head.HTTP11, Fields: []head.Field{field("Host", "x")}}},
		{"absolute OPTIONS without path", "OPTIONS http://b HTTP/1.1\r\nHost: x\r\n\r\n", head.Request{Method: "OPTIONS", Target: "*", Path: "*",
			Host: "b", Proto: head.HTTP11, Fields: []head.Field{field("Host", "x")}}},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", head.Request{Method: "OPTIONS", Target: "*", Path: "*",
			Host: "x", Proto: head.HTTP11, Fields: []head.Field{field("Host", "x")}}},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", head.Request{Method: "GET", Target: "/", Path: "/", Proto: head.HTTP10, Close: true}},
		{"HTTP/1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: x , Keep-Alive\r\n\r\n", head.Request{Method: "GET", Target: "/", Path: "/",
			Proto: head.HTTP10, Fields: []head.Field{field("Connection", "x , Keep-Alive")}}},
		{"HTTP/1.0 absolute", "GET http://b/ HTTP/1.0\r\n\r\n", head.Request{Method: "GET", Target: "/", Path: "/", Host: "b", Proto: head.HTTP10, Close: true}},
		{"HTTP/1.9", "GET / HTTP/1.9\r\nHost: x\r\n\r\n", head.Request{Method: "GET", Target: "/", Path: "/",
			Host: "x", Proto: head.HTTP11, Fields: []head.Field{field("Host", "x")}}},
		{"close wins", "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive,, CLOSE\r\n\r\n", head.Request{Method: "GET", Target: "/", Path: "/",
			Host: "x", Proto: head.HTTP11, Close: true, Fields: []head.Field{field("Host", "x"), field("Connection", "keep-alive,, CLOSE")}}},
		{"chunked", "PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", head.Request{Method: "PUT", Target: "/", Path: "/",
			Host: "x", Proto: head.HTTP11, Length: head.Chunked, Fields: []head.Field{field("Host", "x"), field("Transfer-Encoding", "Chunked")}}},
		{"expects", "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 02\r\n\r\nab", head.Request{Method: "PUT", Target: "/", Path: "/",
			Host: "x", Proto: head.HTTP11, Length: 2, ExpectContinue: true,
			Fields: []head.Field{field("Host", "x"), field("Expect", "100-Continue"), field("Content-Length", "02")}}},
		{"expects without a body", "PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", head.Request{Method: "PUT", Target: "/", Path: "/",
			Host: "x", Proto: head.HTTP11, Fields: []head.Field{field("Host", "x"), field("Expect", "100-continue")}}},
		{"expects in HTTP/1.0", "PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx", head.Request{Method: "PUT", Target: "/", Path: "/",
			Proto: head.HTTP10, Length: 1, Close: true, Fields: []head.Field{field("Expect", "100-continue"), field("Content-Length", "1")}}},
		{"upgrade", "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n", head.Request{Method: "GET", Target: "/", Path: "/",
			Host: "x", Proto: head.HTTP11, Upgrade: "websocket",
			Fields: []head.Field{field("Host", "x"), field("Upgrade", "websocket"), field("Connection", "keep-alive, Upgrade")}}},
		{"upgrade not named", "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: a\r\nUpgrade: b\r\n\r\n", head.Request{Method: "GET", Target: "/", Path: "/",
			Host: "x", Proto: head.HTTP11, Fields: []head.Field{field("Host", "x"), field("Upgrade", "a"), field("Upgrade", "b")}}},
		{"upgrade in HTTP/1.0", "GET / HTTP/1.0\r\nUpgrade: a\r\nConnection: upgrade\r\n\r\n", head.Request{Method: "GET", Target: "/", Path: "/",
			Proto: head.HTTP10, Close: true, Fields: []head.Field{field("Upgrade", "a"), field("Connection", "upgrade")}}},
	} {
		for _, step := range []int{0, 1, 3} {
			m := readRequest(tc.data, step, nil)
			if m.err != nil || m.bodyErr != nil || !reflect.DeepEqual(m.request, tc.want) {
				t.Errorf("%s, step %d:\n got %+v, %v, %v\nwant %+v", tc.name, step, m.request, m.err, m.bodyErr, tc.want)
			}
			if m.rest != "" {
				t.Errorf("%s, step %d: left %q unread", tc.name, step, m.rest)
			}
		}
	}
}

func TestRequestLimits(t *testing.T) {
	fill := func(n int, byField string) string { return byField + strings.Repeat("a", n-len(byField)) }
	lim := &Limits{HeadBytes: 200, Fields: 3, URIBytes: 50}
	line := "GET " + fill(50, "/") + " HTTP/1.1\r\n" // 65 bytes
	for _, tc := range []struct {
		name string
		data string
		want *rule // nil: accepted
	}{
		{"longest target", line + hostLine + "\r\n", nil},
		{"target one too long", "GET " + fill(51, "/") + " HTTP/1.1\r\n" + hostLine + "\r\n", targetTooLong},
		{"target that never ends", "GET " + fill(500, "/"), targetTooLong},
		{"method that never ends", fill(500, "G"), targetTooLong},
		{"most fields", line + hostLine + "A: b\r\nA: b\r\n\r\n", nil},
		{"a field too many", line + hostLine + "A: b\r\nA: b\r\nA: b\r\n\r\n", tooManyField},
		{"longest head", line + "Host: a\r\n" + fill(200-65-9-4, "A: ") + "\r\n\r\n", nil},
		{"head one too long", line + "Host: a\r\n" + fill(201-65-9-4, "A: ") + "\r\n\r\n", headTooLong},
		{"field that never ends", line + fill(500, "A: "), headTooLong},
		{"broken before too long", line + " " + fill(500, "A: "), foldedLine},
		{"broken after too long", line + fill(500, "A: ") + "\x00", headTooLong},
	} {
		if tc.want != nil {
			wantRequestError(t, tc.data, tc.want, lim)
			continue
		}
		for _, step := range []int{0, 1} {
			if m := readRequest(tc.data, step, lim); m.err != nil {
				t.Errorf("%s, step %d: %v", tc.name, step, m.err)
			}
		}
	}
}

func TestDefaultLimits(t *testing.T) {
	head64 := func(n int) string {
		s := "GET / HTTP/1.1\r\n" + hostLine + "X: "
		return s + strings.Repeat("x", n-len(s)-4) + "\r\n\r\n"
	}
	for _, step := range []int{0, 4096, 1000} {
		if m := readRequest(head64(64<<10), step, nil); m.err != nil {
			t.Errorf("head of 64 KiB, step %d: %v", step, m.err)
		}
		if m := readRequest(head64(64<<10+1), step, &Limits{HeadBytes: 1 << 30}); !errors.Is(m.err, &headTooLong.request) {
			t.Errorf("head of 64 KiB and a byte, step %d: %v", step, m.err)
		}
	}
	if m := readRequest(get(strings.Repeat("X: y\r\n", 127)), 0, nil); m.err != nil {
		t.Errorf("128 fields: %v", m.err)
	}
	wantRequestError(t, get(strings.Repeat("X: y\r\n", 128)), tooManyField, nil)
	wantRequestError(t, "GET "+strings.Repeat("/", 32<<10+1)+" HTTP/1.1\r\nHost: a\r\n\r\n", targetTooLong, nil)
}

func TestRequestStreamEnds(t *testing.T) {
	whole := "\r\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
	bodyAt := len(whole) - 3
	for n := 0; n <= len(whole); n++ {
		for _, step := range []int{0, 1} {
			m := readRequest(whole[:n], step, nil)
			switch {
			case n == 0 || n == 2:
				if m.err != io.EOF {
					t.Errorf("after %d bytes: %v, want io.EOF", n, m.err)
				}
			case n < bodyAt:
				if m.err != io.ErrUnexpectedEOF {
					t.Errorf("after %d bytes: %v, want io.ErrUnexpectedEOF", n, m.err)
				}
			case n < len(whole) && (m.err != nil || m.bodyErr != io.ErrUnexpectedEOF):
				t.Errorf("after %d bytes: %v, %v, want io.ErrUnexpectedEOF of the body", n, m.err, m.bodyErr)
			case n == len(whole) && (m.err != nil || m.bodyErr != nil || m.body != "abc"):
				t.Errorf("whole: %+v", m)
			}
		}
	}
}

func TestFillError(t *testing.T) {
	for _, data := range []string{"", "\r", "\r\n", "GET / HT", get("")[:20]} {
		var b buffer.Buffer
		var req head.Request
		err := ReadRequest(&b, &feeder{data: data, err: os.ErrDeadlineExceeded}, &req, nil, nil)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after %q: %v", data, err)
		}
		b.Free()
	}
}

func TestStarted(t *testing.T) {
	for _, tc := range []struct {
		step, want int
	}{{0, 0}, {1, 1}, {20, 1}} {
		var b buffer.Buffer
		var req head.Request
		calls := 0
		if err := ReadRequest(&b, &feeder{data: get("X: y\r\n"), step: tc.step}, &req, nil, func() { calls++ }); err != nil {
			t.Fatal(err)
		}
		if calls != tc.want {
			t.Errorf("step %d: started called %d times, want %d", tc.step, calls, tc.want)
		}
		b.Drop()
		b.Free()
	}
}

// TestPipelined reads requests that arrived together, whose heads stay intact
// until each is dropped.
func TestPipelined(t *testing.T) {
	data := "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: b\r\nContent-Length: 5\r\n\r\nhelloGET /3 HTTP/1.1\r\nHost: c\r\n\r\n"
	for _, step := range []int{0, 1, 7} {
		var b buffer.Buffer
		var req head.Request
		f := &feeder{data: data, step: step}
		for _, want := range []struct{ path, host, body string }{{"/1", "a", ""}, {"/2", "b", "hello"}, {"/3", "c", ""}} {
			if err := ReadRequest(&b, f, &req, nil, nil); err != nil {
				t.Fatal(err)
			}
			var d Body
			d.Init(&b, f, req.Length)
			body := ""
			for {
				p, err := d.Next()
				if err != nil {
					break
				}
				body += string(p)
			}
			if req.Path != want.path || req.Host != want.host || body != want.body || !d.Done() {
				t.Errorf("step %d: got %q %q %q, want %+v", step, req.Path, req.Host, body, want)
			}
			b.Drop()
		}
		if err := ReadRequest(&b, f, &req, nil, nil); err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
		b.Free()
	}
}

// TestHeadOutlivesBody checks that a head stays what it was while a body far
// larger than the buffer goes past.
func TestHeadOutlivesBody(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 20<<10)
	data := "POST /path HTTP/1.1\r\nHost: a.example\r\nContent-Length: 327680\r\n\r\n" + body
	var b buffer.Buffer
	defer func() { b.Drop(); b.Free() }()
	var req head.Request
	f := &feeder{data: data, step: 5000}
	if err := ReadRequest(&b, f, &req, nil, nil); err != nil {
		t.Fatal(err)
	}
	var d Body
	d.Init(&b, f, req.Length)
	var got strings.Builder
	for {
		p, err := d.Next()
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		got.Write(p)
		if got.Len() > 100<<10 {
			b.Grow()
		}
	}
	if got.String() != body || req.Path != "/path" || req.Host != "a.example" || req.Fields[1].Value != "327680" {
		t.Errorf("head or body changed: %+v, %d bytes", req, got.Len())
	}
}
