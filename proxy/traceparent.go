package proxy

import (
	"encoding/hex"
	"strings"

	"sluice/proxy/h1"
	"sluice/proxy/head"
)

// traceContext is what a traceparent field says (W3C Trace Context, section
// 3.2).
type traceContext struct {
	trace   [16]byte // all 0: there is none
	parent  [8]byte  // the span that asks
	sampled bool
}

// parseTraceparent reads the value of a traceparent field. Of versions to come it
// reads what version 0 knows, as the recommendation wants.
func parseTraceparent(s string) (c traceContext, ok bool) {
	const length = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-00")
	if len(s) < length || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return c, false
	}
	var version, flags [1]byte
	if !unhex(version[:], s[:2]) || version[0] == 0xff || !unhex(flags[:], s[53:55]) {
		return c, false
	}
	if len(s) > length && (version[0] == 0 || s[length] != '-') {
		return c, false
	}
	if !unhex(c.trace[:], s[3:35]) || !unhex(c.parent[:], s[36:52]) || c.trace == [16]byte{} || c.parent == [8]byte{} {
		return traceContext{}, false
	}
	c.sampled = flags[0]&1 != 0
	return c, true
}

// nibbles are the values of lower-case hexadecimal digits, the only ones that
// are allowed; above 15 is what is none.
var nibbles = func() (table [256]byte) {
	for i := range table {
		table[i] = 0xff
	}
	for value, digit := range "0123456789abcdef" {
		table[digit] = byte(value)
	}
	return table
}()

// unhex decodes hexadecimal digits, two for each byte of dst.
func unhex(dst []byte, s string) bool {
	bad := byte(0)
	for i := range dst {
		hi, lo := nibbles[s[2*i]], nibbles[s[2*i+1]]
		bad |= hi | lo
		dst[i] = hi<<4 | lo
	}
	return bad < 16
}

// clientTrace returns the trace that the client says its request belongs to. Two
// traceparent fields say nothing.
func (x *exchange) clientTrace() (c traceContext, ok bool) {
	value, found := "", 0
	for i := range x.req.Fields {
		if f := &x.req.Fields[i]; f.ID == head.Traceparent {
			value = f.Value
			found++
		}
	}
	if found != 1 {
		return c, false
	}
	return parseTraceparent(value)
}

// appendTraceparent writes the field that makes our span the parent of what the
// endpoint does.
func (t *trace) appendTraceparent(dst []byte) []byte {
	dst = append(dst, "Traceparent: 00-"...)
	dst = hex.AppendEncode(dst, t.context.trace[:])
	dst = append(dst, '-')
	dst = hex.AppendEncode(dst, t.span[:])
	if t.sampled {
		return append(dst, "-01\r\n"...)
	}
	return append(dst, "-00\r\n"...)
}

// baggageKey is the member of Baggage that carries verified overrides.
const baggageKey = "sluice-override"

// appendBaggage writes one Baggage field of the client's members and, where there
// are verified overrides, our own: not every reader looks at a second field. What
// a client says under our name is left out.
func appendBaggage(dst []byte, fields []head.Field, own string) []byte {
	before := len(dst)
	dst = append(dst, "Baggage: "...)
	empty := len(dst)
	for i := range fields {
		if f := &fields[i]; f.ID == head.Baggage {
			dst = appendMembers(dst, f.Value, len(dst) > empty)
		}
	}
	if own != "" {
		if len(dst) > empty {
			dst = append(dst, ',')
		}
		dst = append(dst, baggageKey...)
		dst = append(dst, '=')
		dst = append(dst, own...)
	}
	if len(dst) == empty {
		return dst[:before]
	}
	return append(dst, h1.CRLF...)
}

// appendMembers writes the members of a Baggage field but ours (W3C Baggage,
// section 3.2).
func appendMembers(dst []byte, list string, more bool) []byte {
	for list != "" {
		var member string
		member, list, _ = strings.Cut(list, ",")
		member = strings.Trim(member, " \t")
		key, _, _ := strings.Cut(member, "=")
		if member == "" || strings.Trim(key, " \t") == baggageKey {
			continue
		}
		if more {
			dst = append(dst, ',')
		}
		dst = append(dst, member...)
		more = true
	}
	return dst
}
