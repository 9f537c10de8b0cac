// Package client makes the HTTP clients of end-to-end tests, each of one
// protocol.
package client

import (
	"crypto/tls"
	"net/http"
	"time"
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
