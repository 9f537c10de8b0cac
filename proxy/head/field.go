package head

// Field is one header or trailer field. Name and Value alias the memory of the
// message they came with and live as long as that message; clone what must
// stay.
type Field struct {
	ID    ID     // the field's identity where it is one that Sluice knows, else Other
	Name  string // as received
	Value string // without surrounding white space
}

// ID names the fields that the proxy itself must understand, so that a name is
// compared once, when it is parsed, and never again.
type ID uint8

// The known fields. Other, the zero value, is any field that is not listed.
const (
	Other ID = iota
	Authorization
	Baggage
	CacheControl
	ClientCert
	ClientCertChain
	Connection
	ContentLength
	ContentType
	Cookie
	Date
	Expect
	Forwarded
	Host
	KeepAlive
	Origin
	ProxyAuthenticate
	ProxyAuthorization
	ProxyConnection
	Server
	SetCookie
	SluiceField // any name that begins with "Sluice-"
	TE
	Traceparent
	Tracestate
	Trailer
	TransferEncoding
	Upgrade
	UserAgent
	Via
	XForwardedFor
	XForwardedHost
	XForwardedPort
	XForwardedProto
	XRealIP
	XRequestID
	numIDs
)

// names holds the lower-case name of each known field.
var names = [numIDs]string{
	Authorization:      "authorization",
	Baggage:            "baggage",
	CacheControl:       "cache-control",
	ClientCert:         "client-cert",
	ClientCertChain:    "client-cert-chain",
	Connection:         "connection",
	ContentLength:      "content-length",
	ContentType:        "content-type",
	Cookie:             "cookie",
	Date:               "date",
	Expect:             "expect",
	Forwarded:          "forwarded",
	Host:               "host",
	KeepAlive:          "keep-alive",
	Origin:             "origin",
	ProxyAuthenticate:  "proxy-authenticate",
	ProxyAuthorization: "proxy-authorization",
	ProxyConnection:    "proxy-connection",
	Server:             "server",
	SetCookie:          "set-cookie",
	TE:                 "te",
	Traceparent:        "traceparent",
	Tracestate:         "tracestate",
	Trailer:            "trailer",
	TransferEncoding:   "transfer-encoding",
	Upgrade:            "upgrade",
	UserAgent:          "user-agent",
	Via:                "via",
	XForwardedFor:      "x-forwarded-for",
	XForwardedHost:     "x-forwarded-host",
	XForwardedPort:     "x-forwarded-port",
	XForwardedProto:    "x-forwarded-proto",
	XRealIP:            "x-real-ip",
	XRequestID:         "x-request-id",
}

// String returns the lower-case name of a known field, "sluice-*" for
// SluiceField and "" for Other.
func (id ID) String() string {
	if id == SluiceField {
		return "sluice-*"
	}
	if id < numIDs {
		return names[id]
	}
	return ""
}

// Identify returns the identity of a field name, in any case of letters.
func Identify(name string) ID {
	if len(name) > len("sluice-") && (name[0]|0x20) == 's' && EqualFold(name[:7], "sluice-") {
		return SluiceField
	}
	if len(name) >= len(byLength) {
		return Other
	}
	for _, id := range byLength[len(name)] {
		if known := names[id]; name[0]|0x20 == known[0] && EqualFold(name, known) {
			return id
		}
	}
	return Other
}

// byLength lists the known fields by the length of their names: at most five
// share a length, so a name is told from all of them in a few comparisons.
var byLength = func() (table [20][]ID) {
	for id := Other + 1; id < numIDs; id++ {
		if n := len(names[id]); n > 0 {
			table[n] = append(table[n], id)
		}
	}
	return table
}()

// EqualFold reports whether name equals lower, a lower-case field name,
// letters of ASCII being compared without case. A byte above 0x7F equals
// itself alone (unlike strings.EqualFold, for which a Kelvin sign is a k).
func EqualFold(name, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := name[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}
