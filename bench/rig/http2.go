package rig

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"time"
)

// HTTP2Client is one connection that speaks HTTP/2 over TLS.
type HTTP2Client struct {
	addr  string
	limit time.Duration
	conn  *http.ClientConn
}

// DialHTTP2 opens a connection on which each request may take limit.
func DialHTTP2(addr string, limit time.Duration, config *tls.Config) (*HTTP2Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	t := &http.Transport{TLSClientConfig: config.Clone(), Protocols: new(http.Protocols)}
	t.Protocols.SetHTTP2(true)
	conn, err := t.NewClientConn(ctx, "https", addr)
	if err != nil {
		return nil, fmt.Errorf("over HTTP/2: %w", err)
	}
	return &HTTP2Client{addr: addr, limit: limit, conn: conn}, nil
}

// Get asks for a path, with a cookie unless it is "", and reads the whole
// answer. It doesn't count Bytes.
func (c *HTTP2Client) Get(path, cookie string) (Answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+c.addr+path, nil)
	if err != nil {
		return Answer{}, err
	}
	if cookie != "" {
		req.Header.Set("Cookie", cookie)
	}
	resp, err := c.conn.RoundTrip(req)
	if err != nil {
		return Answer{}, fmt.Errorf("over HTTP/2: %w", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return Answer{}, err
	}
	return answerOf(resp), nil
}

// Close ends the connection.
func (c *HTTP2Client) Close() error { return c.conn.Close() }
