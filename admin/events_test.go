package admin

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/admin/api"
	"sluice/state"
)

// patience bounds how long a test waits for what must come.
const patience = 10 * time.Second

// listen serves over a real socket, with the server's own timeouts as given.
func listen(t *testing.T, s *Server, change func(*http.Server)) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = s.HTTP()
	if change != nil {
		change(srv.Config)
	}
	srv.Start()
	t.Cleanup(srv.Close)
	t.Cleanup(s.Close)
	return srv.URL
}

// open opens the event stream and returns its lines.
func open(t *testing.T, url string, fields ...string) *bufio.Scanner {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	r, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	for _, field := range fields {
		name, value, _ := strings.Cut(field, ": ")
		r.Header.Set(name, value)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	res, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	if ct := res.Header.Get("Content-Type"); res.StatusCode != 200 || ct != "text/event-stream" {
		t.Fatalf("%s, %s", res.Status, ct)
	}
	return bufio.NewScanner(res.Body)
}

// until reads lines to the first that begins with prefix and returns it.
func until(t *testing.T, lines *bufio.Scanner, prefix string) string {
	t.Helper()
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), prefix) {
			return lines.Text()
		}
	}
	t.Fatalf("the stream ended before %q: %v", prefix, lines.Err())
	return ""
}

func TestEventsStream(t *testing.T) {
	s := newServer(t, Options{})
	url := listen(t, s, nil)
	lines := open(t, url+"/v1/events")
	until(t, lines, ": sluice")
	ask(s, "PUT", "/v1/services/web/weights", `{"weights":{"v1":9,"v2":1},"reason":"try"}`)
	first := until(t, lines, "id: ")
	if kind := until(t, lines, "event: "); kind != "event: state" {
		t.Error(kind)
	}
	if data := until(t, lines, "data: "); !strings.Contains(data, `"why":"try"`) || !strings.Contains(data, `"kind":"set_weights"`) {
		t.Error(data)
	}
	s.PublishHealth(api.HealthEvent{At: noon, Service: "web", Version: "v2", Endpoint: "127.0.0.1:9002", Kind: "down"})
	until(t, lines, "event: health")
	s.PublishConfig(api.ConfigEvent{At: noon, Error: "line 3"})
	until(t, lines, "event: config")

	// One who comes back gets what it missed.
	back := open(t, url+"/v1/events", "Last-Event-ID: "+strings.TrimPrefix(first, "id: "))
	until(t, back, "event: health")
	until(t, back, "event: config")
	// One who knows another process is told that it can't be told.
	foreign := open(t, url+"/v1/events", "Last-Event-ID: "+"XYZ-1")
	until(t, foreign, "event: lost")
	if data := until(t, foreign, "data: "); data != `data: {"count":0}` {
		t.Error(data)
	}
}

func TestEventsOfOneService(t *testing.T) {
	s := newServer(t, Options{})
	lines := open(t, listen(t, s, nil)+"/v1/events?service=api")
	until(t, lines, ": sluice")
	s.PublishHealth(api.HealthEvent{Service: "web"})
	s.PublishConfig(api.ConfigEvent{})
	s.PublishHealth(api.HealthEvent{Service: "api"})
	if kind := until(t, lines, "event: "); kind != "event: config" {
		t.Error(kind)
	}
	if kind := until(t, lines, "event: "); kind != "event: health" {
		t.Error(kind)
	}
	if data := until(t, lines, "data: "); !strings.Contains(data, `"service":"api"`) {
		t.Error(data)
	}
}

func TestAnIdleStreamOutlivesTheTimeouts(t *testing.T) {
	s := newServer(t, Options{Heartbeat: 20 * time.Millisecond})
	lines := open(t, listen(t, s, func(srv *http.Server) {
		srv.ReadTimeout, srv.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	})+"/v1/events")
	for range 10 { // 200 ms, four times the timeouts
		until(t, lines, ": heartbeat")
	}
}

func TestStreamsEndWithTheServer(t *testing.T) {
	s := newServer(t, Options{})
	srv := s.HTTP()
	l := httptest.NewUnstartedServer(nil)
	l.Config = srv
	l.Start()
	defer l.Close()
	lines := open(t, l.URL+"/v1/events")
	until(t, lines, ": sluice")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		t.Fatalf("the stop waited for a stream: %v", err)
	}
	for lines.Scan() {
	}
	wantProblem(t, ask(s, "GET", "/v1/events", ""), 503)
	s.PublishConfig(api.ConfigEvent{}) // after the end: nothing
	s.Close()
}

func TestStreamsAreBounded(t *testing.T) {
	s := newServer(t, Options{})
	for range maxStreams {
		if !s.hub.join() {
			t.Fatal("a stream is refused")
		}
	}
	a := ask(s, "GET", "/v1/events", "")
	wantProblem(t, a, 503, "256 event streams")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.hub.leave()
	if !s.hub.join() {
		t.Error("a place that became free is not given")
	}
}

func TestHub(t *testing.T) {
	h := newHub()
	cursor, known := h.after("")
	if cursor != 1 || !known {
		t.Fatalf("cursor %d", cursor)
	}
	waiting := h.read(cursor)
	if len(waiting.messages) != 0 || waiting.closed {
		t.Fatalf("%+v", waiting)
	}
	h.publish("state", "web", state.Event{Revision: 1})
	select {
	case <-waiting.wake:
	default:
		t.Error("a message wakes nobody")
	}
	for i := range 3*backlog - 1 {
		h.publish("state", "web", state.Event{Revision: uint64(i + 2)})
	}
	b := h.read(cursor)
	if b.lost != 2*backlog || b.first != 2*backlog+1 || len(b.messages) != maxBatch {
		t.Fatalf("lost %d, first %d, %d messages", b.lost, b.first, len(b.messages))
	}
	// The ring holds the newest, in order.
	next := b.first
	for {
		b = h.read(next)
		if len(b.messages) == 0 {
			break
		}
		for i, m := range b.messages {
			if text := fmt.Sprintf(`"revision":%d,`, next+uint64(i)); !strings.Contains(string(m.data), text) {
				t.Fatalf("message %d is %s", next+uint64(i), m.data)
			}
		}
		next += uint64(len(b.messages))
	}
	if next != 3*backlog+1 || b.lost != 0 {
		t.Errorf("ended at %d, lost %d", next, b.lost)
	}
	for id, wantKnown := range map[string]bool{
		h.id(3 * backlog): true, h.id(1): true, h.id(3*backlog + 1): false, "": true, "x": false, "x-1": false, h.instance: false,
		h.instance + "--1": false, h.instance + "-18446744073709551615": false,
	} {
		if cursor, known := h.after(id); known != wantKnown || cursor > h.next {
			t.Errorf("%q: %d %v", id, cursor, known)
		}
	}
	h.close()
	if b := h.read(next); !b.closed {
		t.Error("not closed")
	}
}

// A reader that does not read is told what it lost, and holds up nobody.
func TestASlowReaderIsTold(t *testing.T) {
	s := newServer(t, Options{})
	out := &stalled{ResponseRecorder: httptest.NewRecorder(), stall: make(chan struct{}), writing: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r := httptest.NewRequestWithContext(ctx, "GET", "/v1/events", nil)
		r.Host = "localhost"
		s.ServeHTTP(out, r)
	}()
	<-out.writing // it hangs in its first write
	for range backlog + 10 {
		s.PublishHealth(api.HealthEvent{Service: "web"})
	}
	out.lost = make(chan struct{})
	close(out.stall)
	select {
	case <-out.lost:
	case <-time.After(patience):
		t.Error("the reader is not told")
	}
	cancel()
	<-done
}

// stalled is an answer whose writes wait; it closes lost when it reads of a loss.
type stalled struct {
	*httptest.ResponseRecorder
	stall, lost, writing chan struct{}
	told                 bool
}

func (w *stalled) Write(b []byte) (int, error) {
	select {
	case w.writing <- struct{}{}:
	default:
	}
	<-w.stall
	if !w.told && strings.Contains(string(b), "event: lost\ndata: {\"count\":10}") {
		w.told = true
		close(w.lost)
	}
	return len(b), nil
}
