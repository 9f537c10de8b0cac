// Package replay sends the requests of an access log again: it reads logs of
// any size in bounded memory, keeps each session's requests in order, and says
// how the target answered.
package replay

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Request is what a line of a log tells of a request. What the line doesn't
// tell is empty.
type Request struct {
	At        time.Time // when it began or was logged
	Client    string
	Method    string
	Target    string // path and query as they go onto the wire
	Host      string
	UserAgent string
	Referer   string
	Service   string // that answered; only logs of Sluice tell
	Status    int    // as logged
	Session   string // what holds requests together; empty: it stands alone

	due  time.Time // when it is to be sent; zero: as soon as may be
	held int       // bytes that it holds: its texts are parts of the whole line
}

// setRequestLine takes a request's first line apart: METHOD TARGET HTTP/x.
func (r *Request) setRequestLine(line string) error {
	method, rest, ok := strings.Cut(line, " ")
	if !ok {
		return fmt.Errorf("%s is no request line", shown(line))
	}
	if i := strings.LastIndexByte(rest, ' '); i >= 0 {
		if !strings.HasPrefix(rest[i+1:], "HTTP/") {
			return fmt.Errorf("%s is no request line", shown(line))
		}
		rest = rest[:i]
	}
	r.Method, r.Target = method, rest
	return nil
}

// check makes sure that the request can be sent as it is: nothing that a log
// holds may become a second request on the wire (RFC 9112, section 3).
func (r *Request) check() error {
	if r.Method == "" {
		return errors.New("there is no method")
	}
	if !isToken(r.Method) || len(r.Method) > 32 {
		return fmt.Errorf("the method %s is not one", shown(r.Method))
	}
	r.cutAuthority()
	if !strings.HasPrefix(r.Target, "/") {
		return fmt.Errorf("the target %s does not begin with a slash", shown(r.Target))
	}
	for i := 0; i < len(r.Target); i++ {
		if c := r.Target[i]; c <= ' ' || c == 0x7f || c == '#' {
			return fmt.Errorf("the target %s holds %q", shown(r.Target), c)
		}
	}
	r.Target = escapeHigh(r.Target)
	if !isHost(r.Host) {
		return fmt.Errorf("the host %s is not one", shown(r.Host))
	}
	// A field that can't be sent is left out; the request is still worth sending.
	if !isFieldValue(r.UserAgent) {
		r.UserAgent = ""
	}
	if !isFieldValue(r.Referer) {
		r.Referer = ""
	}
	if r.Status < 100 || r.Status > 599 {
		r.Status = 0
	}
	return nil
}

// cutAuthority takes the host off a target in absolute form, as proxies and
// some loggers write it.
func (r *Request) cutAuthority() {
	for _, scheme := range []string{"http://", "https://"} {
		rest, ok := strings.CutPrefix(r.Target, scheme)
		if !ok {
			continue
		}
		host, path := rest, ""
		if i := strings.IndexAny(rest, "/?"); i >= 0 {
			host, path = rest[:i], rest[i:]
		}
		if !strings.HasPrefix(path, "/") {
			path = "/" + path
		}
		r.Host, r.Target = host, path
		return
	}
}

// escapeHigh writes bytes beyond ASCII, which nginx logs as they came, as a URI
// holds them (RFC 3986, section 2.1).
func escapeHigh(s string) string {
	const digits = "0123456789ABCDEF"
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 }) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 0x80 {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			continue
		}
		if strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isHost reports whether s can stand in a Host field; none can.
func isHost(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			continue
		}
		if strings.IndexByte("-._:[]", c) < 0 {
			return false
		}
	}
	return len(s) <= 261
}

// isFieldValue reports whether s can be a field's value (RFC 9110, section 5.5).
func isFieldValue(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// clientOf returns an address without its port.
func clientOf(s string) string {
	if a, err := netip.ParseAddrPort(s); err == nil {
		return a.Addr().String()
	}
	return s
}

// shown quotes what a log holds for a message, at a bounded length.
func shown(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return fmt.Sprintf("%q", s)
}
