// Package client makes the HTTP clients of end-to-end tests, each of one
// protocol.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/net/http2"
)

// HTTP1 returns a client of HTTP/1.1: over TLS by a configuration, or without.
// It follows no redirects and asks for no compression.
func HTTP1(config *tls.Config) *http.Client {
	return &http.Client{CheckRedirect: stay, Transport: &http.Transport{
		TLSClientConfig: config, DisableCompression: true, MaxIdleConnsPerHost: 1000, IdleConnTimeout: 30 * time.Second,
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}, // no HTTP/2
	}}
}

// HTTP2 returns a client of HTTP/2: over TLS, or with prior knowledge.
func HTTP2(config *tls.Config) *http.Client {
	return &http.Client{CheckRedirect: stay, Transport: transport2(config)}
}

func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func transport2(config *tls.Config) *http.Transport {
	t := &http.Transport{TLSClientConfig: config, DisableCompression: true, IdleConnTimeout: 30 * time.Second, Protocols: new(http.Protocols)}
	t.Protocols.SetHTTP2(config != nil)
	t.Protocols.SetUnencryptedHTTP2(config == nil)
	return t
}

// WebSocketOverHTTP2 returns a client for a WebSocket library that knows HTTP/1.1
// alone: its upgrades become extended CONNECTs (RFC 8441).
func WebSocketOverHTTP2(config *tls.Config) *http.Client {
	//lint:ignore SA1019 http.Transport, which is to be used instead, sends no extended CONNECT
	t := &http2.Transport{TLSClientConfig: config, IdleConnTimeout: 30 * time.Second, AllowHTTP: config == nil}
	if config == nil {
		t.DialTLSContext = func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
	}
	return &http.Client{Transport: connecting{t}}
}

// connecting is that client's transport.
//
//lint:ignore SA1019 as for WebSocketOverHTTP2
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
