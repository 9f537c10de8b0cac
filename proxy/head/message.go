// Package head holds the heads of HTTP messages as plain types: what every
// codec (proxy/h1, later proxy/h2) parses into, and all that the life of a
// request reads.
//
// Every string in a head aliases the buffer that the message was read into.
// It is valid until that buffer is released; whatever must outlive the
// exchange is cloned with strings.Clone.
package head

// Proto is the protocol version of a message.
type Proto uint8

// The protocol versions, in rising order.
const (
	HTTP10 Proto = iota + 1
	HTTP11
	HTTP2
)

// String returns the version as it is written in logs and in Via: "1.0",
// "1.1" or "2".
func (p Proto) String() string {
	switch p {
	case HTTP10:
		return "1.0"
	case HTTP11:
		return "1.1"
	case HTTP2:
		return "2"
	}
	return "?"
}

// Lengths of bodies that are not known beforehand.
const (
	Chunked    int64 = -1 // ends itself: chunked in HTTP/1.1, END_STREAM in HTTP/2
	UntilClose int64 = -2 // a response's alone: ends with the connection
)

// Request is the head of a request, validated and with its framing decided.
// The zero value is an empty request, ready to be parsed into.
type Request struct {
	Method string
	Target string // request target in origin form ("/a?b") or "*"; absolute form is already split up
	Path   string // Target up to the first '?'
	Query  string // what follows the first '?'; "" when there is none
	Host   string // authority as sent, with its port if any: of an absolute-form target, else of the Host field; "" only in HTTP/1.0
	Proto  Proto
	Fields []Field // in order; the slice's capacity is reused from request to request

	// Length is the length of the body in bytes, 0 for none, or Chunked.
	Length int64
	// Close is set when the connection must not be reused after this request:
	// "Connection: close", or HTTP/1.0 without keep-alive.
	Close bool
	// ExpectContinue is set when the client waits for 100 Continue.
	ExpectContinue bool
	// Upgrade is the value of the Upgrade field where "Connection: upgrade"
	// names it; "" when no upgrade is asked for.
	Upgrade string
}

// Response is the head of a response, validated and with its framing decided.
type Response struct {
	Status int
	Reason string // reason phrase as sent; may be empty
	Proto  Proto
	Fields []Field

	// Length is the length of the body in bytes, 0 for none (also where the
	// request's method or the status forbids a body), Chunked or UntilClose.
	Length int64
	// Declared is the Content-Length as sent, or -1: a response to HEAD, and a
	// 304, declare a length that their body does not have.
	Declared int64
	// Close is set when the connection must not be reused after this response.
	Close bool
}

// Reset empties the request and keeps the memory of Fields.
func (r *Request) Reset() {
	clear(r.Fields)
	*r = Request{Fields: r.Fields[:0]}
}

// Reset empties the response and keeps the memory of Fields.
func (r *Response) Reset() {
	clear(r.Fields)
	*r = Response{Fields: r.Fields[:0], Declared: -1}
}

// Get returns the value of the first field with this name, which is compared
// without case, and whether there is one. Lower must be in lower case.
func (r *Request) Get(lower string) (string, bool) { return get(r.Fields, lower) }

// Lookup returns the value of the first field with this identity, and whether
// there is one.
func (r *Request) Lookup(id ID) (string, bool) { return lookup(r.Fields, id) }

// Lookup returns the value of the first field with this identity, and whether
// there is one.
func (r *Response) Lookup(id ID) (string, bool) { return lookup(r.Fields, id) }

// Get returns the value of the first field with this name, which is compared
// without case, and whether there is one. Lower must be in lower case.
func (r *Response) Get(lower string) (string, bool) { return get(r.Fields, lower) }

func get(fields []Field, lower string) (string, bool) {
	for i := range fields {
		if f := &fields[i]; len(f.Name) == len(lower) && EqualFold(f.Name, lower) {
			return f.Value, true
		}
	}
	return "", false
}

func lookup(fields []Field, id ID) (string, bool) {
	for i := range fields {
		if fields[i].ID == id {
			return fields[i].Value, true
		}
	}
	return "", false
}

// IsSafe reports whether the method is safe (RFC 9110, section 9.2.1): it
// asks for nothing to change.
func (r *Request) IsSafe() bool {
	switch r.Method {
	case "GET", "HEAD", "OPTIONS", "TRACE":
		return true
	}
	return false
}

// IsIdempotent reports whether sending the request twice has the effect of
// sending it once (RFC 9110, section 9.2.2).
func (r *Request) IsIdempotent() bool {
	switch r.Method {
	case "PUT", "DELETE":
		return true
	}
	return r.IsSafe()
}
