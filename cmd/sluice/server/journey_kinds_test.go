package server

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

// cartServer serves the health of shop.Cart, which serves, and shop.Till, which
// doesn't, over TLS where a directory has a certificate.
func cartServer(t *testing.T, dir string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var options []grpc.ServerOption
	if dir != "" {
		c, err := credentials.NewServerTLSFromFile(filepath.Join(dir, "web.pem"), filepath.Join(dir, "web.key"))
		if err != nil {
			t.Fatal(err)
		}
		options = append(options, grpc.Creds(c))
	}
	known := health.NewServer()
	known.SetServingStatus("shop.Cart", healthpb.HealthCheckResponse_SERVING)
	known.SetServingStatus("shop.Till", healthpb.HealthCheckResponse_NOT_SERVING)
	s := grpc.NewServer(options...)
	healthpb.RegisterHealthServer(s, known)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() { s.Stop(); <-done })
	return l.Addr().String()
}

// probed runs a journey of one step against v1 of web, and returns why it failed.
func (s *sluice) probed(name string) string {
	s.t.Helper()
	p, err := s.admin.Probe(s.t.Context(), "web", "v1", []string{name})
	if err != nil || len(p.Runs) != 1 {
		s.t.Fatalf("%s: %v, %+v", name, err, p)
	}
	return lastOf(p.Runs[0].Steps).Failure
}

func lastOf[T any](all []T) T { return all[len(all)-1] }

const kinds = `journeys:
  cart: {steps: [grpc: {service: shop.Cart}]}
  till: {steps: [grpc: {service: shop.Till}]}
  server: {steps: [grpc: {}]}
  cert: {direct: true, steps: [tls: {names: [web.test], issuer: "we*", min_version: 1.3, alpn: h2}]}
  days: {direct: true, steps: [tls: {days: 14}]}
  name: {direct: true, steps: [tls: {server_name: shop.test}]}
  ca: {direct: true, steps: [tls: {ca: other.pem}]}
`

// Steps of each kind ask an endpoint on the way that the proxy's requests go,
// handshakes directly.
func TestKindsOfSteps(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir, "other")
	if err := os.Rename(filepath.Join(dir, "web.pem"), filepath.Join(dir, "other.pem")); err != nil {
		t.Fatal(err)
	}
	certificate(t, dir, "web")
	want := map[string]string{
		"cart": "", "server": "", "cert": "", "till": "service shop.Till is NOT_SERVING, not SERVING",
		"days": "the certificate is good for 59m0s more, less than 14 days", "name": "the certificate is not for shop.test, but for web.test",
		"ca": "the certificate is not trusted: x509: certificate signed by unknown authority",
	}
	secure := start(t, write(t, dir, spokenTo(cartServer(t, dir), "protocol: h2, tls: {ca: web.pem, server_name: web.test}"), kinds), Options{})
	for name, why := range want {
		got := secure.probed(name)
		if name == "days" && strings.Replace(got, "1h0m0s", "59m0s", 1) == why {
			continue // a slow machine rounds the other way
		}
		if got != why && !(name == "ca" && strings.HasPrefix(got, why)) {
			t.Errorf("%s: got  %s\nwant %s", name, got, why)
		}
	}
	plain := start(t, write(t, dir, spokenTo(cartServer(t, ""), "protocol: h2c"), kinds), Options{})
	for name, why := range map[string]string{"cart": "", "till": want["till"], "cert": "no TLS is spoken there"} {
		if got := plain.probed(name); got != why {
			t.Errorf("%s: got  %s\nwant %s", name, got, why)
		}
	}
}
