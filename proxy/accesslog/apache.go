package accesslog

import (
	"net/netip"
	"strconv"
)

// apacheTime is how Apache writes %t.
const apacheTime = "[02/Jan/2006:15:04:05 -0700]"

// appendApache writes an entry as Apache's mod_log_config does with the formats
// "common" and "combined", which a thousand tools read.
func appendApache(dst []byte, e *Entry, client netip.Addr, combined bool) []byte {
	if client.IsValid() {
		dst = client.AppendTo(dst)
	} else {
		dst = append(dst, '-')
	}
	dst = append(dst, " - - "...)
	dst = e.At.AppendFormat(dst, apacheTime)
	dst = append(dst, ` "`...)
	dst = appendRequestLine(dst, e)
	dst = append(dst, `" `...)
	dst = strconv.AppendInt(dst, int64(e.Status), 10)
	dst = append(dst, ' ')
	if e.BytesOut > 0 {
		dst = strconv.AppendInt(dst, e.BytesOut, 10)
	} else {
		dst = append(dst, '-')
	}
	if combined {
		dst = appendQuoted(dst, e.Referer, e.HasReferer)
		dst = appendQuoted(dst, e.UserAgent, e.HasAgent)
	}
	return append(dst, '\n')
}

// appendRequestLine writes the request's first line (%r), or a dash for one that
// could not be read.
func appendRequestLine(dst []byte, e *Entry) []byte {
	if e.Method == "" {
		return append(dst, '-')
	}
	dst = appendEscaped(dst, e.Method)
	dst = append(dst, ' ')
	dst = appendEscaped(dst, e.Path)
	if e.Query != "" {
		dst = append(dst, '?')
		dst = appendEscaped(dst, e.Query)
	}
	dst = append(dst, " HTTP/"...)
	dst = append(dst, e.Proto...)
	if len(e.Proto) == 1 {
		dst = append(dst, ".0"...)
	}
	return dst
}

// appendQuoted writes the value of a field of the request, or a dash where there
// is no such field.
func appendQuoted(dst []byte, value string, has bool) []byte {
	dst = append(dst, ` "`...)
	if has {
		dst = appendEscaped(dst, value)
	} else {
		dst = append(dst, '-')
	}
	return append(dst, '"')
}

// appendEscaped writes a value as Apache's ap_escape_logitem does: quotes and
// backslashes behind a backslash, the common control characters as in C, and
// all else that is not printable ASCII as \xhh.
func appendEscaped(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			dst = append(dst, c)
			continue
		}
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		case '\v':
			dst = append(dst, `\v`...)
		default:
			dst = append(dst, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return dst
}
