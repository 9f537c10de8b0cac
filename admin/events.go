package admin

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sluice/admin/api"
)

// writeTimeout is how long a reader may take to accept what is written to it.
const writeTimeout = 10 * time.Second

// events streams what happens as server-sent events (WHATWG HTML, section 9.2):
// what comes from now on, or, after Last-Event-ID, what was missed. The query
// parameter service narrows it to one service.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	if p := checkEventsQuery(r); p != nil {
		writeProblem(w, p)
		return
	}
	if !s.hub.join() {
		w.Header().Set("Retry-After", "10")
		writeProblem(w, &api.Problem{Status: http.StatusServiceUnavailable,
			Detail: fmt.Sprintf("%d event streams are open already, or the server is stopping", maxStreams), Remedy: "try again later"})
		return
	}
	defer s.hub.leave()
	out := &stream{w: w, rc: http.NewResponseController(w), service: r.URL.Query().Get("service")}
	// A stream outlives the timeouts of the server. Where the writer has no
	// deadlines, as in a recorder, there are none to lift.
	_ = out.rc.SetReadDeadline(time.Time{})
	cursor, known := s.hub.after(r.Header.Get("Last-Event-ID"))
	w.Header().Set("Content-Type", "text/event-stream")
	out.comment("sluice events")
	if !known {
		out.message("", api.KindLost, lost(0))
	}
	s.follow(r.Context(), out, cursor)
}

// checkEventsQuery refuses parameters that the stream doesn't know.
func checkEventsQuery(r *http.Request) *api.Problem {
	for name := range r.URL.Query() {
		if name != "service" {
			return invalid(name, fmt.Sprintf("unknown query parameter %q", name), "the stream takes service")
		}
	}
	return nil
}

// follow writes messages from a cursor on until the reader leaves or the hub is
// closed.
func (s *Server) follow(ctx context.Context, out *stream, cursor uint64) {
	heartbeat := time.NewTicker(s.opts.Heartbeat)
	defer heartbeat.Stop()
	for {
		b := s.hub.read(cursor)
		if b.lost > 0 {
			out.message("", api.KindLost, lost(b.lost))
		}
		for i, m := range b.messages {
			if out.wants(m) {
				out.message(s.hub.id(b.first+uint64(i)), m.kind, m.data)
			}
		}
		cursor = b.first + uint64(len(b.messages))
		if err := out.flush(); err != nil || b.closed {
			return
		}
		if len(b.messages) == maxBatch {
			continue
		}
		select {
		case <-b.wake:
		case <-heartbeat.C:
			out.comment("heartbeat")
		case <-ctx.Done():
			return
		}
	}
}

// stream writes to one reader.
type stream struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	service string // "": all
	buf     bytes.Buffer
}

// wants reports whether the reader asked for a message.
func (o *stream) wants(m message) bool {
	return o.service == "" || m.service == "" || m.service == o.service
}

// message adds a message. Data, as JSON, has no line breaks.
func (o *stream) message(id, kind string, data []byte) {
	if id != "" {
		o.buf.WriteString("id: " + id + "\n")
	}
	o.buf.WriteString("event: " + kind + "\ndata: ")
	o.buf.Write(data)
	o.buf.WriteString("\n\n")
}

// comment adds a line that readers skip.
func (o *stream) comment(text string) { o.buf.WriteString(": " + strings.TrimSpace(text) + "\n\n") }

// flush sends what was added.
func (o *stream) flush() error {
	if o.buf.Len() == 0 {
		return nil
	}
	_ = o.rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := o.w.Write(o.buf.Bytes()); err != nil {
		return err
	}
	o.buf.Reset()
	return o.rc.Flush()
}
