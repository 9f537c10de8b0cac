package h1

import (
	"strconv"

	"sluice/proxy/head"
)

// CRLF ends a line, a head, and the data of a chunk.
const CRLF = "\r\n"

// AppendRequestLine appends "METHOD TARGET HTTP/1.1" and CRLF. Like all
// functions here it writes what it is given as it is: method, target, names
// and values must come from a parsed message or be known to be valid.
func AppendRequestLine(dst []byte, method, target string) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, target...)
	return append(dst, " HTTP/1.1\r\n"...)
}

// AppendStatusLine appends "HTTP/1.1 STATUS REASON" and CRLF, with the
// standard reason phrase where reason is empty.
func AppendStatusLine(dst []byte, status int, reason string) []byte {
	if reason == "" {
		reason = ReasonPhrase(status)
	}
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, reason...)
	return append(dst, CRLF...)
}

// AppendField appends "NAME: VALUE" and CRLF.
func AppendField(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, CRLF...)
}

// AppendContentLength appends the field Content-Length.
func AppendContentLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, CRLF...)
}

// AppendChunkHead appends the line before n bytes of chunk data; CRLF is due
// after the data. It appends nothing for no data: a chunk of size zero would
// end the body.
func AppendChunkHead(dst []byte, n int) []byte {
	if n <= 0 {
		return dst
	}
	dst = strconv.AppendUint(dst, uint64(n), 16)
	return append(dst, CRLF...)
}

// AppendLastChunk appends the end of a chunked body with its trailer fields,
// which may be nil.
func AppendLastChunk(dst []byte, trailers []head.Field) []byte {
	dst = append(dst, "0\r\n"...)
	for i := range trailers {
		dst = AppendField(dst, trailers[i].Name, trailers[i].Value)
	}
	return append(dst, CRLF...)
}

// AppendSimpleResponse appends a whole response of the proxy's own: the body
// as plain text, and the extra fields. To a HEAD request answer with
// AppendSimpleHead: the body would be taken for the next response.
func AppendSimpleResponse(dst []byte, status int, body string, closeConn bool, extra ...head.Field) []byte {
	dst = AppendSimpleHead(dst, status, len(body), closeConn, extra...)
	if !bodyAllowed(status) {
		return dst
	}
	return append(dst, body...)
}

// AppendSimpleHead appends the head that AppendSimpleResponse gives to a body
// of length bytes.
func AppendSimpleHead(dst []byte, status, length int, closeConn bool, extra ...head.Field) []byte {
	dst = AppendStatusLine(dst, status, "")
	if bodyAllowed(status) {
		dst = append(dst, "Content-Type: text/plain; charset=utf-8\r\n"...)
		dst = AppendContentLength(dst, int64(length))
	}
	if closeConn {
		dst = append(dst, "Connection: close\r\n"...)
	}
	for i := range extra {
		dst = AppendField(dst, extra[i].Name, extra[i].Value)
	}
	return append(dst, CRLF...)
}

// bodyAllowed reports whether a response with this status may have a body, and
// so a length (RFC 9110, section 6.4.1 and section 8.6).
func bodyAllowed(status int) bool {
	return status >= 200 && status != 204 && status != 304
}
