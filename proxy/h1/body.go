package h1

import (
	"io"

	"sluice/proxy/buffer"
	"sluice/proxy/head"
)

// Body reads the body of one message. It copies nothing: what it returns lies
// in the buffer. The zero value is a body of no bytes; Init makes it another.
type Body struct {
	b    *buffer.Buffer
	fill Filler
	kind int64 // head.Chunked, head.UntilClose, or 0: as many bytes as left
	left int64 // bytes to come: of the body, or of the current chunk
	err  error // set: Next returns it from now on; io.EOF after the last byte

	part     part // of a chunked body: what comes next
	scanned  int  // how much of the trailer section was looked at
	overhead int64
	data     int64 // bytes in all chunks so far
	trailers []head.Field
}

// part is where the reading of a chunked body stands.
type part uint8

const (
	chunkLine part = iota // a chunk size is due
	chunkData             // left bytes of data are due
	chunkCRLF             // the CRLF after the data is due
	trailer               // the last chunk has been; the trailer section is due
)

// Init makes d the body that begins with the next unread byte of b and is
// length bytes long, or head.Chunked, or head.UntilClose.
func (d *Body) Init(b *buffer.Buffer, fill Filler, length int64) {
	clear(d.trailers)
	*d = Body{b: b, fill: fill, trailers: d.trailers[:0]}
	if length < 0 {
		d.kind = length
	} else {
		d.left = length
	}
}

// Next returns the next bytes of the body, at least one, waiting for them if
// need be. They lie in the buffer and are valid until the next call.
//
// The error is io.EOF after the last byte, when the trailers have been read;
// io.ErrUnexpectedEOF when the stream ended before the body did; an *Error
// when the body is malformed (its status being that for a request); and else
// what Fill returned, after which Next may be called again.
func (d *Body) Next() ([]byte, error) {
	for !d.Ready() {
		if err := d.fill.Fill(d.b); err == io.EOF {
			d.streamEnded()
		} else if err != nil {
			return nil, err
		}
	}
	if d.Done() {
		return nil, io.EOF
	}
	if d.err != nil {
		return nil, d.err
	}
	p := d.b.Bytes()
	if d.kind != head.UntilClose && int64(len(p)) > d.left {
		p = p[:d.left]
	}
	d.took(int64(len(p)))
	d.b.Consume(len(p))
	d.Ready() // the end of the body may be here already: Done then knows at once
	return p, nil
}

// Ready reports whether Next would return without reading. It parses framing
// that is in the buffer already, and leaves alone the bytes that Next returned.
func (d *Body) Ready() bool {
	switch {
	case d.err != nil || d.Done():
		return true
	case d.kind == head.Chunked:
		return d.readyChunked()
	}
	return d.b.Len() > 0
}

// Buffered returns the bytes of the body that are in the buffer, and whether
// they are all that is still to come. It consumes nothing: Next returns the
// same bytes. Of a chunked body it tells nothing (nil, false) before its end.
func (d *Body) Buffered() (data []byte, whole bool) {
	switch {
	case d.Done():
		return nil, true
	case d.err != nil || d.kind == head.Chunked:
		return nil, false
	case d.kind == head.UntilClose:
		return d.b.Bytes(), false
	}
	p := d.b.Bytes()
	if int64(len(p)) < d.left {
		return p, false
	}
	return p[:d.left], true
}

// Remaining returns how many bytes of a body with a Content-Length Next has
// not returned yet, or -1 for any other body.
func (d *Body) Remaining() int64 {
	if d.kind != 0 {
		return -1
	}
	return d.left
}

// Skip tells that n bytes of a body that is not chunked, at most Remaining,
// were taken from the stream behind the buffer's back, the buffer being empty.
func (d *Body) Skip(n int64) {
	if d.kind == 0 {
		d.took(min(n, d.left))
	}
}

// Trailers returns the trailer fields of a chunked body that may be passed on,
// when Next has returned io.EOF. They lie in the buffer and are valid until it
// is next filled.
func (d *Body) Trailers() []head.Field {
	if d.err != io.EOF {
		return nil
	}
	return d.trailers
}

// Done reports whether the body has been read to its end, so that the next
// message follows in the buffer.
func (d *Body) Done() bool { return d.err == io.EOF || d.kind == 0 && d.left == 0 }

// took tells that n bytes of data were taken.
func (d *Body) took(n int64) {
	switch d.kind {
	case head.Chunked:
		if d.left -= n; d.left == 0 {
			d.part = chunkCRLF
		}
	case 0:
		d.left -= n
	}
}

// streamEnded decides what the end of the stream means to the body.
func (d *Body) streamEnded() {
	if d.err = io.ErrUnexpectedEOF; d.kind == head.UntilClose {
		d.err = io.EOF
	}
}
