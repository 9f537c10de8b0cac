package h1

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"sluice/proxy/head"
)

func TestAppend(t *testing.T) {
	pre := []byte("|")
	for _, tc := range []struct {
		got  []byte
		want string
	}{
		{AppendRequestLine(pre, "GET", "/x?y"), "|GET /x?y HTTP/1.1\r\n"},
		{AppendStatusLine(pre, 200, ""), "|HTTP/1.1 200 OK\r\n"},
		{AppendStatusLine(pre, 200, "Fine"), "|HTTP/1.1 200 Fine\r\n"},
		{AppendStatusLine(pre, 299, ""), "|HTTP/1.1 299 \r\n"},
		{AppendField(pre, "A", "b"), "|A: b\r\n"},
		{AppendContentLength(pre, 12345678901), "|Content-Length: 12345678901\r\n"},
		{AppendChunkHead(pre, 255), "|ff\r\n"},
		{AppendChunkHead(pre, 0), "|"},
		{AppendChunkHead(pre, -1), "|"},
		{AppendLastChunk(pre, nil), "|0\r\n\r\n"},
		{AppendLastChunk(pre, []head.Field{{Name: "A", Value: "b"}}), "|0\r\nA: b\r\n\r\n"},
		{AppendSimpleResponse(pre, 503, "no\n", true), "|HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n"},
		{AppendSimpleResponse(pre, 404, "", false, head.Field{Name: "A", Value: "b"}), "|HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 0\r\nA: b\r\n\r\n"},
		{AppendSimpleResponse(pre, 204, "dropped", false), "|HTTP/1.1 204 No Content\r\n\r\n"},
		{AppendSimpleResponse(pre, 100, "", false), "|HTTP/1.1 100 Continue\r\n\r\n"},
		{AppendSimpleHead(pre, 502, 7, false), "|HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 7\r\n\r\n"},
	} {
		if string(tc.got) != tc.want {
			t.Errorf("got  %q\nwant %q", tc.got, tc.want)
		}
	}
}

// TestReasonPhrases compares with net/http, which keeps some older phrases.
func TestReasonPhrases(t *testing.T) {
	older := map[int]string{413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content", 418: ""}
	for status := -1; status < 700; status++ {
		want, ok := older[status]
		if !ok {
			want = http.StatusText(status)
		}
		if got := ReasonPhrase(status); got != want {
			t.Errorf("%d: got %q, want %q", status, got, want)
		}
	}
}

// TestWriteRead checks that what is written here is read here, and by
// net/http, as what it was.
func TestWriteRead(t *testing.T) {
	out := AppendRequestLine(nil, "POST", "/a?b")
	out = AppendField(out, "Host", "a.example")
	out = AppendField(out, "Transfer-Encoding", "chunked")
	out = append(out, CRLF...)
	for _, data := range []string{"hello ", "", "world"} {
		if data == "" {
			out = AppendChunkHead(out, 0)
			continue
		}
		out = append(append(AppendChunkHead(out, len(data)), data...), CRLF...)
	}
	out = AppendLastChunk(out, []head.Field{{Name: "X-Sum", Value: "1"}})
	m := readRequest(string(out), 1, nil)
	if m.err != nil || m.bodyErr != nil || m.body != "hello world" || len(m.trailers) != 1 || m.request.Target != "/a?b" {
		t.Errorf("got %+v", m)
	}
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(string(out))))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil || string(body) != "hello world" || req.Trailer.Get("X-Sum") != "1" {
		t.Errorf("net/http read %q, %v, %v", body, req.Trailer, err)
	}
}

func TestNextElement(t *testing.T) {
	rest := " ,a,, b\t,\tc d ,"
	for _, want := range []string{"a", "b", "c d", "", ""} {
		var got string
		if got, rest = NextElement(rest); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
