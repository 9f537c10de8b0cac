package configs

import (
	"crypto/x509"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// AccessLog is which requests are logged, how and where.
type AccessLog struct {
	Mode AccessMode `yaml:"mode"` // default errors
	// Sample is the share, 0 to 1, of requests that the mode sampled keeps.
	// Default 0.01.
	Sample float64      `yaml:"sample"`
	Format AccessFormat `yaml:"format"` // default json
	// Fields are those of JSON lines, in order. None: all but referer and query,
	// which may hold an application's secrets.
	Fields []AccessField `yaml:"fields"`
	// File is what the lines are appended to; it is opened anew at each reload.
	// "": standard error, where the log goes.
	File string `yaml:"file"`
	// MaskClient leaves the network of clients' addresses, in traces too: the
	// last 8 bits of IPv4, the last 80 of IPv6 are 0. Default false.
	MaskClient bool `yaml:"mask_client"`
}

func (f *File) validateAccessLog(c *checker) {
	a := &f.Log.Access
	c.share("log.access.sample", a.Sample)
	if len(a.Fields) > 0 && a.Format != AccessJSON {
		c.fail("log.access.fields", "leave them out, or set format: json", "the format %s has fields of its own", a.Format)
	}
	distinct(c, "log.access.fields", a.Fields)
}

// Tracing is which requests are told to an OpenTelemetry collector.
type Tracing struct {
	// Endpoint is the collector: http://host:4318 for OTLP over HTTP,
	// grpc://host:4317 for gRPC; https and grpcs over TLS. "", the default: no
	// request is traced, and clients' traces pass through as they are.
	Endpoint string `yaml:"endpoint"`
	// Sample is the share, 0 to 1, of requests that are recorded, but for those
	// of which a trusted proxy has decided. Default 0.01.
	Sample float64 `yaml:"sample"`
	// ServiceName is under which name the collector keeps the spans. Default
	// sluice.
	ServiceName string `yaml:"service_name"`
	// HeadersFile holds fields for the collector, such as its key: "Name: value",
	// one a line. "": none.
	HeadersFile string `yaml:"headers_file"`
	// CA is a PEM file of the authorities that the collector's certificate is
	// verified by instead of the system's.
	CA string `yaml:"ca"`

	// What the files hold, as read by Load.
	Headers map[string]Secret `yaml:"-"`
	CAPEM   []byte            `yaml:"-"`
}

// DefaultTracing traces nothing.
func DefaultTracing() Tracing { return Tracing{Sample: 0.01, ServiceName: "sluice"} }

const wantCollector = "want a URL such as http://127.0.0.1:4318 or grpc://127.0.0.1:4317, or https or grpcs for TLS"

// tracing reads and checks where spans go.
func (c *checker) tracing(t *Tracing) {
	c.share("tracing.sample", t.Sample)
	if t.ServiceName == "" {
		c.fail("tracing.service_name", "want a name such as sluice", "the name is empty")
	}
	if t.HeadersFile != "" {
		t.Headers = c.headers("tracing.headers_file", t.HeadersFile)
	}
	u, err := url.Parse(t.Endpoint)
	known := err == nil && slices.Contains([]string{"http", "https", "grpc", "grpcs"}, u.Scheme)
	switch {
	case t.Endpoint == "":
		return
	case !known || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || strings.HasPrefix(u.Scheme, "grpc") && u.Path != "":
		c.fail("tracing.endpoint", wantCollector, "%s is not a collector", quote(t.Endpoint))
		return
	case u.User != nil:
		c.fail("tracing.endpoint", "put the secret into headers_file", "a secret in a URL ends up in logs")
		return
	}
	if t.CA == "" {
		return
	}
	if !strings.HasSuffix(u.Scheme, "s") {
		c.fail("tracing.ca", "leave it out, or write "+u.Scheme+"s:// for TLS", "the collector is not reached over TLS")
		return
	}
	var ok bool
	if t.CAPEM, ok = c.read("tracing.ca", t.CA, maxPEM); ok && !x509.NewCertPool().AppendCertsFromPEM(t.CAPEM) {
		c.fail("tracing.ca", "want certificates in PEM form", "%s holds no certificate", quote(t.CA))
	}
}

// headers reads a file of fields. What is wrong is told by its line alone, since
// values are secrets.
func (c *checker) headers(path, file string) map[string]Secret {
	data, ok := c.read(path, file, maxSecret)
	if !ok {
		return nil
	}
	fields := map[string]Secret{}
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, found := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !found || !isToken(name) || value == "" || strings.ContainsFunc(value, unicode.IsControl) {
			c.fail(path, "want Name: value", "line %d of %s is no field", i+1, quote(file))
			continue
		}
		fields[name] = Secret{value}
	}
	return fields
}
