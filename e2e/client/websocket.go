//lint:file-ignore SA1019 what net/http offers instead sends no extended CONNECT

package client

import (
	"context"
	"crypto/sha1" // which RFC 6455 asks for
	"crypto/tls"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http2"
)

// WebSocketOverHTTP2 returns a client for a WebSocket library that knows HTTP/1.1
// alone: its upgrades become extended CONNECTs (RFC 8441).
func WebSocketOverHTTP2(config *tls.Config) *http.Client {
	t := &http2.Transport{TLSClientConfig: config, IdleConnTimeout: 30 * time.Second, AllowHTTP: config == nil}
	if config == nil {
		t.DialTLSContext = func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	}
	return &http.Client{Transport: connecting{t}}
}

// connecting is that client's transport.
type connecting struct{ over *http2.Transport }

// CloseIdleConnections is what http.Client.CloseIdleConnections calls.
func (c connecting) CloseIdleConnections() { c.over.CloseIdleConnections() }

// RoundTrip answers the handshake of HTTP/1.1 when that of HTTP/2 has succeeded.
func (c connecting) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "websocket" {
		return nil, errors.New("not a WebSocket")
	}
	body, in := io.Pipe()
	ask := &http.Request{
		Method: http.MethodConnect, URL: &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path, RawQuery: r.URL.RawQuery},
		Host: r.Host, Header: r.Header.Clone(), Body: body, ContentLength: -1,
	}
	for _, name := range []string{"Upgrade", "Connection", "Sec-Websocket-Key"} {
		ask.Header.Del(name)
	}
	ask.Header[":protocol"] = []string{"websocket"}
	res, err := c.over.RoundTrip(ask.WithContext(r.Context()))
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK {
		res.StatusCode, res.Status = http.StatusSwitchingProtocols, "101 Switching Protocols"
		res.Header.Set("Upgrade", "websocket")
		res.Header.Set("Connection", "Upgrade")
		res.Header.Set("Sec-WebSocket-Accept", accepted(r.Header.Get("Sec-WebSocket-Key")))
	}
	res.Body = stream{res.Body, in}
	return res, nil
}

// stream is both directions of a stream.
type stream struct {
	io.ReadCloser
	in *io.PipeWriter
}

// Write sends.
func (s stream) Write(p []byte) (int, error) { return s.in.Write(p) }

// Close ends both directions.
func (s stream) Close() error { return errors.Join(s.in.Close(), s.ReadCloser.Close()) }

// accepted is what a server answers to a key (RFC 6455, section 4.2.2).
func accepted(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
