package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"

	"sluice/configs"
	"sluice/proxy"
	"sluice/state"
	"sluice/synthetic/journey"
)

// routed is the way of one run of a journey by the proxy's own routing: the way of
// customers, but for an override that leads it to a version. The override lives
// as long as a request.
type routed struct {
	proxy            *proxy.Server
	service, version string
	override         string
	host             string // where the journey says none; "": there is none that leads to the service
	plain, http2     *http.Transport

	asked     bool   // there was an answer
	reached   bool   // one of the version
	endpoint  string // that gave the last
	elsewhere string // where another led
}

// routedTo returns the way to a version.
func (s *Server) routedTo(service, version string) *routed {
	s.mu.Lock()
	file := s.file
	s.mu.Unlock()
	r := &routed{proxy: s.proxy, service: service, version: version, host: anyHost(file, service)}
	r.override = overrideOf(together(s.keeper.State(), service, version))
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return s.proxy.DialSynthetic(ctx, "") }
	r.plain = &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true}
	r.http2 = &http.Transport{DialContext: dial, DisableKeepAlives: true, DisableCompression: true, Protocols: new(http.Protocols)}
	r.http2.Protocols.SetUnencryptedHTTP2(true)
	return r
}

// close ends what is left of the connections.
func (r *routed) close() {
	r.plain.CloseIdleConnections()
	r.http2.CloseIdleConnections()
}

// target is what a run asks.
func (r *routed) target() journey.Target {
	return journey.Target{Host: r.host, Send: r.send, TLS: r.secure}
}

// send sends a request, and looks who answered.
func (r *routed) send(req *http.Request) (*http.Response, error) {
	if req.URL.Host == "" {
		return nil, fmt.Errorf("no route of %q has an exact host to ask for; give the journey a host, or direct: true", r.service)
	}
	req.Header.Set("Sluice-Override", r.override)
	way := r.plain
	if strings.HasPrefix(req.Header.Get("Content-Type"), "application/grpc") {
		way = r.http2
	}
	resp, err := way.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if err = r.note(req.URL.Host, resp.Header); err != nil {
		resp.Body.Close()
		return nil, err
	}
	return resp, nil
}

// note takes in who answered. It is an error that another version than was asked
// for did: this one is gone.
func (r *routed) note(host string, h http.Header) error {
	r.asked = true
	service, version := h.Get("Sluice-Service"), h.Get("Sluice-Version")
	switch {
	case service != r.service:
		r.elsewhere = fmt.Sprintf("%s leads to %s", host, cmp.Or(service, "no service"))
		return nil
	case version != r.version:
		return fmt.Errorf("%q has no version %q any more; %q answered", service, r.version, version)
	}
	r.reached, r.endpoint = true, h.Get("Sluice-Endpoint")
	return nil
}

// missed says why nothing of a run has reached the version, though it was
// answered: what it found says nothing of it then.
func (r *routed) missed() error {
	if !r.asked || r.reached || r.elsewhere == "" {
		return nil
	}
	return fmt.Errorf("no request of the journey came to service %q: %s; give the journey a host and paths that lead to it, or direct: true", r.service, r.elsewhere)
}

// secure opens a connection for a TLS handshake with the listener that customers
// come to.
func (r *routed) secure(ctx context.Context, host string) (net.Conn, *tls.Config, error) {
	nc, err := r.proxy.DialSyntheticTLS(ctx, "")
	if errors.Is(err, proxy.ErrNoTLS) {
		err = journey.ErrNoTLS
	}
	return nc, &tls.Config{ServerName: host, NextProtos: []string{"h2", "http/1.1"}}, err
}

// anyHost returns a host for journeys that name none: the first exact one that
// leads to a service, or, where all do, that of its health checks or localhost;
// "" if there is none.
func anyHost(file *configs.File, service string) string {
	if host := hostOf(file, service); host != "" {
		return host
	}
	for _, r := range file.Routes {
		if r.Service == service && len(r.Hosts) == 0 {
			return cmp.Or(file.Services[service].Health.Host, "localhost")
		}
	}
	return ""
}

// together returns the versions that a journey of one is to meet, by service: that
// version alone, and while it is the candidate of a release set, the candidates of
// the other services, without which it may not work.
func together(st state.State, service, version string) map[string]string {
	versions := map[string]string{service: version}
	for _, r := range st.Rollouts {
		is := func(l state.Leg) bool { return l.Service == service && l.Candidate == version }
		if r.Phase.Over() || !slices.ContainsFunc(r.Legs, is) {
			continue
		}
		for _, l := range r.Legs {
			versions[l.Service] = l.Candidate
		}
	}
	return versions
}

// overrideOf writes the field Sluice-Override. Versions are strings, since a token
// can't begin with a digit (RFC 9651, section 3.3.4).
func overrideOf(versions map[string]string) string {
	var members []string
	for _, service := range slices.Sorted(maps.Keys(versions)) {
		members = append(members, fmt.Sprintf("%s=%q", service, versions[service]))
	}
	return strings.Join(members, ", ")
}
