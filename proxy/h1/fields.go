package h1

import (
	"math"

	"sluice/proxy/head"
)

// framing gathers, while fields are parsed, what decides the length of the
// body and the fate of the connection.
type framing struct {
	host    string
	upgrade string
	length  int64 // where hasLength

	hasHost, manyHosts              bool
	hasLength, hasCoding            bool
	hasUpgrade, manyUpgrades        bool
	expectContinue, expectOther     bool
	optClose, optKeepAlive, optUpgr bool // options named in Connection
}

// parseFields parses field lines from p[i:] up to and with the empty line, and
// appends them to fields; s is p as a string, and f, if not nil, notes those
// that decide framing. Next is where the body begins.
//
//	field-line = field-name ":" OWS field-value OWS CRLF  (RFC 9112, section 5)
func parseFields(p []byte, s string, i, limit int, fields []head.Field, f *framing) (_ []head.Field, next int, _ *rule) {
	for {
		start := i
		for i < len(p) && classes[p[i]]&tokenByte != 0 {
			i++
		}
		if i == len(p) || p[i] != ':' || i == start {
			if i == start && i+1 < len(p) && p[i] == '\r' && p[i+1] == '\n' {
				return fields, i + 2, nil
			}
			return fields, 0, nameError(p, start, i)
		}
		name := s[start:i]
		i++
		for i < len(p) && (p[i] == ' ' || p[i] == '\t') {
			i++
		}
		start = i
		i = textEnd(p, i)
		if i+1 >= len(p) || p[i] != '\r' || p[i+1] != '\n' {
			return fields, 0, lineEnd(p, i)
		}
		end := i
		for end > start && (p[end-1] == ' ' || p[end-1] == '\t') {
			end--
		}
		i += 2
		if len(fields) == limit {
			return fields, 0, tooManyField
		}
		field := head.Field{ID: head.Identify(name), Name: name, Value: s[start:end]}
		if field.ID != head.Other && f != nil {
			if r := f.note(field.ID, field.Value); r != nil {
				return fields, 0, r
			}
		}
		fields = append(fields, field)
	}
}

// nameError tells why no field name with its colon stands at start; i is the
// first byte that is not of a token.
func nameError(p []byte, start, i int) *rule {
	if r := unfit(p, i, nameChar); r != nameChar {
		return r
	}
	switch c := p[i]; {
	case c == '\r':
		return nameNoColon
	case c == ':':
		return nameEmpty
	case c != ' ' && c != '\t':
		return nameChar
	case i == start:
		return foldedLine
	}
	return nameSpace
}

// note takes in one known field. It judges only what is wrong in requests and
// responses alike.
func (f *framing) note(id head.ID, value string) *rule {
	switch id {
	case head.Host:
		f.manyHosts = f.hasHost
		f.hasHost, f.host = true, value
	case head.ContentLength:
		if f.hasLength {
			return lengthRepeated
		}
		f.hasLength = true
		return f.parseLength(value)
	case head.TransferEncoding:
		if f.hasCoding {
			return codingRepeated
		}
		f.hasCoding = true
		return checkCoding(value)
	case head.Connection:
		return f.parseConnection(value)
	case head.Expect:
		if head.EqualFold(value, "100-continue") {
			f.expectContinue = true
		} else {
			f.expectOther = true
		}
	case head.Upgrade:
		f.manyUpgrades = f.hasUpgrade
		f.hasUpgrade, f.upgrade = true, value
	}
	return nil
}

// parseLength reads a Content-Length: 1*DIGIT (RFC 9110, section 8.6).
func (f *framing) parseLength(value string) *rule {
	if value == "" {
		return badLength
	}
	n := int64(0)
	for i := range len(value) {
		c := value[i] - '0'
		if c > 9 {
			return badLength
		}
		if n > (math.MaxInt64-int64(c))/10 {
			return lengthOverflow
		}
		n = n*10 + int64(c)
	}
	f.length = n
	return nil
}

// checkCoding judges a Transfer-Encoding: chunked must stand last and once
// (RFC 9112, section 6.1). An empty element, which the list syntax would let
// pass, is refused, since parsers differ over it.
func checkCoding(value string) *rule {
	var chunked, other bool
	for rest, more := value, true; more; {
		var coding string
		coding, rest, more = cutElement(rest)
		switch {
		case !isToken(coding) || chunked:
			return badCoding
		case head.EqualFold(coding, "chunked"):
			chunked = true
		default:
			other = true
		}
	}
	if other {
		return unknownCoding
	}
	return nil
}

// parseConnection notes the connection options that h1 itself obeys
// (RFC 9110, section 7.6.1). Empty elements are allowed by the list syntax and
// mean nothing here.
func (f *framing) parseConnection(value string) *rule {
	for rest, more := value, true; more; {
		var option string
		option, rest, more = cutElement(rest)
		switch {
		case !allOf(option, tokenByte):
			return badConnection
		case head.EqualFold(option, "close"):
			f.optClose = true
		case head.EqualFold(option, "keep-alive"):
			f.optKeepAlive = true
		case head.EqualFold(option, "upgrade"):
			f.optUpgr = true
		}
	}
	return nil
}

// mustClose decides whether the connection ends with the message: HTTP/1.1
// persists unless told to close, HTTP/1.0 only if told to keep alive
// (RFC 9112, section 9.3). Close wins over keep-alive.
func (f *framing) mustClose(proto head.Proto) bool {
	return f.optClose || proto == head.HTTP10 && !f.optKeepAlive
}

// check judges the two lengths against each other and the version
// (RFC 9112, section 6.1).
func (f *framing) check(proto head.Proto) *rule {
	switch {
	case f.hasCoding && f.hasLength:
		return bothLengths
	case f.hasCoding && proto == head.HTTP10:
		return codingIn10
	}
	return nil
}

// NextElement returns the first non-empty element of a comma-separated list
// without the white space around it, and the rest of the list. The element is
// "" when there is none left. It is meant for lists of tokens, such as that of
// Connection; it knows nothing of quoted strings.
func NextElement(list string) (element, rest string) {
	for more := true; more; {
		if element, list, more = cutElement(list); element != "" {
			return element, list
		}
	}
	return "", ""
}

// cutElement returns what stands before the first comma, trimmed, what stands
// after it, and whether there was a comma.
func cutElement(list string) (element, rest string, more bool) {
	end := 0
	for end < len(list) && list[end] != ',' {
		end++
	}
	element = trim(list[:end])
	if end == len(list) {
		return element, "", false
	}
	return element, list[end+1:], true
}

// trim removes optional white space (OWS) from both ends.
func trim(s string) string {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for len(s) > 0 && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}
