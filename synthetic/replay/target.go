package replay

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"sluice/proxy/h1"
	"sluice/proxy/head"
)

// Target is who is asked.
type Target struct {
	Name    string // in the report, such as "v2"
	URL     *url.URL
	Connect string         // host:port to connect to instead of the URL's; "": that
	Host    string         // for every request; "": the log's, or else the URL's
	Roots   *x509.CertPool // whom a certificate is to be signed by; nil: those of the system

	fields []byte // of every request, as they go onto the wire
	cookie string // of every request, before those of its session
	has    struct{ agent, referer bool }
}

// Add has every request carry a field, such as an override token. One that the
// log tells of, too, takes the place of the log's.
func (t *Target) Add(name, value string) error {
	value = strings.Trim(value, " \t")
	if !head.IsToken(name) || !isFieldValue(value) {
		return fmt.Errorf("the field %s can't be sent", shown(name+": "+value))
	}
	switch head.Identify(name) {
	case head.Host:
		return errors.New("the host of requests is set apart from their other fields")
	case head.Connection, head.ContentLength, head.Expect, head.KeepAlive, head.ProxyConnection, head.TE, head.Trailer, head.TransferEncoding, head.Upgrade:
		return fmt.Errorf("the field %s belongs to the connection: a replay decides it", name)
	case head.Cookie:
		t.cookie = join(t.cookie, value)
		return nil
	case head.UserAgent:
		t.has.agent = true
	default:
		t.has.referer = t.has.referer || head.EqualFold(name, "referer")
	}
	t.fields = h1.AppendField(t.fields, name, value)
	return nil
}

// join joins the pairs of two Cookie fields.
func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// address returns where to connect to.
func (t *Target) address() string {
	if t.Connect != "" {
		return t.Connect
	}
	port := "80"
	if t.URL.Scheme == "https" {
		port = "443"
	}
	return net.JoinHostPort(t.URL.Hostname(), cmp.Or(t.URL.Port(), port))
}

// host returns the host of a request. The zone of an address is this machine's
// alone (RFC 6874, section 1).
func (t *Target) host(r *Request) string {
	if host := cmp.Or(t.Host, r.Host); host != "" {
		return host
	}
	name, zone, zoned := strings.Cut(t.URL.Host, "%")
	if !zoned {
		return name
	}
	_, port, _ := strings.Cut(zone, "]")
	return name + "]" + port
}

// appendRequest appends a request's head, which is all of it. Its target goes
// onto the wire as it was logged.
func (t *Target) appendRequest(dst []byte, r *Request, cookies *jar) []byte {
	dst = h1.AppendRequestLine(dst, r.Method, r.Target)
	dst = h1.AppendField(dst, "Host", t.host(r))
	if r.UserAgent != "" && !t.has.agent {
		dst = h1.AppendField(dst, "User-Agent", r.UserAgent)
	}
	if r.Referer != "" && !t.has.referer {
		dst = h1.AppendField(dst, "Referer", r.Referer)
	}
	dst = append(dst, t.fields...)
	cookie := t.cookie
	if cookies != nil {
		cookie = join(cookie, cookies.field(r.Host))
	}
	if cookie != "" {
		dst = h1.AppendField(dst, "Cookie", cookie)
	}
	if r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH" { // RFC 9110, section 8.6
		dst = h1.AppendContentLength(dst, 0)
	}
	return append(dst, h1.CRLF...)
}
