package server

import (
	"crypto/x509"
	"fmt"

	"sluice/proxy"
	"sluice/tracing"
)

// openTracing starts what tells a trace collector of requests, if the file names
// one. The collector need not be there.
func (s *Server) openTracing(version string) (proxy.Tracing, error) {
	t := &s.file.Tracing
	if t.Endpoint == "" {
		return proxy.Tracing{}, nil
	}
	c := tracing.Config{
		Endpoint: t.Endpoint, Headers: map[string]string{}, Service: t.ServiceName, Version: version,
		Log: s.log, Exported: s.stats.SpansExported, Dropped: s.stats.SpansDropped,
	}
	for name, value := range t.Headers {
		c.Headers[name] = string(value.Bytes())
	}
	if t.CAPEM != nil {
		c.Roots = x509.NewCertPool()
		c.Roots.AppendCertsFromPEM(t.CAPEM) // checked with the file
	}
	var err error
	if s.tracing, err = tracing.New(c); err != nil {
		return proxy.Tracing{}, fmt.Errorf("tracing.endpoint: %w", err)
	}
	return proxy.Tracing{Sample: t.Sample, Record: func(span *proxy.Span) { s.tracing.Record((*tracing.Span)(span)) }}, nil
}

// closeTracing sends what waits.
func (s *Server) closeTracing() {
	if s.tracing != nil {
		s.tracing.Close()
	}
}
