package h1

import "sluice/proxy/head"

// parseRequest parses the head at the start of p into req and returns its
// length in bytes.
func parseRequest(req *head.Request, p []byte, lim *Limits) (n int, _ *rule) {
	req.Reset()
	s := alias(p)
	i, r := parseRequestLine(req, p, s, lim.URIBytes)
	if r != nil {
		return 0, r
	}
	var f framing
	if req.Fields, n, r = parseFields(p, s, i, lim.Fields, req.Fields, &f); r != nil {
		return 0, r
	}
	if r := finishRequest(req, &f); r != nil {
		return 0, r
	}
	return n, nil
}

// parseRequestLine parses the first line and returns where the second begins.
//
//	request-line = method SP request-target SP HTTP-version CRLF  (RFC 9112, section 3)
func parseRequestLine(req *head.Request, p []byte, s string, maxTarget int) (next int, r *rule) {
	i := 0
	for i < len(p) && classes[p[i]]&tokenByte != 0 {
		i++
	}
	if i == 0 || i == len(p) || p[i] != ' ' {
		return 0, unfit(p, i, badMethod)
	}
	req.Method = s[:i]
	i++
	start := i
	for i < len(p) && classes[p[i]]&targetByte != 0 {
		i++
	}
	switch {
	case i-start > maxTarget:
		return 0, targetTooLong
	case i == len(p) || p[i] != ' ':
		if r = unfit(p, i, badTarget); r == badTarget && p[i] == '\r' {
			r = badVersion // HTTP/0.9: the line ends after the target
		}
		return 0, r
	case i == start:
		return 0, emptyTarget
	}
	target := s[start:i]
	i++
	const usual = "HTTP/1.1\r\n"
	if len(s)-i >= len(usual) && s[i:i+len(usual)] == usual {
		req.Proto = head.HTTP11
	} else if req.Proto, r = parseVersion(p, i, '\r'); r != nil {
		return 0, r
	} else if r = lineEnd(p, i+versionLen); r != nil {
		return 0, r
	}
	return i + len(usual), parseTarget(req, target)
}

const versionLen = len("HTTP/1.1")

// parseVersion parses the HTTP version at i, which the byte end must follow. A
// higher minor version is read as the highest that is known: minor versions
// do not change how a message is parsed (RFC 9110, section 2.5).
func parseVersion(p []byte, i int, end byte) (head.Proto, *rule) {
	const form = "HTTP/1.1"
	for k := range len(form) {
		if i+k == len(p) {
			return 0, incomplete
		}
		c := p[i+k]
		digit := form[k] == '1' && c >= '0' && c <= '9'
		if !digit && c != form[k] {
			return 0, unfit(p, i+k, badVersion)
		}
	}
	switch {
	case i+versionLen == len(p) || p[i+versionLen] != end:
		return 0, unfit(p, i+versionLen, badVersion)
	case p[i+5] != '1':
		return 0, otherVersion
	case p[i+7] == '0':
		return head.HTTP10, nil
	}
	return head.HTTP11, nil
}

// unfit tells what is wrong with the byte at i, which does not fit there: that
// it is missing, a control, a broken line end, or else the rule given.
func unfit(p []byte, i int, otherwise *rule) *rule {
	if i == len(p) {
		return incomplete
	}
	switch c := p[i]; {
	case c == '\r' || c == '\n':
		if r := lineEnd(p, i); r != nil {
			return r
		}
	case c < 0x20 && c != '\t' || c == 0x7F:
		return control
	}
	return otherwise
}

// finishRequest decides, with all fields known, what the head as a whole says.
func finishRequest(req *head.Request, f *framing) *rule {
	switch {
	case f.manyHosts:
		return hostRepeated
	case f.hasHost && !head.ValidHost(f.host):
		return badHost
	case !f.hasHost && req.Proto != head.HTTP10:
		return hostMissing
	case req.Host == "": // else of an absolute target, which wins (RFC 9112, section 3.2.2)
		req.Host = f.host
	}
	if r := f.check(req.Proto); r != nil {
		return r
	}
	if f.expectOther {
		return badExpect
	}
	req.Length = f.length
	if f.hasCoding {
		req.Length = head.Chunked
	}
	req.Close = f.mustClose(req.Proto)
	if req.Proto == head.HTTP10 {
		return nil // neither Expect nor Upgrade counts (RFC 9110, sections 10.1.1 and 7.8)
	}
	req.ExpectContinue = f.expectContinue && req.Length != 0
	if f.optUpgr {
		if f.manyUpgrades {
			return upgradeRepeated
		}
		req.Upgrade = f.upgrade
	}
	return nil
}
