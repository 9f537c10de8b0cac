package h1

import "math"

// Limits of a chunked body's framing. A peer could otherwise keep us reading
// for ever by extensions that carry no data.
const (
	maxChunkLine   = 1 << 10  // bytes of a line with a chunk size; a signed AWS upload sends 90
	maxOverhead    = 16 << 10 // bytes of extensions, over as many as there are bytes of data
	maxChunkDigits = 16
)

// readyChunked goes on through the framing that is in the buffer, up to data,
// the end or an error; false tells that more bytes are needed first.
//
//	chunked-body = *chunk last-chunk trailer-section CRLF  (RFC 9112, section 7.1)
func (d *Body) readyChunked() bool {
	for d.err == nil {
		var r *rule
		switch d.part {
		case chunkLine:
			r = d.readChunkLine()
		case chunkData:
			return d.b.Len() > 0
		case chunkCRLF:
			r = d.readChunkCRLF()
		case trailer:
			r = d.readTrailers()
		}
		switch r {
		case nil:
		case incomplete:
			return false
		default:
			d.err = &r.request
		}
	}
	return true
}

// readChunkLine consumes the line before a chunk's data.
func (d *Body) readChunkLine() *rule {
	p := d.b.Bytes()
	p = p[:min(len(p), maxChunkLine)]
	size, digits, r := parseChunkSize(p)
	i := digits
	if r == nil {
		i, r = skipExtensions(p, i)
	}
	if r == nil {
		r = lineEnd(p, i)
	}
	if r != nil {
		if r == incomplete && len(p) == maxChunkLine {
			return chunkLineLong
		}
		return r
	}
	d.overhead += int64(i - digits)
	if d.data += size; d.data < 0 {
		d.data = math.MaxInt64 / 2
	}
	if d.overhead-maxOverhead > d.data {
		return chunkOverhead
	}
	d.b.Consume(i + len("\r\n"))
	d.left, d.part = size, chunkData
	if size == 0 {
		d.part = trailer
	}
	return nil
}

// parseChunkSize reads a chunk size: hexadecimal digits and nothing else.
func parseChunkSize(p []byte) (size int64, digits int, r *rule) {
	for digits < len(p) && classes[p[digits]]&hexByte != 0 {
		c := p[digits]
		switch {
		case digits == maxChunkDigits:
			return 0, 0, badChunkSize
		case size > math.MaxInt64>>4:
			return 0, 0, chunkTooLarge
		case c <= '9':
			c -= '0'
		default:
			c = c | 0x20 - 'a' + 10
		}
		size = size<<4 | int64(c)
		digits++
	}
	switch {
	case digits == len(p):
		return 0, 0, incomplete
	case digits == 0:
		return 0, 0, unfit(p, 0, badChunkSize)
	case p[digits] != ';' && p[digits] != '\r':
		return 0, 0, unfit(p, digits, badChunkSize)
	}
	return size, digits, nil
}

// skipExtensions returns where the chunk extensions at i end. They are
// validated and dropped, as a recipient ignores those that it does not know.
// The "bad white space" that the grammar has around them is refused.
//
//	chunk-ext = *( ";" token [ "=" ( token / quoted-string ) ] )  (RFC 9112, section 7.1.1)
func skipExtensions(p []byte, i int) (int, *rule) {
	for i < len(p) && p[i] == ';' {
		start := i + 1
		if i = skipClass(p, start, tokenByte); i == start {
			return 0, unfit(p, i, badExtension)
		}
		if i == len(p) || p[i] != '=' {
			continue
		}
		start = i + 1
		if start < len(p) && p[start] == '"' {
			var r *rule
			if i, r = skipQuoted(p, start); r != nil {
				return 0, r
			}
		} else if i = skipClass(p, start, tokenByte); i == start {
			return 0, unfit(p, i, badExtension)
		}
	}
	if i == len(p) || p[i] != '\r' {
		return 0, unfit(p, i, badExtension)
	}
	return i, nil
}

// skipQuoted returns where the quoted-string that begins at i ends.
func skipQuoted(p []byte, i int) (int, *rule) {
	for i++; ; i++ {
		i = skipClass(p, i, quotedByte)
		switch {
		case i < len(p) && p[i] == '"':
			return i + 1, nil
		case i == len(p) || p[i] != '\\':
			return 0, unfit(p, i, badExtension)
		}
		i++
		if i == len(p) || classes[p[i]]&textByte == 0 {
			return 0, unfit(p, i, badExtension)
		}
	}
}

// skipClass returns the index of the first byte at or after i that is not of
// the class.
func skipClass(p []byte, i int, c class) int {
	for i < len(p) && classes[p[i]]&c != 0 {
		i++
	}
	return i
}

// readChunkCRLF consumes the CRLF after a chunk's data.
func (d *Body) readChunkCRLF() *rule {
	p := d.b.Bytes()
	switch {
	case len(p) == 0:
		return incomplete
	case p[0] != '\r':
		return chunkEnd
	case len(p) == 1:
		return incomplete
	case p[1] != '\n':
		return chunkEnd
	}
	d.b.Consume(len("\r\n"))
	d.part = chunkLine
	return nil
}
