package proxy

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestAnswersComeInTheOrderOfTheRequests(t *testing.T) {
	b := newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		body := m.target + " " + m.body
		_, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		return err == nil
	}
	r := newRig(t, map[string]string{"v1": b.addr})
	answer := r.exchangeRaw(get("/1") + post("two", "Content-Length: 3") + get("/3") + post("4\r\nfour\r\n0\r\n\r\n", "Transfer-Encoding: chunked") +
		"HEAD /5 HTTP/1.1\r\nHost: a\r\n\r\n" + get("/6", closing) + get("/after"))
	at := 0
	for _, want := range []string{"/1 ", "/first two", "/3 ", "/first four", "Content-Length: 3\r\n", "/6 "} {
		i := strings.Index(answer[at:], want)
		if i < 0 {
			t.Fatalf("no %q behind what came before in %q", want, answer)
		}
		at += i + len(want)
	}
	if seen, _ := b.take(); len(seen) != 6 {
		t.Errorf("the backend saw %v", shorts(seen))
	}
}

// TestResponsesWithoutABody are followed at once by the next response.
func TestResponsesWithoutABody(t *testing.T) {
	for _, test := range []struct {
		method, response string
		has, hasNot      string
	}{
		{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", "Content-Length: 1000\r\n", "Transfer-Encoding"},
		{"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200", "Content-Length"},
		{"HEAD", "HTTP/1.1 200 OK\r\n\r\n", "200", "Content-Length"},
		{"HEAD", "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n", "Content-Length: 5\r\n", "Transfer-Encoding"},
		{"GET", "HTTP/1.1 204 No Content\r\n\r\n", "204", "Content-Length"},
		{"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\nETag: \"x\"\r\n\r\n", "Content-Length: 1000\r\n", "Transfer-Encoding"},
		{"GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n", "ETag: \"x\"\r\n", "Content-Length"},
		{"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "Content-Length: 0\r\n", "Transfer-Encoding"},
		{"POST", "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", "Content-Length: 0\r\n", "Transfer-Encoding"},
		{"GET", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", "205", "Transfer-Encoding"},
	} {
		b := newRecorder(t, nil)
		b.answer = func(c net.Conn, m *message) bool {
			if m.target == "/next" {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
			} else {
				io.WriteString(c, test.response)
			}
			return true
		}
		r := newRig(t, map[string]string{"v1": b.addr})
		answer := r.exchangeRaw(test.method + " / HTTP/1.1\r\nHost: a\r\n\r\n" + get("/next", closing))
		head, rest, _ := strings.Cut(answer, "\r\n\r\n")
		if !strings.Contains(head+"\r\n", test.has) || strings.Contains(head, test.hasNot) {
			t.Errorf("%s, %q: got %q", test.method, test.response, head)
		}
		if !strings.HasPrefix(rest, "HTTP/1.1 200") || !strings.HasSuffix(rest, "\r\n\r\nnext") {
			t.Errorf("%s, %q: followed by %q", test.method, test.response, rest)
		}
		if n := b.connections(); n != 1 {
			t.Errorf("%s, %q: %d connections to the endpoint", test.method, test.response, n)
		}
	}
}

func TestInterimResponses(t *testing.T) {
	interim := "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\nX: hop\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
	b := newRecorder(t, always(interim+"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
	r := newRig(t, map[string]string{"v1": b.addr})
	if answer := r.exchangeRaw(get("/", closing)); statuses(answer) != "103 102 200" {
		t.Errorf("HTTP/1.1 got %q", answer)
	} else if !strings.HasPrefix(answer, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n") {
		t.Errorf("the 103 has other fields: %q", answer)
	}
	if answer := r.exchangeRaw("GET / HTTP/1.0\r\nHost: a\r\n\r\n"); statuses(answer) != "200" {
		t.Errorf("HTTP/1.0 got %q", answer)
	}
	if answer := r.exchangeRaw(post("hello", "Content-Length: 5", closing)); statuses(answer) != "103 102 200" {
		t.Errorf("who did not expect a 100 got %q", answer)
	}
}

// TestExpectContinue: the client sends its body when it has the 100 of the
// backend, not before.
func TestExpectContinue(t *testing.T) {
	b := newRecorder(t, nil)
	b.answerHead = func(c net.Conn, m *message) bool {
		if strings.EqualFold(m.get("Expect"), "100-continue") {
			io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		return false
	}
	r := newRig(t, map[string]string{"v1": b.addr})
	c := r.dial()
	for range 2 {
		io.WriteString(c, post("", "Content-Length: 5", "Expect: 100-Continue"))
		expect(t, c, "HTTP/1.1 100 Continue\r\n\r\n")
		if seen, _ := b.take(); len(seen) > 0 {
			t.Fatalf("the backend saw %v before the body", shorts(seen))
		}
		io.WriteString(c, "hello")
		until(t, c, "\r\n\r\nok")
		if m := b.one(); m.body != "hello" {
			t.Errorf("body %q", m.body)
		}
	}
	// A body that comes along needs no 100.
	io.WriteString(c, post("hello", "Content-Length: 5", "Expect: 100-continue"))
	if answer := until(t, c, "\r\n\r\nok"); statuses(answer) != "200" {
		t.Errorf("got %q", answer)
	}
}

// TestExpectWithAnEarlyFinalAnswer: a client that is refused must not send its
// body, and the connection ends, since nobody knows whether it will.
func TestExpectWithAnEarlyFinalAnswer(t *testing.T) {
	b := newRecorder(t, nil)
	b.answerHead = func(c net.Conn, m *message) bool {
		io.WriteString(c, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
		return false
	}
	r := newRig(t, map[string]string{"v1": b.addr})
	answer := r.exchangeRaw(post("", "Content-Length: 5", "Expect: 100-continue"))
	if statuses(answer) != "401" || !strings.Contains(answer, "\r\nConnection: close\r\n") || !strings.HasSuffix(answer, "\r\n\r\nno") {
		t.Errorf("got %q", answer)
	}
	checkNoEjection(t, r)
}

func TestTrailersBothWays(t *testing.T) {
	b := newRecorder(t, always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nX-Other: 8\r\nSet-Cookie: a=b\r\nCache-Control: public\r\n\r\n"))
	r := newRig(t, map[string]string{"v1": b.addr})
	answer := r.exchangeRaw(post("5\r\nhello\r\n0\r\nX-Sum: 5\r\nAuthorization: Basic x\r\nX-Forwarded-For: 6.6.6.6\r\nSluice-Override: web=v9\r\nContent-Type: x\r\nCookie: x=y\r\nX-More: 6\r\n\r\n",
		"Transfer-Encoding: chunked", "Trailer: X-Sum", "TE: trailers, deflate", closing))
	m := b.one()
	if got := fmt.Sprint(m.trailers); got != "[[X-Sum 5] [X-More 6]]" {
		t.Errorf("the backend got the trailers %s", got)
	}
	checkFields(t, m, "Trailer", "X-Sum", "TE", "trailers", "Connection", "TE")
	if !strings.HasSuffix(answer, "2\r\nok\r\n0\r\nX-Sum: 7\r\nX-Other: 8\r\n\r\n") {
		t.Errorf("the client got %q", answer)
	}
}

func TestHalfCloseAfterTheRequest(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	for _, request := range []string{get("/a"), get("/a") + get("/b"), post("hello", "Content-Length: 5"), post("5\r\nhello\r\n0\r\n\r\n", "Transfer-Encoding: chunked")} {
		c := r.dial()
		io.WriteString(c, request)
		closeWrite(c)
		answer := until(t, c, "\r\n\r\nok")
		if rest := answer + readAll(t, c); len(statuses(rest)) < 3 || strings.HasSuffix(rest, "(reset)") {
			t.Errorf("%q: got %q", request, rest)
		}
	}
	seen, partial := b.take()
	if len(seen) != 5 || partial > 0 {
		t.Errorf("the backend saw %v, and %d broken off", shorts(seen), partial)
	}
}

// TestEarlyAnswerToALongBody: the answer gets through though the client sends
// on for a while.
func TestEarlyAnswerToALongBody(t *testing.T) {
	const size = 10 << 20
	for _, framing := range []string{fmt.Sprintf("Content-Length: %d", size), "Transfer-Encoding: chunked"} {
		for _, hangsUp := range []bool{true, false} {
			b := newRecorder(t, nil)
			b.answerHead = func(c net.Conn, m *message) bool {
				io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 8\r\n\r\ntoo long")
				if !hangsUp {
					io.Copy(io.Discard, c)
				}
				return true
			}
			r := newRig(t, map[string]string{"v1": b.addr})
			c := r.dial()
			written := make(chan struct{})
			go func() {
				defer close(written)
				io.WriteString(c, post("", framing))
				piece := []byte(fmt.Sprintf("%x\r\n%s\r\n", 64<<10, strings.Repeat("x", 64<<10)))
				for sent := 0; sent < size; sent += len(piece) {
					if _, err := c.Write(piece); err != nil {
						return
					}
				}
			}()
			answer := until(t, c, "too long")
			if statuses(answer) != "413" || !strings.Contains(answer, "\r\nConnection: close\r\n") {
				t.Errorf("%s: got %q", framing, answer)
			}
			c.Close()
			<-written
			checkNoEjection(t, r)
		}
	}
}

// TestBodyOverTheLimit is refused before it is sent on where its length is
// known, and as soon as it is where not.
func TestBodyOverTheLimit(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.BodyBytes = 10 })
	for _, test := range []struct {
		raw    string
		status string
	}{
		{post("0123456789", "Content-Length: 10", closing), "200"},
		{post("0123456789x", "Content-Length: 11", closing), "413"},
		{post("", "Content-Length: 9000000000"), "413"},
		{post("a\r\n0123456789\r\n0\r\n\r\n", "Transfer-Encoding: chunked", closing), "200"},
		{post("b\r\n0123456789x\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), "413"},
		{post("a\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n", "Transfer-Encoding: chunked"), "413"},
	} {
		answer := r.exchangeRaw(test.raw)
		if statuses(answer) != test.status {
			t.Errorf("%.80q: answered %q", test.raw, answer)
		}
		seen, _ := b.take()
		if whole := len(seen) == 1; whole != (test.status == "200") {
			t.Errorf("%.80q: the backend saw %v", test.raw, shorts(seen))
		}
	}
	checkNoEjection(t, r)
	// The two of a known length were refused before any decision: that is no
	// missing route.
	if p := r.stats.Process(); p.Refused[413] != 2 || len(p.NoRoute) != 0 {
		t.Errorf("counted %v refused and %v without a route", p.Refused, p.NoRoute)
	}
}

// TestClientsOf10 get no chunked body, no 1xx, and their connection ends unless
// they ask for it to stay.
func TestClientsOf10(t *testing.T) {
	b := newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		if m.target == "/length" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
		} else {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n")
		}
		return true
	}
	r := newRig(t, map[string]string{"v1": b.addr})
	for _, test := range []struct {
		path, line string
		stays      bool
		hasLength  bool
	}{
		{"/length", "", false, true},
		{"/length", "Connection: keep-alive\r\n", true, true},
		{"/length", "Connection: close, keep-alive\r\n", false, true},
		{"/chunked", "", false, false},
		{"/chunked", "Connection: keep-alive\r\n", false, false},
	} {
		c := r.dial()
		request := "GET " + test.path + " HTTP/1.0\r\nHost: a\r\n" + test.line + "\r\n"
		io.WriteString(c, request)
		answer := until(t, c, "\r\n\r\nhello")
		if test.stays {
			if !strings.Contains(answer, "\r\nConnection: keep-alive\r\n") {
				t.Errorf("%q: got %q", request, answer)
			}
			io.WriteString(c, "GET /length HTTP/1.0\r\n\r\n")
			answer = until(t, c, "\r\n\r\nhello")
		}
		if rest := readAll(t, c); rest != "" {
			t.Errorf("%q: %q follows", request, rest)
		}
		if got := strings.Contains(answer, "Content-Length: 5\r\n"); got != test.hasLength || strings.Contains(answer, "chunked") {
			t.Errorf("%q: got %q", request, answer)
		}
	}
}

// TestEventsArriveAsTheyCome: each event is at the client before the next is
// sent.
func TestEventsArriveAsTheyCome(t *testing.T) {
	for _, framing := range []string{"Transfer-Encoding: chunked\r\n", ""} {
		next := make(chan string)
		b := newRecorder(t, nil)
		b.answer = func(c net.Conn, m *message) bool {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"+framing+"\r\n")
			for event := range next {
				if framing != "" {
					fmt.Fprintf(c, "%x\r\n%s\r\n", len(event), event)
				} else {
					io.WriteString(c, event)
				}
			}
			return false
		}
		r := newRig(t, map[string]string{"v1": b.addr})
		c := r.dial()
		io.WriteString(c, get("/", closing))
		until(t, c, "\r\n\r\n")
		for i := range 20 {
			event := fmt.Sprintf("data: %d\n\n", i)
			next <- event
			expect(t, c, fmt.Sprintf("%x\r\n%s\r\n", len(event), event))
		}
		close(next)
		readAll(t, c)
	}
}

// TestAClientThatLeavesEndsItsRequest: nobody works for someone who
// has gone.
func TestAClientThatLeavesEndsItsRequest(t *testing.T) {
	ended := make(chan struct{})
	b := newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		defer close(ended)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			if _, err := io.WriteString(c, "5\r\nhello\r\n"); err != nil {
				return false
			}
		}
	}
	r := newRig(t, map[string]string{"v1": b.addr})
	c := r.dial()
	io.WriteString(c, get("/"))
	until(t, c, "hello")
	c.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the backend still sends")
	}
	eventually(t, "the abort is counted", func() bool { return r.stats.ServiceSnapshot("web")[0].Aborted == 1 })
	checkNoEjection(t, r)
}
