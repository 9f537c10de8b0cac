// Package h1 is the HTTP/1.1 wire format: it parses, validates, frames and
// writes messages, and knows nothing of sockets.
//
// It follows RFC 9110 and RFC 9112 without their leniencies. Two parsers that
// read one message differently are how requests get smuggled past a proxy, so
// whatever could be read in two ways is an *Error and never a guess: a bare LF,
// a folded line, two lengths, a space before a colon, a sloppy chunk size.
//
// Parsed heads alias the buffer that they came in: reading a message allocates
// nothing.
package h1

import "sluice/proxy/buffer"

// Filler is where more bytes come from: a connection.
type Filler interface {
	// Fill reads more bytes into b, waiting for at least one. It returns io.EOF
	// at the end of the stream, having added nothing.
	Fill(b *buffer.Buffer) error
}

// Limits bound what one message may ask for. A zero or negative value takes
// that of DefaultLimits.
type Limits struct {
	HeadBytes int // of a head with its line ends; at most buffer.Large. Over: 431
	Fields    int // header fields of a head. Over: 431
	URIBytes  int // of a request target. Over: 414
}

// DefaultLimits are the limits of a proxy that was not told otherwise.
var DefaultLimits = Limits{HeadBytes: buffer.Large, Fields: 128, URIBytes: 32 << 10}

// orDefault fills in what was left open.
func (l *Limits) orDefault() Limits {
	if l == nil {
		return DefaultLimits
	}
	out := *l
	if out.HeadBytes <= 0 || out.HeadBytes > buffer.Large {
		out.HeadBytes = DefaultLimits.HeadBytes
	}
	if out.Fields <= 0 {
		out.Fields = DefaultLimits.Fields
	}
	if out.URIBytes <= 0 {
		out.URIBytes = DefaultLimits.URIBytes
	}
	return out
}
