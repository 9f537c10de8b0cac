package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sluice/admin"
	"sluice/admin/api"
	"sluice/configs"
	"sluice/proxy/upstream"
	"sluice/stats"
)

// bindAdmin makes the admin API and binds its address.
func (s *Server) bindAdmin(version string) error {
	var tokens *admin.Tokens
	var err error
	if path := s.file.Admin.TokensFile; path != "" {
		if tokens, err = admin.OpenTokens(path, s.log, s.now); err != nil {
			return fmt.Errorf("admin.tokens_file: %w", err)
		}
	}
	mutual := mutualTLS(s.file.Admin.TLS)
	if err = admin.CheckAddress(s.file.Admin.Address, tokens != nil, mutual); err != nil {
		return fmt.Errorf("admin.address: %w", err)
	}
	if tokens == nil && !mutual {
		s.log.Warn("the admin API asks for no token: everybody on this machine may change traffic; admin.tokens_file restricts it")
	}
	clientRole, err := admin.ParseRole(string(s.file.Admin.ClientRole))
	if err != nil {
		return fmt.Errorf("admin.client_role: %w", err)
	}
	s.admin, err = admin.New(admin.Options{
		Control: control{s.keeper}, Live: live{s}, Explain: s.explain, Probe: s.probeNow, Matrix: matrixView{s}, Shadows: s.shadows,
		SignToken: s.signToken, Ready: s.ready,
		Metrics: s.metrics(), Diff: s.diff, Rollouts: rollouts{s}, Reload: s.Reload, Facts: s.facts, Tokens: tokens, ClientRole: clientRole, Log: s.log, Now: s.now, Version: version,
	})
	if err != nil {
		return err
	}
	ln, err := s.bind(s.file.Admin.Address)
	if err != nil {
		return fmt.Errorf("admin.address: %w", err)
	}
	s.adminNet, s.adminHTTP = ln, s.admin.HTTP()
	return s.secureAdmin()
}

// secureAdmin puts TLS before the admin API, if the file asks for it.
func (s *Server) secureAdmin() error {
	t := s.file.Admin.TLS
	if t == nil {
		return nil
	}
	var err error
	if s.adminCerts, err = s.certs.Open(certsConfig(adminName, t, []string{"http/1.1"})); err != nil {
		return fmt.Errorf("admin.tls: %w", err)
	}
	s.adminNet = tls.NewListener(s.adminNet, s.adminCerts.TLS())
	return nil
}

// mutualTLS reports whether every caller has shown a certificate that was
// verified.
func mutualTLS(t *configs.TLS) bool {
	return t != nil && t.ClientCA != "" && t.ClientAuth != configs.ClientRequest
}

// AdminURL returns the address of the admin API as clients need it.
func (s *Server) AdminURL() string {
	if s.adminCerts != nil {
		return "https://" + s.AdminAddr().String()
	}
	return "http://" + s.AdminAddr().String()
}

// serveAdmin answers the admin API until Stop.
func (s *Server) serveAdmin() {
	if err := s.adminHTTP.Serve(s.adminNet); !errors.Is(err, http.ErrServerClosed) {
		s.failed <- fmt.Errorf("admin API: %w", err)
	}
}

// metrics returns the handler of /metrics.
func (s *Server) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(stats.Collector(s.stats), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// endpointChanged tells the event streams of an endpoint.
func (s *Server) endpointChanged(e upstream.Event) {
	detail := ""
	if e.Err != nil {
		detail = e.Err.Error()
	}
	s.admin.PublishHealth(api.HealthEvent{At: e.At, Service: e.Service, Version: e.Version,
		Endpoint: e.Endpoint, Kind: string(e.Kind), Detail: detail})
}
