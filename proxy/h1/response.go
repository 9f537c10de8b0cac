package h1

import "sluice/proxy/head"

// parseResponse parses the head at the start of p into res and returns its
// length in bytes.
func parseResponse(res *head.Response, p []byte, method string, asked101 bool, lim *Limits) (n int, _ *rule) {
	res.Reset()
	s := alias(p)
	i, r := parseStatusLine(res, p, s)
	if r != nil {
		return 0, r
	}
	var f framing
	if res.Fields, n, r = parseFields(p, s, i, lim.Fields, res.Fields, &f); r != nil {
		return 0, r
	}
	if r := finishResponse(res, &f, method, asked101); r != nil {
		return 0, r
	}
	return n, nil
}

// parseStatusLine parses the first line and returns where the second begins.
//
//	status-line = HTTP-version SP status-code SP [ reason-phrase ] CRLF  (RFC 9112, section 4)
//
// The second space is required even without a reason phrase.
func parseStatusLine(res *head.Response, p []byte, s string) (next int, r *rule) {
	const usual = "HTTP/1.1 "
	if len(s) >= len(usual) && s[:len(usual)] == usual {
		res.Proto = head.HTTP11
	} else if res.Proto, r = parseVersion(p, 0, ' '); r != nil {
		return 0, r
	}
	i := len(usual)
	for end := i + 3; i < end; i++ {
		if i == len(p) || p[i] < '0' || p[i] > '9' {
			return 0, unfit(p, i, badStatus)
		}
		res.Status = res.Status*10 + int(p[i]-'0')
	}
	if res.Status < 100 || res.Status > 599 {
		return 0, badStatus // RFC 9110, section 15
	}
	if i == len(p) || p[i] != ' ' {
		return 0, unfit(p, i, badStatusLine)
	}
	i++
	end := textEnd(p, i)
	if r := lineEnd(p, end); r != nil {
		return 0, r
	}
	res.Reason = s[i:end]
	return end + len("\r\n"), nil
}

// finishResponse decides, with all fields known, what the head as a whole
// says (RFC 9112, section 6.3).
func finishResponse(res *head.Response, f *framing, method string, asked101 bool) *rule {
	if r := f.check(res.Proto); r != nil {
		return r
	}
	if f.hasLength {
		res.Declared = f.length
	}
	res.Close = f.mustClose(res.Proto)
	switch {
	case res.Status == 204 && f.hasLength && f.length == 0 && !f.hasCoding:
		// It must not be there (RFC 9110, section 8.6), but common servers send
		// it, and 0 can't be misread: the status alone says the same.
		res.Declared = -1
	case res.Status < 200 || res.Status == 204:
		if f.hasLength || f.hasCoding {
			return lengthForbidden
		}
		return finishInterim(res, f, asked101)
	case res.Status == 304 || method == "HEAD":
	case f.hasCoding:
		res.Length = head.Chunked
	case f.hasLength:
		res.Length = f.length
	default:
		res.Length, res.Close = head.UntilClose, true
	}
	return nil
}

// finishInterim judges the rest of a 1xx response; a 204 passes.
func finishInterim(res *head.Response, f *framing, asked101 bool) *rule {
	switch {
	case res.Status >= 200:
	case res.Proto == head.HTTP10:
		return interimIn10
	case res.Status != 101:
	case !asked101:
		return unasked101
	case f.upgrade == "" || f.manyUpgrades || !f.optUpgr:
		return bad101 // RFC 9110, section 7.8
	}
	return nil
}
