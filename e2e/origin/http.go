package origin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// MaxMessage is the longest WebSocket message that an endpoint takes.
const MaxMessage = 32 << 20

// handler serves
//
//	/echo      the body that came, with what the endpoint saw of the request
//	/bytes     n bytes
//	/events    n events, one every so often
//	/wait      an answer after a time
//	/ws        each message again; "close CODE" ends it with that code
//
// and says by X-Version who answers.
func (o *Origin) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", echo)
	mux.HandleFunc("/bytes", sendBytes)
	mux.HandleFunc("/events", o.events)
	mux.HandleFunc("/wait", wait)
	mux.HandleFunc("/ws", o.chat)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Version", o.name)
		mux.ServeHTTP(w, r)
	})
}

// number reads a parameter of the query, or what holds without it.
func number(r *http.Request, name string, without int) int {
	if n, err := strconv.Atoi(r.URL.Query().Get(name)); err == nil && n >= 0 {
		return n
	}
	return without
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Seen-Method", r.Method)
	w.Header().Set("X-Seen-Via", r.Header.Get("Via"))
	w.Header().Set("X-Seen-Proto", r.Header.Get("X-Forwarded-Proto"))
	w.Header().Set("X-Seen-Host", r.Host)
	w.Header().Set("Content-Type", "application/octet-stream")
	if r.ContentLength >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	// HTTP/1.1 clients may read while they write, but Go's server asks for that.
	_ = http.NewResponseController(w).EnableFullDuplex()
	_, _ = io.Copy(w, r.Body)
}

func sendBytes(w http.ResponseWriter, r *http.Request) {
	n := number(r, "n", 0)
	w.Header().Set("Content-Length", strconv.Itoa(n))
	_, _ = io.CopyN(w, pattern{}, int64(n))
}

// pattern reads as a line of digits without an end.
type pattern struct{}

func (pattern) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '0' + byte(i%10)
	}
	return len(b), nil
}

// events sends server-sent events. They end before their time only with the
// client.
func (o *Origin) events(w http.ResponseWriter, r *http.Request) {
	every := time.Duration(number(r, "ms", 10)) * time.Millisecond
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	for i := range number(r, "n", 10) {
		if i > 0 && !pause(r.Context(), every) {
			return
		}
		fmt.Fprintf(w, "id: %d\ndata: %s\n\n", i, o.name)
		if flush.Flush() != nil {
			return
		}
	}
}

func wait(w http.ResponseWriter, r *http.Request) {
	if pause(r.Context(), time.Duration(number(r, "ms", 100))*time.Millisecond) {
		_, _ = io.WriteString(w, "done")
	}
}

// pause waits, and tells whether the request is still wanted.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// chat is one WebSocket.
func (o *Origin) chat(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, Subprotocols: []string{"echo"}, CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		return // it has been answered
	}
	defer c.CloseNow()
	c.SetReadLimit(MaxMessage)
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if code, asked := closing(message); asked {
			_ = c.Close(code, "as asked")
			return
		}
		if err := c.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

// closing reads "close CODE".
func closing(message []byte) (websocket.StatusCode, bool) {
	var code int
	if len(message) > len("close 4999") {
		return 0, false
	}
	_, err := fmt.Sscanf(string(message), "close %d", &code)
	return websocket.StatusCode(code), err == nil
}
