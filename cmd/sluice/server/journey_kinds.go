package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"

	"sluice/configs"
	"sluice/proxy/upstream"
	"sluice/synthetic/journey"
)

// stepKinds translates a step that is no plain HTTP request; both are nil for one
// that is.
func stepKinds(s *configs.JourneyStep) (*journey.TLS, *journey.GRPC) {
	if s.GRPC != nil {
		return nil, &journey.GRPC{Service: s.GRPC.Service}
	}
	t := s.TLS
	if t == nil {
		return nil, nil
	}
	step := &journey.TLS{ServerName: t.ServerName, Names: t.Names, Issuer: t.Issuer, ValidFor: time.Duration(t.Days) * 24 * time.Hour, ALPN: t.ALPN}
	switch t.MinVersion {
	case configs.TLS12:
		step.MinVersion = tls.VersionTLS12
	case configs.TLS13:
		step.MinVersion = tls.VersionTLS13
	}
	if t.CAPEM != nil {
		step.CA = x509.NewCertPool()
		step.CA.AppendCertsFromPEM(t.CAPEM) // validated
	}
	return step, nil
}

// endpointTLS is how a journey shakes hands with an endpoint: as the proxy does.
func endpointTLS(e upstream.Asked) func(context.Context, string) (net.Conn, *tls.Config, error) {
	return func(ctx context.Context, _ string) (net.Conn, *tls.Config, error) {
		nc, config, err := e.Secure(ctx)
		if errors.Is(err, upstream.ErrPlain) {
			err = journey.ErrNoTLS
		}
		return nc, config, err
	}
}
