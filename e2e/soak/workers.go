package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"sluice/e2e/client"
)

// workers returns those of all kinds.
func (w *world) workers() []*worker {
	plain, secure := "http://"+w.Plain, "https://"+w.Secure
	const some = 10 * time.Millisecond
	h1, tls1 := client.HTTP1(nil), client.HTTP1(w.TLS("http/1.1"))
	fresh, tlsFresh := once(client.HTTP1(nil)), once(client.HTTP1(w.TLS("http/1.1")))
	h2c, h2 := client.HTTP2(nil), client.HTTP2(w.TLS("h2"))
	ws1, ws2 := client.HTTP1(nil), client.WebSocketOverHTTP2(w.TLS("h2"))
	sse1, sse2 := client.HTTP1(nil), client.HTTP2(w.TLS("h2"))
	list := []*worker{
		asking("HTTP/1.1", 4, some, h1, plain),
		asking("HTTP/1.1, a connection each", 2, some, fresh, plain),
		posting("HTTP/1.1 POST", 2, some, client.HTTP1(nil), plain),
		asking("HTTPS/1.1", 3, some, tls1, secure),
		asking("HTTPS/1.1, a connection each", 1, 3*some, tlsFresh, secure),
		posting("HTTPS/1.1 POST", 1, some, client.HTTP1(w.TLS("http/1.1")), secure),
		asking("h2c", 4, some, h2c, plain),
		asking("h2", 4, some, h2, secure),
		posting("h2 POST", 2, some, client.HTTP2(w.TLS("h2")), secure),
		talking("WebSocket", 5, ws1, plain),
		talking("WebSocket over h2", 5, ws2, secure),
		listening("events", 4, sse1, plain),
		listening("events over h2", 4, sse2, secure),
	}
	return append(list, w.callers()...)
}

// once makes a client use a connection for one request.
func once(c *http.Client) *http.Client {
	c.Transport.(*http.Transport).DisableKeepAlives = true
	return c
}

// asking sends GETs for bodies of all sizes.
func asking(kind string, many int, pause time.Duration, c *http.Client, base string) *worker {
	sizes := []int{0, 10, 1000, 40_000, 300_000}
	return &worker{kind: kind, many: many, pause: pause, close: c.CloseIdleConnections, do: func(ctx context.Context) error {
		n := sizes[rand.IntN(len(sizes))]
		got, err := send(ctx, c, "GET", fmt.Sprintf("%s/bytes?n=%d", base, n), nil)
		if err == nil && len(got) != n {
			err = fmt.Errorf("%d bytes came, not %d", len(got), n)
		}
		return err
	}}
}

// posting sends bodies, which come back. A server may not be sent them again.
func posting(kind string, many int, pause time.Duration, c *http.Client, base string) *worker {
	return &worker{kind: kind, many: many, pause: pause, close: c.CloseIdleConnections, do: func(ctx context.Context) error {
		body := bytes.Repeat([]byte{byte('a' + rand.IntN(26))}, rand.IntN(200_000))
		got, err := send(ctx, c, "POST", base+"/echo", body)
		if err == nil && !bytes.Equal(got, body) {
			err = fmt.Errorf("%d bytes came back, other than the %d sent", len(got), len(body))
		}
		return err
	}}
}

// send sends a request and returns the body of an answer with 200.
func send(ctx context.Context, c *http.Client, method, url string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return nil, fmt.Errorf("after a %d and %d bytes: %w", res.StatusCode, len(got), err)
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%d: %.100q", res.StatusCode, got)
	case res.Header.Get("X-Version") != "v1" && res.Header.Get("X-Version") != "v2":
		return nil, fmt.Errorf("version %q answered", res.Header.Get("X-Version"))
	}
	return got, nil
}

// talking holds WebSockets for two seconds each.
func talking(kind string, many int, c *http.Client, base string) *worker {
	return &worker{kind: kind, many: many, lasts: true, pause: 50 * time.Millisecond, close: c.CloseIdleConnections, do: func(ctx context.Context) error {
		ws, _, err := websocket.Dial(ctx, base+"/ws", &websocket.DialOptions{HTTPClient: c})
		if err != nil {
			return err
		}
		defer ws.CloseNow()
		ws.SetReadLimit(1 << 20)
		for range 20 {
			message := bytes.Repeat([]byte("m"), rand.IntN(70_000))
			if err := ws.Write(ctx, websocket.MessageBinary, message); err != nil {
				return err
			}
			_, got, err := ws.Read(ctx)
			if err != nil {
				return err
			}
			if !bytes.Equal(got, message) {
				return fmt.Errorf("another message came back, of %d bytes", len(got))
			}
			<-time.After(100 * time.Millisecond)
		}
		return ws.Close(websocket.StatusNormalClosure, "")
	}}
}

// listening takes server-sent events for two seconds.
func listening(kind string, many int, c *http.Client, base string) *worker {
	const events = 40
	return &worker{kind: kind, many: many, lasts: true, pause: 50 * time.Millisecond, close: c.CloseIdleConnections, do: func(ctx context.Context) error {
		got, err := send(ctx, c, "GET", fmt.Sprintf("%s/events?n=%d&ms=50", base, events), nil)
		if n := bytes.Count(got, []byte("\n\n")); err == nil && n != events {
			err = fmt.Errorf("%d events came, not %d", n, events)
		}
		return err
	}}
}
