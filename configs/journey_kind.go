package configs

import (
	"crypto/x509"
	"strings"
)

// TLSStep is a TLS handshake. The certificate must always be trusted, in date,
// and for the name that is asked for; the rest may be asked of it too.
type TLSStep struct {
	// ServerName is asked for (SNI); default: the journey's host, or what
	// upstream.tls says where an endpoint is asked directly.
	ServerName string `yaml:"server_name"`
	// CA is a PEM file of the authorities to trust; default: the system's, or
	// those of upstream.tls where an endpoint is asked directly.
	CA    string   `yaml:"ca"`
	Names []string `yaml:"names"` // further names that the certificate must be for
	// Issuer is the common name or an organization of who issued the certificate:
	// exact, or "abc*" for a prefix; default: any.
	Issuer string `yaml:"issuer"`
	// Days are the least that the certificate and all that vouch for it must be
	// good for: 0, the default, to 825.
	Days       int        `yaml:"days"`
	MinVersion TLSVersion `yaml:"min_version"` // the least that is agreed on; default: any
	ALPN       string     `yaml:"alpn"`        // the protocol that is agreed on, such as h2; default: any

	CAPEM []byte `yaml:"-"` // what CA holds, as read by Load
}

// GRPCStep asks for the health of a gRPC service (grpc.health.v1.Health/Check),
// which must be SERVING. The step's headers are sent as metadata.
type GRPCStep struct {
	Service string `yaml:"service"` // its full name, such as shop.Cart; default: the server as a whole
}

// stepKeys are the keys of an HTTP request that steps of other kinds don't have.
var stepKeys = []string{"method", "path", "body", "capture", "expect.status", "expect.header", "expect.contains", "expect.regex", "expect.json", "expect.schema_file"}

// otherStep checks a step that is no plain HTTP request, and tells whether it is
// one.
func (c *checker) otherStep(path string, s *JourneyStep, known map[string]bool) bool {
	kind := "grpc"
	switch {
	case s.TLS != nil && s.GRPC != nil:
		c.fail(path, "keep one of them", "a step is one of an HTTP request, tls and grpc")
		return true
	case s.TLS != nil:
		kind = "tls"
		c.tlsStep(path+".tls", s.TLS)
		if c.given(path + ".headers") {
			c.fail(path+".headers", "take it out", "a step of kind tls sends no request")
		}
	case s.GRPC != nil:
		c.grpcStep(path+".grpc.service", s.GRPC.Service)
		c.stepHeaders(path+".headers", s.Headers, known)
		c.metadata(path+".headers", s.Headers)
	default:
		return c.unsure(path+".tls") || c.unsure(path+".grpc")
	}
	for _, key := range stepKeys {
		if at := path + "." + key; c.given(at) {
			c.fail(at, "take it out, or make it a step of its own", "it belongs to an HTTP request, and this step is of kind %s", kind)
		}
	}
	return true
}

// given tells whether the file spells a path out.
func (c *checker) given(path string) bool {
	_, ok := c.f.lines[path]
	return ok
}

func (c *checker) tlsStep(path string, t *TLSStep) {
	if t.ServerName != "" && !isHost(strings.ToLower(t.ServerName)) {
		c.fail(path+".server_name", "want a host such as shop.example.com", "%s is not a host", quote(t.ServerName))
	}
	for i, name := range t.Names {
		if !isHost(strings.ToLower(name)) {
			c.fail(index(path+".names", i), "want a host such as www.example.com", "%s is not a host", quote(name))
		}
	}
	distinct(c, path+".names", t.Names)
	if t.CA != "" {
		var ok bool
		if t.CAPEM, ok = c.read(path+".ca", t.CA, maxPEM); ok && !x509.NewCertPool().AppendCertsFromPEM(t.CAPEM) {
			c.fail(path+".ca", "want certificates in PEM form", "%s holds no certificate", quote(t.CA))
		}
	}
	if t.Issuer != "" {
		c.pattern(path+".issuer", t.Issuer)
	}
	c.between(path+".days", int64(t.Days), 0, 825) // no authority that browsers trust signs for longer
	if t.ALPN != "" && (!isToken(t.ALPN[:1]) || len(t.ALPN) > 255 || hasControls(t.ALPN)) {
		c.fail(path+".alpn", "want a protocol such as h2 or http/1.1", "%s is no name of a protocol", quote(t.ALPN))
	}
}

func (c *checker) grpcStep(path, service string) {
	bad := func(r rune) bool {
		return r != '.' && r != '_' && r != '-' && r != '/' && (r > 0x7f || !isLetter(byte(r)) && !isDigit(byte(r)))
	}
	if len(service) > 255 || strings.ContainsFunc(service, bad) {
		c.fail(path, "want a full name, such as shop.Cart", "%s cannot name a gRPC service", quote(service))
	}
}

// metadata refuses fields that follow from a call.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
func (c *checker) metadata(path string, headers map[string]string) {
	for _, name := range sorted(headers) {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "grpc-") || lower == "content-type" {
			c.fail(join(path, name), "leave it out", "%s follows from the call", name)
		}
	}
}

// grpcNeedsHTTP2 refuses journeys with a health check of gRPC for services whose
// endpoints are not spoken to over HTTP/2.
func (c *checker) grpcNeedsHTTP2(path string, s *Service) {
	for i, name := range s.Journeys {
		j := c.f.Journeys[name]
		if j == nil || s.Upstream.Protocol != H1 {
			continue
		}
		for _, step := range j.Steps {
			if step.GRPC != nil {
				c.fail(index(path, i), "set upstream.protocol to h2 or h2c", "step %s of %s needs HTTP/2 to the endpoints, and they are spoken to over HTTP/1.1", quote(step.Name), quote(name))
				break
			}
		}
	}
}
