package record

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// step is a request as the journey sends it.
type step struct {
	name, method, path string
	headers            []Field
	body               body
	status             int
	kind               string // the media type of the answer; "": any
	captures           []capture
	comments           []string
}

// capture says where an answer has a value. One of the last four is set.
type capture struct {
	name                        string
	json, header, cookie, regex string
}

// step makes a step of an exchange.
func (v *values) step(at int, e *Exchange) *step {
	v.at = at
	s := &step{method: e.Method, status: e.Status, kind: mediaType(valueOf(e.Answer, "Content-Type"))}
	if len(e.Answer) == 0 {
		s.kind = mediaType(e.Type) // else that may be a browser's guess
	}
	if s.kind == "x-unknown" || e.Status >= 300 && e.Status < 400 || !strings.Contains(s.kind, "/") || strings.ContainsAny(s.kind, "*{") || hasControls(s.kind) || e.Method == "HEAD" {
		s.kind = ""
	}
	s.path = v.path(e)
	s.body = v.body(e, s)
	s.headers = v.headers(e, &s.body)
	switch {
	case e.Status == 304:
		s.status = 200 // nothing is cached by a journey
		s.kind = ""
	case e.Status >= 400:
		s.comments = append(s.comments, fmt.Sprintf("it was answered with %d", e.Status))
	}
	if e.Bodyless && !isSafe(e.Method) {
		s.comments = append(s.comments, "what it sent is not recorded: fill in its body")
	}
	v.answers = append(v.answers, read(e))
	return s
}

// isSafe tells whether a method changes nothing, and has no body.
func isSafe(method string) bool { return method == "GET" || method == "HEAD" || method == "OPTIONS" }

// path returns the path and the query of a step.
func (v *values) path(e *Exchange) string {
	u := *e.URL
	if name := v.redirect(&u); name != "" {
		return "{{" + name + "}}"
	}
	parts := strings.Split(u.EscapedPath(), "/")
	for i, part := range parts {
		if i == 0 {
			continue
		}
		s := slot{value: part, raw: true}
		if isSecretName(parts[i-1]) && isMade(part) {
			s.name = parts[i-1]
		} else if strings.ContainsAny(part, "0123456789") {
			s.name, s.before = "id", parts[i-1]
		}
		parts[i] = v.replace(s)
	}
	path := "/" + strings.TrimLeft(strings.Join(parts, "/"), "/")
	if u.RawQuery == "" {
		return tidy(path)
	}
	return tidy(path + "?" + v.query(u.RawQuery))
}

// query replaces values of a query, or of a form that is sent as a text.
func (v *values) query(text string) string {
	pairs := strings.Split(text, "&")
	for i, pair := range pairs {
		name, value, has := strings.Cut(pair, "=")
		plain, err := url.QueryUnescape(name)
		if !has || err != nil || !isFormName(plain) {
			pairs[i] = v.opaque(pair)
			continue
		}
		pairs[i] = v.braces(name) + "=" + v.replace(slot{name: plain, value: value, raw: true})
	}
	return strings.Join(pairs, "&")
}

// tidy escapes what a path of a journey can't hold.
func tidy(path string) string {
	var b strings.Builder
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || c == '#' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// redirect captures where an earlier answer leads to, if it is this URL and has
// something in it that is likely to be another the next time.
func (v *values) redirect(u *url.URL) string {
	target := u.RequestURI()
	if v.leads[target] != "" {
		return v.leads[target]
	}
	if !strings.ContainsAny(target, "0123456789") {
		return ""
	}
	for j := len(v.answers) - 1; j >= 0; j-- {
		g := v.answers[j]
		if g.location == nil || g.location.RequestURI() != target || !strings.EqualFold(g.location.Host, u.Host) {
			continue
		}
		if first, sent := v.literal[target]; sent && first <= j {
			return ""
		}
		name := v.unique("location")
		v.j.steps[j].captures = append(v.j.steps[j].captures, capture{name: name, header: "Location"})
		v.leads[target] = name
		return name
	}
	v.sends(target)
	return ""
}

// browserFields are fields that a browser sends by itself, or that follow from the
// rest of the request.
var browserFields = []string{"host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive", "expect", "proxy-connection",
	"cookie", "user-agent", "accept-encoding", "accept-language", "referer", "dnt", "upgrade-insecure-requests", "priority", "pragma", "cache-control", "purpose",
	"if-modified-since", "if-none-match", "if-range", "range", "origin", "save-data", "rtt", "downlink", "ect", "device-memory", "viewport-width", "dpr", "via", "forwarded",
	"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "x-request-id", "x-client-data", "traceparent", "tracestate", "baggage", "content-type"}

// headers returns the fields that a step needs.
func (v *values) headers(e *Exchange, b *body) (fields []Field) {
	unsafe := !isSafe(e.Method)
	for _, f := range e.Fields {
		lower := strings.ToLower(f.Name)
		switch {
		case !isToken(f.Name) || hasControls(f.Value) || slices.ContainsFunc(fields, func(g Field) bool { return strings.EqualFold(f.Name, g.Name) }):
		case lower == "origin" && unsafe, lower == "referer" && unsafe && valueOf(e.Fields, "Origin") == "":
			// Frameworks refuse forms from elsewhere by them.
			if at := origin(f.Value); at != "" {
				fields = append(fields, Field{f.Name, at})
			}
		case lower == "content-type" && b.kind != "":
			fields = append(fields, Field{f.Name, b.kind})
		case slices.Contains(browserFields, lower), strings.HasPrefix(lower, "sec-"), strings.HasPrefix(lower, "sluice-"):
		case lower == "accept" && (f.Value == "*/*" || strings.HasPrefix(f.Value, "text/html")):
		case lower == "authorization" || lower == "proxy-authorization":
			fields = append(fields, Field{f.Name, v.credentials(lower, f.Value)})
		default:
			fields = append(fields, Field{f.Name, v.replace(slot{name: f.Name, value: f.Value})})
		}
	}
	return fields
}

// origin returns the origin of a URL (RFC 6454); "" where there is none. A Referer
// may be one, too (RFC 9110, section 10.1.3).
func origin(text string) string {
	at, err := url.Parse(text)
	if err != nil || at.Host == "" {
		return ""
	}
	return at.Scheme + "://" + at.Host
}

// credentials returns a field of credentials (RFC 9110, section 11.4), whose
// scheme is no secret.
func (v *values) credentials(name, value string) string {
	scheme, rest, ok := strings.Cut(value, " ")
	if !ok || !isToken(scheme) {
		return v.replace(slot{name: name, value: value})
	}
	return scheme + " " + v.replace(slot{name: name, value: strings.TrimSpace(rest)})
}

func hasControls(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
}

// nameSteps names steps by what they ask for.
func nameSteps(all []*step) {
	taken := map[string]bool{}
	for i, s := range all {
		path, _, _ := strings.Cut(placeholder.ReplaceAllString(s.path, ""), "?")
		name := clean(path, "home")
		if strings.HasPrefix(s.path, "{{") {
			name = "follow"
		}
		if s.method != "GET" {
			name = strings.ToLower(s.method) + "-" + name
		}
		name = clean(name, fmt.Sprintf("step-%d", i+1))
		for n, base := 2, name; taken[name]; n++ {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		taken[name] = true
		s.name = name
	}
}
