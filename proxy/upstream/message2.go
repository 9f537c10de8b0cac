package upstream

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"sluice/proxy/head"
)

// errNoMessage is returned for text that is no request. The proxy writes none
// such.
var errNoMessage = errors.New("not the text of a request")

// newRequest makes a library's request of the text of an HTTP/1.1 request with
// lines ended by CRLF: so an endpoint is told the same in either version. What
// follows the head is its body. Fields of the connection are left out (RFC 9113,
// section 8.2.2). Nothing but message is referred to.
func newRequest(message, scheme, endpoint string) (*http.Request, error) {
	top, body, whole := strings.Cut(message, "\r\n\r\n")
	line, fields, _ := strings.Cut(top, "\r\n")
	method, rest, ok := strings.Cut(line, " ")
	target, _, ok2 := strings.Cut(rest, " ")
	if !whole || !ok || !ok2 {
		return nil, errNoMessage
	}
	req := &http.Request{
		Method: method, URL: &url.URL{Scheme: scheme, Host: endpoint}, Header: make(http.Header, 16),
		Proto: "HTTP/2.0", ProtoMajor: 2,
	}
	setTarget(req.URL, target)
	for fields != "" {
		var name, value string
		line, fields, _ = strings.Cut(fields, "\r\n")
		if name, value, ok = strings.Cut(line, ": "); !ok {
			return nil, errNoMessage
		}
		addField(req, name, value)
	}
	if _, has := req.Header["User-Agent"]; !has {
		req.Header["User-Agent"] = []string{""} // else the library writes its own
	}
	if body != "" {
		req.Body = noClose{strings.NewReader(body)}
	}
	return req, nil
}

// noClose is the reader of a body that is here whole.
type noClose struct{ *strings.Reader }

// Close implements io.Closer.
func (noClose) Close() error { return nil }

// setTarget sets what is asked for, to be sent as it stands.
func setTarget(u *url.URL, target string) {
	if !strings.HasPrefix(target, "//") {
		u.Opaque = target
		return
	}
	// The library would take it for an authority.
	path, query, asked := strings.Cut(target, "?")
	u.RawQuery, u.ForceQuery = query, asked
	u.Path, u.RawPath = path, path
	if plain, err := url.PathUnescape(path); err == nil {
		u.Path = plain
	}
}

// addField adds a field to a request.
func addField(req *http.Request, name, value string) {
	switch head.Identify(name) {
	case head.Host:
		req.Host = value
	case head.Connection, head.KeepAlive, head.ProxyConnection, head.Upgrade:
	case head.TransferEncoding:
		req.ContentLength = -1
	case head.ContentLength:
		req.ContentLength, _ = strconv.ParseInt(value, 10, 64) // the proxy's own figure
	case head.Trailer:
		announce(req, value)
	default:
		req.Header.Add(name, value)
	}
}

// announce takes in the names of the trailers that are to follow.
func announce(req *http.Request, names string) {
	if req.Trailer == nil {
		req.Trailer = http.Header{}
	}
	for name := range strings.SplitSeq(names, ",") {
		switch name = http.CanonicalHeaderKey(strings.Trim(name, " \t")); name {
		case "", "Transfer-Encoding", "Trailer", "Content-Length": // not for trailers (RFC 9110, section 6.5.1)
		default:
			req.Trailer[name] = nil
		}
	}
}

// fillResponse takes over the head of a response.
func fillResponse(res *head.Response, from *http.Response, isHead bool) {
	res.Reset()
	res.Status, res.Proto = from.StatusCode, head.HTTP2
	if len(from.Trailer) > 0 {
		names := make([]string, 0, len(from.Trailer))
		for name := range from.Trailer {
			names = append(names, name)
		}
		res.Fields = append(res.Fields, head.Field{ID: head.Trailer, Name: "Trailer", Value: strings.Join(names, ", ")})
	}
	res.Fields = appendHeader(res.Fields, from.Header)
	if _, has := from.Header["Content-Length"]; has && len(from.Trailer) == 0 {
		res.Declared = from.ContentLength
	}
	switch {
	case isHead || from.StatusCode == http.StatusNoContent || from.StatusCode == http.StatusNotModified:
	case from.ContentLength < 0, len(from.Trailer) > 0: // a body of known length leaves no room for trailers
		res.Length = head.Chunked
	default:
		res.Length = from.ContentLength
	}
}

// appendHeader appends a library's fields.
func appendHeader(fields []head.Field, h http.Header) []head.Field {
	for name, values := range h {
		id := head.Identify(name)
		for _, value := range values {
			fields = append(fields, head.Field{ID: id, Name: name, Value: value})
		}
	}
	return fields
}
