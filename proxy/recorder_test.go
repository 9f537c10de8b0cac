package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// recorder is a backend over raw TCP that keeps every byte that it gets, reads
// it as strictly as can be and answers by script.
type recorder struct {
	t    *testing.T
	ln   net.Listener
	addr string
	done sync.WaitGroup

	// answer writes the answer to a whole request and reports whether the
	// connection goes on. It is called by a goroutine per connection.
	answer func(c net.Conn, m *message) bool
	// answerHead, if set, is called as soon as a head is there, with the
	// message as far as it has come; handled ends the connection.
	answerHead func(c net.Conn, m *message) (handled bool)

	mu      sync.Mutex
	conns   map[net.Conn]bool
	opened  int
	raw     []byte
	seen    []message
	partial int   // requests whose connection ended before they did
	fault   error // the first thing that a strict reader stumbles over
}

// newRecorder starts a backend that answers by script; nil answers each with
// "ok".
func newRecorder(t *testing.T, answer func(c net.Conn, m *message) bool) *recorder {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveRecorder(t, ln, answer)
}

func serveRecorder(t *testing.T, ln net.Listener, answer func(c net.Conn, m *message) bool) *recorder {
	if answer == nil {
		answer = always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
	b := &recorder{t: t, ln: ln, addr: ln.Addr().String(), answer: answer, conns: map[net.Conn]bool{}}
	b.done.Go(b.accept)
	t.Cleanup(b.stop)
	return b
}

// always is a script that gives one answer to all.
func always(response string) func(net.Conn, *message) bool {
	return func(c net.Conn, m *message) bool {
		_, err := io.WriteString(c, response)
		return err == nil
	}
}

// last is a script that gives one answer and closes.
func last(response string) func(net.Conn, *message) bool {
	return func(c net.Conn, m *message) bool {
		io.WriteString(c, response)
		return false
	}
}

func (b *recorder) accept() {
	for {
		c, err := b.ln.Accept()
		if err != nil {
			return
		}
		b.mu.Lock()
		b.conns[c] = true
		b.opened++
		b.mu.Unlock()
		b.done.Go(func() { b.serve(c) })
	}
}

// serve reads and answers the requests of one connection.
func (b *recorder) serve(c net.Conn) {
	defer func() {
		c.Close()
		b.mu.Lock()
		delete(b.conns, c)
		b.mu.Unlock()
	}()
	var waiting []byte
	headSeen := false
	piece := make([]byte, 64<<10)
	for {
		n, err := c.Read(piece)
		waiting = append(waiting, piece[:n]...)
		b.mu.Lock()
		b.raw = append(b.raw, piece[:n]...)
		if err != nil && len(waiting) > 0 {
			b.partial++
		}
		b.mu.Unlock()
		if err != nil {
			return
		}
		for len(waiting) > 0 {
			m, used, err := readStrict(waiting)
			if !headSeen && m.method != "" && b.answerHead != nil {
				headSeen = true
				if b.answerHead(c, &m) {
					return
				}
			}
			if err == errIncomplete {
				break
			}
			b.note(m, err)
			if err != nil {
				return
			}
			waiting, headSeen = waiting[used:], false
			if !b.answer(c, &m) {
				return
			}
		}
	}
}

func (b *recorder) note(m message, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil && b.fault == nil {
		b.fault = err
	}
	b.seen = append(b.seen, m)
}

// take returns the requests since the last call, and how many were broken off.
func (b *recorder) take() (seen []message, partial int) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fault != nil {
		b.t.Errorf("a strict reader refuses what was forwarded: %v\n%q", b.fault, b.raw)
		b.fault = nil
	}
	seen, partial = b.seen, b.partial
	b.seen, b.raw, b.partial = nil, nil, 0
	return seen, partial
}

// one returns the only request since the last call.
func (b *recorder) one() message {
	b.t.Helper()
	seen, _ := b.take()
	if len(seen) != 1 {
		b.t.Fatalf("the backend saw %d requests, not one: %v", len(seen), shorts(seen))
	}
	return seen[0]
}

// connections returns how many connections were made.
func (b *recorder) connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened
}

// hangUp closes the connections that are open.
func (b *recorder) hangUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.Close()
	}
}

func (b *recorder) stop() {
	b.ln.Close()
	b.hangUp()
	b.done.Wait()
}

// shorts lists messages as the tables of the tests expect them.
func shorts(seen []message) []string {
	list := []string{}
	for i := range seen {
		list = append(list, seen[i].String())
	}
	return list
}

// closing is the line of a request after which the proxy is to close, so that
// a test sees the end of the answers.
const closing = "Connection: close"

// exchangeRaw sends bytes on a connection of their own and returns all that
// comes back until the proxy closes it. An end by reset is told by "(reset)"
// behind what came.
func (r *rig) exchangeRaw(request string) string {
	r.t.Helper()
	c := r.dial()
	defer c.Close()
	io.WriteString(c, request) // a refused request need not be taken to its end
	return readAll(r.t, c)
}

func readAll(t testing.TB, c net.Conn) string {
	t.Helper()
	answer, err := io.ReadAll(c)
	var timeout net.Error
	switch {
	case err == nil:
	case errors.As(err, &timeout) && timeout.Timeout():
		t.Fatalf("the connection stays open after %q", answer)
	default:
		return string(answer) + "(reset)"
	}
	return string(answer)
}

// statusLine is a status line where it can be told from the text of a body.
var statusLine = regexp.MustCompile(`HTTP/1\.1 ([0-9]{3}) [A-Z]`)

// statuses returns the status codes of the responses in raw bytes.
func statuses(raw string) string {
	var list []string
	for _, match := range statusLine.FindAllStringSubmatch(raw, -1) {
		list = append(list, match[1])
	}
	return strings.Join(list, " ")
}

// expect reads exactly what is expected next.
func expect(t *testing.T, c io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(c, got)
	if string(got[:n]) != want {
		t.Fatalf("got %q (%v), want %q", got[:n], err, want)
	}
}

// until reads up to and with an end, which is returned with what is before it.
func until(t *testing.T, c io.Reader, end string) string {
	t.Helper()
	var got []byte
	one := make([]byte, 1)
	for !strings.HasSuffix(string(got), end) {
		if _, err := io.ReadFull(c, one); err != nil {
			t.Fatalf("%v after %q, before %q", err, got, end)
		}
		got = append(got, one[0])
	}
	return string(got)
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("still not so: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// get is the request that the tests send when nothing about it matters.
func get(path string, lines ...string) string {
	return fmt.Sprintf("GET %s HTTP/1.1\r\nHost: a.example\r\n%s\r\n", path, joinLines(lines))
}

// post is a POST with its framing fields left to lines.
func post(body string, lines ...string) string {
	return fmt.Sprintf("POST /first HTTP/1.1\r\nHost: a.example\r\n%s\r\n%s", joinLines(lines), body)
}

func joinLines(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}

// closeWrite ends this side's direction of a connection.
func closeWrite(c net.Conn) { c.(interface{ CloseWrite() error }).CloseWrite() }
