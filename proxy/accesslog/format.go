package accesslog

import (
	"fmt"
	"strings"
)

// Format is how a line looks.
type Format uint8

// The formats. The zero value is JSON.
const (
	JSON     Format = iota // an object
	Common                 // Apache's "%h %l %u %t \"%r\" %>s %b"
	Combined               // that, with Referer and User-Agent
)

// Field is a member of a JSON line.
type Field uint8

// The fields, in the order in which they stand where nothing else is said.
const (
	Level Field = iota
	Time
	Message
	Listener
	Client
	Method
	Host
	Path
	Proto
	TLS
	Status
	Took
	Connect
	Wait
	Body
	BytesIn
	BytesOut
	Service
	Version
	Tags
	Reason
	Endpoint
	Retries
	CutOff
	ShieldedFrom
	ShieldedStatus
	FallbackFrom
	Failure
	TraceID
	RequestID
	Synthetic
	UserAgent
	Referer
	Query
	fields
)

var fieldNames = [fields]string{
	"level", "ts", "msg", "listener", "client", "method", "host", "path", "proto", "tls", "status",
	"took", "connect", "wait", "body", "bytes_in", "bytes_out", "service", "version", "tags", "reason", "endpoint", "retries",
	"cut_off", "shielded_from", "shielded_status", "fallback_from", "failure", "trace_id", "request_id", "synthetic", "user_agent", "referer", "query",
}

// String returns the field's name in the line.
func (f Field) String() string {
	if f < fields {
		return fieldNames[f]
	}
	return "?"
}

// ParseField returns the field of that name.
func ParseField(name string) (Field, error) {
	for f, known := range fieldNames {
		if name == known {
			return Field(f), nil
		}
	}
	return 0, fmt.Errorf("unknown field %q; there are %s", name, strings.Join(fieldNames[:], ", "))
}

// DefaultFields are all but Referer and Query, which may hold an application's
// secrets.
func DefaultFields() []Field {
	var all []Field
	for f := range Referer {
		all = append(all, f)
	}
	return all
}

// Layout is what is told of a request, and how. The zero value is a JSON object
// of DefaultFields.
type Layout struct {
	Format Format
	Fields []Field // of JSON, in order; none: DefaultFields
	// MaskClient leaves the network of a client's address: see Mask.
	MaskClient bool
}

// WithDefaults fills in the fields.
func (l Layout) WithDefaults() Layout {
	if len(l.Fields) == 0 {
		l.Fields = DefaultFields()
	}
	return l
}

// Append writes an entry as a line, its end included.
func (l *Layout) Append(dst []byte, e *Entry) []byte {
	client := e.Client
	if l.MaskClient {
		client = Mask(client)
	}
	if l.Format == JSON {
		return appendObject(dst, l.Fields, e, client)
	}
	return appendApache(dst, e, client, l.Format == Combined)
}
