package h2

import (
	"strings"

	"sluice/proxy/head"
)

// Refusal is a request that is refused. Status is what to answer; 0 means that
// the request is malformed (RFC 9113, section 8.1.1), and its stream is reset
// with PROTOCOL_ERROR.
type Refusal struct {
	Status int
	Reason string // what was wrong, in plain words
}

// Error returns the reason.
func (r *Refusal) Error() string { return r.Reason }

// Rules of requests. Those that HTTP/1.1 shares have its status.
var (
	pseudoLate     = &Refusal{0, "a pseudo-header field behind a header field, or a field without a name"}
	pseudoTwice    = &Refusal{0, "a pseudo-header field that comes twice"}
	pseudoUnknown  = &Refusal{0, "a pseudo-header field that requests don't have"}
	pseudoMissing  = &Refusal{0, "a request without :method, :scheme or :path"}
	pseudoTrailer  = &Refusal{0, "a pseudo-header field in trailers"}
	connectFields  = &Refusal{0, "a CONNECT with :scheme or :path, or without :authority"}
	protocolFields = &Refusal{0, ":protocol in a request that is not CONNECT, or without :authority"}
	emptyPath      = &Refusal{0, ":path is empty"}
	connSpecific   = &Refusal{0, "a field that belongs to HTTP/1.1 connections"}
	badTE          = &Refusal{0, "TE other than trailers"}
	hostTwice      = &Refusal{0, "more than one Host"}
	hostDiffers    = &Refusal{0, "Host and :authority differ"}
	lengthTwice    = &Refusal{0, "more than one Content-Length"}
	badLength      = &Refusal{0, "Content-Length is not one decimal number"}
	lengthNoBody   = &Refusal{0, "a Content-Length above 0 without DATA"}
	badTrailer     = &Refusal{0, "a trailer field that decides framing or routing"}

	badMethod   = &Refusal{400, ":method is not a token"}
	badScheme   = &Refusal{400, ":scheme is neither http nor https"}
	badPath     = &Refusal{400, ":path is not a path, or has a character that is not allowed there"}
	badEscape   = &Refusal{400, "a % in :path that two hexadecimal digits do not follow"}
	noHost      = &Refusal{400, "a request without :authority and Host"}
	badHost     = &Refusal{400, "the host is not a name, an IPv4 or a bracketed IPv6 address with an optional port"}
	pathTooLong = &Refusal{414, ":path is too long"}
	badExpect   = &Refusal{417, "an expectation other than 100-continue"}
	noConnect   = &Refusal{501, "CONNECT is not served here: this is a reverse proxy"}
	badProtocol = &Refusal{501, "extended CONNECT for a protocol other than websocket"}
)

// pseudo gathers the pseudo-header fields of a request.
type pseudo struct{ method, scheme, authority, path, protocol *string }

// Request makes req a request from its fields, decoded, pseudo-header fields
// included, and takes over their memory. It is given whether END_STREAM came
// with the fields, and the longest :path that is allowed, in bytes.
//
// The request is what HTTP/1.1 would have read: Target in origin form, Host
// from :authority or else Host, Length from Content-Length, 0 or head.Chunked. An
// extended CONNECT for a WebSocket (RFC 8441) has the method GET, and Upgrade
// says "websocket".
func Request(req *head.Request, fields []head.Field, end bool, maxPath int) *Refusal {
	var p pseudo
	n, r := p.gather(fields)
	*req = head.Request{Proto: head.HTTP2, Fields: append(req.Fields[:0], fields[n:]...)}
	if r != nil {
		return r
	}
	var f regular
	for i := range req.Fields {
		if r := f.note(&req.Fields[i]); r != nil {
			return r
		}
	}
	req.Host = f.host
	if p.authority != nil {
		req.Host = *p.authority
		if f.hasHost && !strings.EqualFold(f.host, req.Host) {
			return hostDiffers
		}
	}
	if r := p.line(req, maxPath); r != nil {
		return r
	}
	switch {
	case req.Host == "":
		return noHost
	case !head.ValidHost(req.Host):
		return badHost
	case f.expectOther:
		return badExpect
	}
	return f.frame(req, end)
}

// gather takes the pseudo-header fields, which come first, and returns how many
// they are.
func (p *pseudo) gather(fields []head.Field) (int, *Refusal) {
	for i := range fields {
		f := &fields[i]
		if len(f.Name) == 0 || f.Name[0] != ':' {
			return i, nil
		}
		var place **string
		switch f.Name {
		case ":method":
			place = &p.method
		case ":scheme":
			place = &p.scheme
		case ":authority":
			place = &p.authority
		case ":path":
			place = &p.path
		case ":protocol":
			place = &p.protocol
		default:
			return i, pseudoUnknown
		}
		if *place != nil {
			return i, pseudoTwice
		}
		*place = &f.Value
	}
	return len(fields), nil
}

// line judges what HTTP/1.1 says in the request line.
func (p *pseudo) line(req *head.Request, maxPath int) *Refusal {
	if p.method == nil {
		return pseudoMissing
	}
	req.Method = *p.method
	switch {
	case p.protocol != nil && (req.Method != "CONNECT" || p.authority == nil):
		return protocolFields
	case req.Method == "CONNECT" && p.protocol == nil:
		if p.scheme != nil || p.path != nil || p.authority == nil {
			return connectFields
		}
		return noConnect
	case p.scheme == nil || p.path == nil:
		return pseudoMissing
	case !head.IsToken(req.Method):
		return badMethod
	case !head.EqualFold(*p.scheme, "https") && !head.EqualFold(*p.scheme, "http"):
		return badScheme
	}
	if p.protocol != nil {
		if *p.protocol != "websocket" {
			return badProtocol
		}
		req.Method, req.Upgrade = "GET", *p.protocol
	}
	return target(req, *p.path, maxPath)
}

// target judges :path (RFC 9113, section 8.3.1), which is sent on as the
// request target of HTTP/1.1.
func target(req *head.Request, path string, maxPath int) *Refusal {
	switch {
	case path == "":
		return emptyPath
	case len(path) > maxPath:
		return pathTooLong
	case !head.IsTarget(path):
		return badPath
	case path[0] != '/' && (path != "*" || req.Method != "OPTIONS"):
		return badPath
	}
	req.Target, req.Path = path, path
	if i := strings.IndexByte(path, '?'); i >= 0 {
		req.Path, req.Query = path[:i], path[i+1:]
	}
	if strings.IndexByte(req.Path, '%') >= 0 && !head.ValidEscapes(req.Path) {
		return badEscape
	}
	return nil
}

// regular gathers what the other fields decide.
type regular struct {
	host                    string
	length                  int64
	hasHost, hasLength      bool
	expectBody, expectOther bool
}

// note takes in one field. The decoder has judged its name and its value.
func (f *regular) note(field *head.Field) *Refusal {
	switch field.ID {
	case head.Other:
		if field.Name == "" || field.Name[0] == ':' {
			return pseudoLate
		}
	case head.Connection, head.KeepAlive, head.ProxyConnection, head.TransferEncoding, head.Upgrade:
		return connSpecific
	case head.TE:
		if !head.EqualFold(field.Value, "trailers") {
			return badTE
		}
	case head.Host:
		if f.hasHost {
			return hostTwice
		}
		f.hasHost, f.host = true, field.Value
	case head.ContentLength:
		if f.hasLength {
			return lengthTwice
		}
		f.hasLength = true
		return f.parseLength(field.Value)
	case head.Expect:
		f.expectBody = head.EqualFold(field.Value, "100-continue")
		f.expectOther = !f.expectBody
	}
	return nil
}

// parseLength reads a Content-Length: 1*DIGIT (RFC 9110, section 8.6).
func (f *regular) parseLength(value string) *Refusal {
	if value == "" || len(value) > 18 { // 10^18 bytes are enough, and can't overflow
		return badLength
	}
	for i := range len(value) {
		c := value[i] - '0'
		if c > 9 {
			return badLength
		}
		f.length = f.length*10 + int64(c)
	}
	return nil
}

// frame decides how long the body is.
func (f *regular) frame(req *head.Request, end bool) *Refusal {
	switch {
	case req.Upgrade != "":
		if f.hasLength {
			return lengthNoBody // what follows is a tunnel
		}
	case end:
		if f.length > 0 {
			return lengthNoBody
		}
	case f.hasLength:
		req.Length = f.length
	default:
		req.Length = head.Chunked
	}
	req.ExpectContinue = f.expectBody && req.Length != 0
	return nil
}

// Trailers judges the fields of trailers and returns, in place, those that may
// be passed on (RFC 9110, section 6.5.1): all but those that a proxy knows,
// which would change what was decided by them.
func Trailers(fields []head.Field) ([]head.Field, *Refusal) {
	kept := fields[:0]
	for _, f := range fields {
		if len(f.Name) == 0 || f.Name[0] == ':' {
			return nil, pseudoTrailer
		}
		switch f.ID {
		case head.ContentLength, head.TransferEncoding, head.Host, head.Connection, head.Upgrade, head.KeepAlive, head.ProxyConnection:
			return nil, badTrailer
		case head.Other:
			if !head.HeaderOnly(f.Name) {
				kept = append(kept, f)
			}
		}
	}
	return kept, nil
}
