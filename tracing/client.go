package tracing

import (
	"crypto/tls"
	"fmt"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"google.golang.org/grpc/credentials"
)

// grpcPort is that of collectors (OTLP, "OTLP/gRPC Default Port").
const grpcPort = "4317"

// newClient returns a client of the collector.
func newClient(c *Config) (otlptrace.Client, error) {
	u, err := url.Parse(c.Endpoint)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("%q is no URL of a collector, such as http://127.0.0.1:4318 or grpc://127.0.0.1:4317", c.Endpoint)
	}
	switch u.Scheme {
	case "http", "https":
		return otlptracehttp.NewClient(httpOptions(c, u)...), nil
	case "grpc", "grpcs":
		return otlptracegrpc.NewClient(grpcOptions(c, u)...), nil
	}
	return nil, fmt.Errorf("unknown scheme %q of a collector; want http, https, grpc or grpcs", u.Scheme)
}

// httpOptions are those of OTLP/HTTP with protobuf. The URL is the base of the
// signals' paths.
func httpOptions(c *Config, u *url.URL) []otlptracehttp.Option {
	options := []otlptracehttp.Option{
		otlptracehttp.WithEndpoint(u.Host), otlptracehttp.WithURLPath(strings.TrimSuffix(u.Path, "/") + "/v1/traces"),
		otlptracehttp.WithHeaders(c.Headers), otlptracehttp.WithTimeout(exportTime),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: true, InitialInterval: firstRetry, MaxInterval: lastRetry, MaxElapsedTime: exportTime}),
		otlptracehttp.WithCompression(otlptracehttp.GzipCompression),
	}
	if u.Scheme == "http" {
		return append(options, otlptracehttp.WithInsecure())
	}
	return append(options, otlptracehttp.WithTLSClientConfig(tlsOf(c)))
}

// grpcOptions are those of OTLP/gRPC.
func grpcOptions(c *Config, u *url.URL) []otlptracegrpc.Option {
	host := u.Host
	if u.Port() == "" {
		host += ":" + grpcPort
	}
	options := []otlptracegrpc.Option{
		otlptracegrpc.WithEndpoint(host), otlptracegrpc.WithHeaders(c.Headers), otlptracegrpc.WithTimeout(exportTime),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: true, InitialInterval: firstRetry, MaxInterval: lastRetry, MaxElapsedTime: exportTime}),
		otlptracegrpc.WithCompressor("gzip"),
	}
	if u.Scheme == "grpc" {
		return append(options, otlptracegrpc.WithInsecure())
	}
	return append(options, otlptracegrpc.WithTLSCredentials(credentials.NewTLS(tlsOf(c))))
}

// tlsOf returns how the collector's certificate is verified.
func tlsOf(c *Config) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots}
}
