package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sluice/e2e/client"
	"sluice/e2e/origin"
)

// eachWay runs a test with a WebSocket client for each way through the proxy.
func (st *stand) eachWay(t *testing.T, test func(t *testing.T, dial func(ctx context.Context, path string) (*websocket.Conn, error))) {
	t.Helper()
	for _, way := range []struct {
		name   string
		secure bool
		http   func() *http.Client
	}{
		{"HTTP1.1", false, func() *http.Client { return client.HTTP1(nil) }},
		{"HTTP1.1 TLS", true, func() *http.Client { return client.HTTP1(st.TLS("http/1.1")) }},
		{"h2c", false, func() *http.Client { return client.WebSocketOverHTTP2(nil) }},
		{"h2", true, func() *http.Client { return client.WebSocketOverHTTP2(st.TLS("h2")) }},
	} {
		t.Run(way.name, func(t *testing.T) {
			c := way.http()
			defer c.CloseIdleConnections()
			test(t, func(ctx context.Context, path string) (*websocket.Conn, error) {
				ws, _, err := websocket.Dial(ctx, st.url(way.secure, path), &websocket.DialOptions{
					HTTPClient: c, Subprotocols: []string{"echo"}, CompressionMode: websocket.CompressionContextTakeover,
				})
				if err != nil {
					return nil, err
				}
				ws.SetReadLimit(origin.MaxMessage)
				if ws.Subprotocol() != "echo" {
					return nil, fmt.Errorf("subprotocol %q", ws.Subprotocol())
				}
				return ws, nil
			})
		})
	}
}

// briefly bounds what a test waits for.
func briefly(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// TestWebSocketMessages sends messages of all sizes and both kinds, and pings.
func TestWebSocketMessages(t *testing.T) {
	st := setUp(t)
	st.eachWay(t, func(t *testing.T, dial func(context.Context, string) (*websocket.Conn, error)) {
		ctx := briefly(t)
		c, err := dial(ctx, "/ws")
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		for _, n := range []int{0, 1, 125, 126, 65535, 65536, 1 << 20, 8 << 20} {
			message := make([]byte, n)
			_, _ = rand.Read(message)
			if err := exchange(ctx, c, websocket.MessageBinary, message); err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
		}
		if err := exchange(ctx, c, websocket.MessageText, []byte("héllo")); err != nil {
			t.Fatal(err)
		}
		// A ping is answered by the other end, while somebody reads.
		reading := c.CloseRead(ctx)
		for range 3 {
			if err := c.Ping(reading); err != nil {
				t.Error(err)
			}
		}
	})
}

// exchange sends a message and awaits the same.
func exchange(ctx context.Context, c *websocket.Conn, kind websocket.MessageType, message []byte) error {
	if err := c.Write(ctx, kind, message); err != nil {
		return err
	}
	gotKind, got, err := c.Read(ctx)
	switch {
	case err != nil:
		return err
	case gotKind != kind || !bytes.Equal(got, message):
		return fmt.Errorf("another message came back: %v, %d bytes", gotKind, len(got))
	}
	return nil
}

// TestWebSocketCloses tells each end the code that the other closed with.
func TestWebSocketCloses(t *testing.T) {
	st := setUp(t)
	st.eachWay(t, func(t *testing.T, dial func(context.Context, string) (*websocket.Conn, error)) {
		ctx := briefly(t)
		for _, code := range []websocket.StatusCode{1000, 1001, 1008, 1011, 3000, 4999} {
			c, err := dial(ctx, "/ws")
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Write(ctx, websocket.MessageText, fmt.Appendf(nil, "close %d", code)); err != nil {
				t.Fatal(err)
			}
			_, _, err = c.Read(ctx)
			var closed websocket.CloseError
			if !errors.As(err, &closed) || closed.Code != code || closed.Reason != "as asked" {
				t.Errorf("asked for %d: %v", code, err)
			}
			c.CloseNow()
			// And from this side, which awaits that the other agrees.
			if c, err = dial(ctx, "/ws"); err != nil {
				t.Fatal(err)
			}
			if err := c.Close(code, "by the client"); err != nil {
				t.Errorf("closing with %d: %v", code, err)
			}
		}
	})
}

// TestWebSocketsAtOnce holds 200 open, all of which talk.
func TestWebSocketsAtOnce(t *testing.T) {
	st := setUp(t)
	st.eachWay(t, func(t *testing.T, dial func(context.Context, string) (*websocket.Conn, error)) {
		const all = 200
		ctx := briefly(t)
		var open atomic.Int64
		everybody := make(chan struct{})
		failed := make(chan error, all)
		for i := range all {
			go func() {
				failed <- func() error {
					c, err := dial(ctx, "/ws")
					if err != nil {
						return err
					}
					defer c.CloseNow()
					if open.Add(1) == all {
						close(everybody)
					}
					select {
					case <-everybody:
					case <-ctx.Done():
						return ctx.Err()
					}
					for j := range 10 {
						if err := exchange(ctx, c, websocket.MessageText, bytes.Repeat([]byte{byte('a' + j)}, 100*i+j)); err != nil {
							return err
						}
					}
					return c.Close(websocket.StatusNormalClosure, "")
				}()
			}()
		}
		for range all {
			if err := <-failed; err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestWebSocketsBothWaysAtOnce has each end send without waiting for the other.
func TestWebSocketsBothWaysAtOnce(t *testing.T) {
	st := setUp(t)
	st.eachWay(t, func(t *testing.T, dial func(context.Context, string) (*websocket.Conn, error)) {
		const messages = 500
		ctx := briefly(t)
		c, err := dial(ctx, "/ws")
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		sent := make(chan error, 1)
		go func() {
			for i := range messages {
				if err := c.Write(ctx, websocket.MessageBinary, bytes.Repeat([]byte{byte(i)}, 20_000)); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
		for i := range messages {
			_, r, err := c.Reader(ctx)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || len(got) != 20_000 || got[0] != byte(i) {
				t.Fatalf("message %d: %d bytes, %v", i, len(got), err)
			}
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}
