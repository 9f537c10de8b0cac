package accesslog

import (
	"encoding/hex"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendObject writes an entry as a JSON object. Of what did not happen, nothing
// is said.
func appendObject(dst []byte, fields []Field, e *Entry, client netip.Addr) []byte {
	dst = append(dst, '{')
	first := true
	for _, f := range fields {
		if e.lacks(f) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, '"')
		dst = append(dst, fieldNames[f]...)
		dst = append(dst, '"', ':')
		dst = e.appendValue(dst, f, client)
	}
	return append(dst, '}', '\n')
}

// Object returns texts as the JSON object of an Entry's Tags, in the order of
// their names; of none, "".
func Object(texts map[string]string) string {
	if len(texts) == 0 {
		return ""
	}
	dst := []byte{'{'}
	for i, name := range slices.Sorted(maps.Keys(texts)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, name)
		dst = append(dst, ':')
		dst = appendString(dst, texts[name])
	}
	return string(append(dst, '}'))
}

// lacks reports whether there is nothing to say of a field.
func (e *Entry) lacks(f Field) bool {
	switch f {
	case CutOff:
		return !e.CutOff
	case ShieldedStatus:
		return e.ShieldedStatus == 0
	case Failure:
		return e.Failure == nil
	case TraceID:
		return e.TraceID == [16]byte{}
	case UserAgent:
		return !e.HasAgent
	case Referer:
		return !e.HasReferer
	case TLS, Tags, ShieldedFrom, FallbackFrom, RequestID, Synthetic, Query:
		return e.text(f) == ""
	}
	return false
}

// appendValue writes a field's value.
func (e *Entry) appendValue(dst []byte, f Field, client netip.Addr) []byte {
	switch f {
	case Time:
		dst = append(dst, '"')
		dst = e.At.UTC().Truncate(time.Microsecond).AppendFormat(dst, time.RFC3339Nano)
		return append(dst, '"')
	case Client:
		dst = append(dst, '"')
		if client.IsValid() {
			dst = client.AppendTo(dst)
		}
		return append(dst, '"')
	case Status:
		return strconv.AppendInt(dst, int64(e.Status), 10)
	case Took:
		return appendSeconds(dst, e.Total)
	case Connect:
		return appendSeconds(dst, e.Connect)
	case Wait:
		return appendSeconds(dst, e.Wait)
	case Body:
		return appendSeconds(dst, e.Body)
	case BytesIn:
		return strconv.AppendInt(dst, e.BytesIn, 10)
	case BytesOut:
		return strconv.AppendInt(dst, e.BytesOut, 10)
	case Retries:
		return strconv.AppendInt(dst, int64(e.Retries), 10)
	case CutOff:
		return append(dst, "true"...)
	case ShieldedStatus:
		return strconv.AppendInt(dst, int64(e.ShieldedStatus), 10)
	case Failure:
		return appendString(dst, e.Failure.Error())
	case Tags:
		return append(dst, e.Tags...)
	case TraceID:
		dst = append(dst, '"')
		dst = hex.AppendEncode(dst, e.TraceID[:])
		return append(dst, '"')
	}
	return appendString(dst, e.text(f))
}

// text returns the value of a field that is text.
func (e *Entry) text(f Field) string {
	switch f {
	case Level:
		return "info"
	case Message:
		if e.Method == "" {
			return "request refused"
		}
		return "request"
	case Listener:
		return e.Listener
	case Method:
		return e.Method
	case Host:
		return e.Host
	case Path:
		return e.Path
	case Proto:
		return e.Proto
	case TLS:
		return e.TLS
	case Service:
		return e.Service
	case Version:
		return e.Version
	case Tags:
		return e.Tags
	case Reason:
		return e.Reason
	case Endpoint:
		return e.Endpoint
	case ShieldedFrom:
		return e.ShieldedFrom
	case FallbackFrom:
		return e.FallbackFrom
	case RequestID:
		return e.RequestID
	case Synthetic:
		return e.Synthetic
	case UserAgent:
		return e.UserAgent
	case Referer:
		return e.Referer
	case Query:
		return e.Query
	}
	return ""
}

// appendSeconds writes a duration in seconds, to the microsecond.
func appendSeconds(dst []byte, d time.Duration) []byte {
	micros := max(d.Microseconds(), 0)
	dst = strconv.AppendInt(dst, micros/1e6, 10)
	dst = append(dst, '.')
	for digit := int64(1e5); digit > 0; digit /= 10 {
		dst = append(dst, '0'+byte(micros/digit%10))
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string (RFC 8259, section 7). Control characters
// are escaped, those of Latin-1 (C1) too, which terminals obey; what is not
// UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if c := s[i]; c >= 0x20 && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r > 0x9f && (r != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		dst = append(dst, s[start:i]...)
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == utf8.RuneError:
			dst = append(dst, `\ufffd`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[r>>4], hexDigits[r&15])
		}
		i += size
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}
