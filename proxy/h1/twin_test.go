package h1

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"sluice/proxy/head"
)

// The twins read messages in the slow and plain way: regular expressions
// copied from the grammar of RFC 9110 and RFC 9112, strings split at line ends.
// They know accepted and not accepted, no reasons and no limits.

const (
	tokenRE = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
	textRE  = `[^\x00-\x08\x0a-\x1f\x7f]` // what may stand in a field value
	linesRE = `((?:` + tokenRE + `:` + textRE + `*\r\n)*)\r\n`
)

var (
	requestRE   = regexp.MustCompile(`^(?:\r\n)?(` + tokenRE + `) ([!-"$-~]+) HTTP/1\.([0-9])\r\n` + linesRE)
	responseRE  = regexp.MustCompile(`^HTTP/1\.([0-9]) ([1-5][0-9][0-9]) (` + textRE + `*)\r\n` + linesRE)
	absoluteRE  = regexp.MustCompile(`^(?i:https?)://([^/?]*)([/?].*)?$`)
	escapesRE   = regexp.MustCompile(`^(?:[^%]|%[0-9A-Fa-f]{2})*$`)
	hostRE      = regexp.MustCompile(`^(?:[-0-9A-Za-z._~!$&'()*+;=]+|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{0,5}))?$`)
	digitsRE    = regexp.MustCompile(`^[0-9]+$`)
	optionsRE   = regexp.MustCompile(`^(?:` + tokenRE + `)?(?:[ \t]*,[ \t]*(?:` + tokenRE + `)?)*$`)
	quotedRE    = `"(?:[^\x00-\x08\x0a-\x1f\x7f"\\]|\\` + textRE + `)*"`
	chunkRE     = regexp.MustCompile(`^([0-9A-Fa-f]{1,16})(?:;` + tokenRE + `(?:=(?:` + tokenRE + `|` + quotedRE + `))?)*\r\n`)
	trailersRE  = regexp.MustCompile(`^` + linesRE)
	forbiddenRE = regexp.MustCompile(`(?i)^(?:content-length|transfer-encoding|host|connection|upgrade)$`)
)

// twinHead is what both kinds of head share.
type twinHead struct {
	fields []head.Field
	ok     bool // as far as the fields alone tell
	coded  bool
	length int64 // -1: none
	close  bool
}

func twinFields(lines, minor string) (h twinHead) {
	h.ok, h.length = true, -1
	for _, line := range strings.Split(strings.TrimSuffix(lines, "\r\n"), "\r\n") {
		if lines == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		h.fields = append(h.fields, head.Field{ID: head.Identify(name), Name: name, Value: strings.Trim(value, " \t")})
	}
	if all := h.values("content-length"); len(all) > 0 {
		n, err := strconv.ParseInt(all[0], 10, 64)
		h.ok = h.ok && len(all) == 1 && digitsRE.MatchString(all[0]) && err == nil
		h.length = n
	}
	if all := h.values("transfer-encoding"); len(all) > 0 {
		h.coded = true
		h.ok = h.ok && len(all) == 1 && lower(all[0]) == "chunked" && minor != "0" && h.length < 0
	}
	for _, value := range h.values("connection") {
		h.ok = h.ok && optionsRE.MatchString(value)
	}
	h.close = h.names("close") || minor == "0" && !h.names("keep-alive")
	return h
}

func (h *twinHead) values(name string) (all []string) {
	for _, f := range h.fields {
		if lower(f.Name) == name {
			all = append(all, f.Value)
		}
	}
	return all
}

// names reports whether Connection names the option.
func (h *twinHead) names(option string) bool {
	for _, element := range strings.Split(strings.Join(h.values("connection"), ","), ",") {
		if lower(strings.Trim(element, " \t")) == option {
			return true
		}
	}
	return false
}

// lower changes the letters of ASCII alone, unlike strings.ToLower.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func twinProto(minor string) head.Proto {
	if minor == "0" {
		return head.HTTP10
	}
	return head.HTTP11
}

// twinRequest reads a request head and returns what follows it.
func twinRequest(data string) (req head.Request, rest string, ok bool) {
	m := requestRE.FindStringSubmatch(data)
	if m == nil {
		return req, "", false
	}
	h := twinFields(m[4], m[3])
	req = head.Request{Method: m[1], Target: m[2], Proto: twinProto(m[3]), Fields: h.fields, Close: h.close}
	hosts := h.values("host")
	switch {
	case !h.ok || req.Method == "CONNECT" || len(hosts) > 1:
		return req, "", false
	case len(hosts) == 1 && !twinHost(hosts[0]), len(hosts) == 0 && m[3] != "0":
		return req, "", false
	case len(hosts) == 1:
		req.Host = hosts[0]
	}
	if a := absoluteRE.FindStringSubmatch(req.Target); a != nil {
		if !twinHost(a[1]) {
			return req, "", false
		}
		req.Host, req.Target = a[1], a[2]
		switch {
		case req.Target == "" && req.Method == "OPTIONS":
			req.Target = "*"
		case !strings.HasPrefix(req.Target, "/"):
			req.Target = "/" + req.Target
		}
	}
	req.Path, req.Query, _ = strings.Cut(req.Target, "?")
	star := req.Target == "*" && req.Method == "OPTIONS"
	if !star && (!strings.HasPrefix(req.Target, "/") || !escapesRE.MatchString(req.Path)) {
		return req, "", false
	}
	if req.Length = max(h.length, 0); h.coded {
		req.Length = head.Chunked
	}
	for _, value := range h.values("expect") {
		if lower(value) != "100-continue" {
			return req, "", false
		}
		req.ExpectContinue = m[3] != "0" && req.Length != 0
	}
	if all := h.values("upgrade"); len(all) > 0 && m[3] != "0" && h.names("upgrade") {
		if req.Upgrade = all[0]; len(all) > 1 {
			return req, "", false
		}
	}
	return req, data[len(m[0]):], true
}

func twinHost(host string) bool {
	m := hostRE.FindStringSubmatch(host)
	if m == nil {
		return false
	}
	if m[1] != "" {
		if a, err := netip.ParseAddr(m[1]); err != nil || !a.Is6() {
			return false
		}
	}
	port, err := strconv.Atoi("0" + m[2])
	return err == nil && port <= 65535
}

// twinResponse reads a response head and returns what follows it.
func twinResponse(data, method string, asked101 bool) (res head.Response, rest string, ok bool) {
	m := responseRE.FindStringSubmatch(data)
	if m == nil {
		return res, "", false
	}
	h := twinFields(m[4], m[1])
	res = head.Response{Reason: m[3], Proto: twinProto(m[1]), Fields: h.fields, Declared: h.length, Close: h.close}
	res.Status, _ = strconv.Atoi(m[2])
	interim := res.Status < 200
	switch {
	case !h.ok, interim && m[1] == "0":
		return res, "", false
	case res.Status == 204 && h.length == 0 && !h.coded:
		res.Declared = -1
	case interim || res.Status == 204:
		if h.coded || h.length >= 0 {
			return res, "", false
		}
		if upgrade := h.values("upgrade"); res.Status == 101 && (!asked101 || len(upgrade) != 1 || upgrade[0] == "" || !h.names("upgrade")) {
			return res, "", false
		}
	case method == "HEAD" || res.Status == 304:
	case h.coded:
		res.Length = head.Chunked
	case h.length >= 0:
		res.Length = h.length
	default:
		res.Length, res.Close = head.UntilClose, true
	}
	return res, data[len(m[0]):], true
}

// twinChunked reads a chunked body and returns what follows it.
func twinChunked(data string) (body string, trailers []head.Field, rest string, ok bool) {
	for {
		m := chunkRE.FindStringSubmatch(data)
		if m == nil {
			return "", nil, "", false
		}
		data = data[len(m[0]):]
		size, err := strconv.ParseInt(m[1], 16, 64)
		if err != nil {
			return "", nil, "", false
		}
		if size == 0 {
			break
		}
		if int64(len(data)) < size || !strings.HasPrefix(data[size:], "\r\n") {
			return "", nil, "", false
		}
		body += data[:size]
		data = data[size+2:]
	}
	m := trailersRE.FindStringSubmatch(data)
	if m == nil {
		return "", nil, "", false
	}
	for _, f := range twinFields(m[1], "1").fields {
		if forbiddenRE.MatchString(f.Name) {
			return "", nil, "", false
		}
		if f.ID == head.Other && !head.HeaderOnly(f.Name) {
			trailers = append(trailers, f)
		}
	}
	return body, trailers, data[len(m[0]):], true
}
