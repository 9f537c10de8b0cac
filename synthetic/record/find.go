package record

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/ohler55/ojg/jp"
)

// given is what an answer gave that later requests may use.
type given struct {
	leaves   map[string][]leaf // of JSON, by their text
	doc      any               // the same, to try paths on
	page     string            // a body that is no JSON
	cookies  map[string]string // name by value
	fields   map[string]string // name by value
	location *url.URL          // of a redirect, if a journey can follow it
}

// dull are fields of answers that later requests don't take values from.
var dull = []string{"set-cookie", "date", "server", "expires", "cache-control", "vary", "connection", "age", "via", "location", "content-type", "content-length",
	"content-encoding", "transfer-encoding", "last-modified", "accept-ranges", "strict-transport-security", "content-security-policy", "keep-alive", "pragma", "p3p"}

// read takes an answer in.
func read(e *Exchange) *given {
	g := &given{cookies: map[string]string{}, fields: map[string]string{}}
	for _, c := range cookiesSet(e) {
		if c.Value != "" {
			g.cookies[c.Value] = c.Name
		}
	}
	for _, f := range e.Answer {
		if !slices.Contains(dull, strings.ToLower(f.Name)) && f.Value != "" && isToken(f.Name) && g.fields[f.Value] == "" {
			g.fields[f.Value] = f.Name
		}
	}
	if e.Status >= 300 && e.Status < 400 {
		g.location = leadsTo(e)
	}
	if doc, ok := parsed(e); ok {
		g.doc, g.leaves = doc, map[string][]leaf{}
		walk(string(e.Text), func(l leaf) {
			const most = 20 // of one text
			if l.text != "" && len(l.text) <= maxCaptured && len(g.leaves[l.text]) < most {
				g.leaves[l.text] = append(g.leaves[l.text], l)
			}
		})
		return g
	}
	g.page = string(e.Text)
	return g
}

// maxCaptured is how long a captured value may be.
const maxCaptured = 16 << 10

// parsed returns a body as a journey reads it.
func parsed(e *Exchange) (any, bool) {
	start := strings.TrimLeft(string(e.Text[:min(len(e.Text), 100)]), " \t\r\n")
	if !isJSON(e.Type) && !strings.HasPrefix(start, "{") && !strings.HasPrefix(start, "[") {
		return nil, false
	}
	return readJSON(e.Text)
}

// leadsTo returns the target of a redirect; nil where a step can't use it.
func leadsTo(e *Exchange) *url.URL {
	text := valueOf(e.Answer, "Location")
	to, err := url.Parse(text)
	if err != nil || to.User != nil || !strings.HasPrefix(text, "/") && to.Host == "" {
		return nil
	}
	return e.URL.ResolveReference(to)
}

// cookiesSet returns the cookies that an answer sets.
func cookiesSet(e *Exchange) (all []*http.Cookie) {
	for _, f := range e.Answer {
		if strings.EqualFold(f.Name, "Set-Cookie") {
			if c, err := http.ParseSetCookie(f.Value); err == nil {
				all = append(all, c)
			}
		}
	}
	return all
}

// find says where an answer has a value of a later request, if it is likely that
// the request took it from there.
func (g *given) find(s slot, budget *int) (capture, bool) {
	for _, l := range g.leaves[s.value] {
		if (isMade(s.value) || isID(l.key) && (isID(s.name) || sameName(s.name, l.key))) && g.leads(l) {
			return capture{name: nameOf(s, l.key), json: l.path}, true
		}
	}
	if name, ok := g.fields[s.value]; ok && (isMade(s.value) || isID(s.name) && isID(name)) {
		return capture{name: nameOf(s, name), header: name}, true
	}
	if name, ok := g.cookies[s.value]; ok && (isMade(s.value) || isID(s.name)) && isToken(name) {
		return capture{name: nameOf(s, name), cookie: name}, true
	}
	if expr, name := inPage(g.page, s, budget); expr != "" {
		return capture{name: nameOf(s, name), regex: expr}, true
	}
	return capture{}, false
}

// leads tells whether the first hit of a leaf's path is the leaf, as a journey will
// look for it.
func (g *given) leads(l leaf) (is bool) {
	defer func() {
		if recover() != nil { // the library's, over paths that it can't follow
			is = false
		}
	}()
	path, err := jp.ParseString(l.path)
	if err != nil {
		return false
	}
	hits := path.Get(g.doc)
	return len(hits) > 0 && textOf(hits[0]) == l.text
}

// nameOf names a captured value: as the answer calls it, or as the request does.
func nameOf(s slot, found string) string {
	switch {
	case s.before != "" && (found == "" || strings.EqualFold(found, "id")):
		return s.before + "-id"
	case len(clean(found, "")) < 2:
		return s.name
	}
	return found
}

// idName is a name of what applications make up.
var idName = regexp.MustCompile(`(?i)(^|[._-])(id|key|token|code|no|nr|num|number|ref|uuid|guid|hash|nonce|csrf|xsrf|state|cursor|slug|sku|etag|ticket|version)$|csrf|xsrf|token|nonce`)

// camelID is one that is written like orderId.
var camelID = regexp.MustCompile(`[a-z](Id|ID|Key|Token|Code|No|Number|Ref|Uuid|UUID|Hash|Cursor|State|Version)$`)

func isID(name string) bool { return idName.MatchString(name) || camelID.MatchString(name) }

// sameName tells whether two names are of one thing: order_id and orderId.
func sameName(a, b string) bool {
	bare := func(s string) string {
		return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(s))
	}
	return a != "" && bare(a) == bare(b)
}

// isMade tells whether a value looks like one that an application has made up, and
// that isn't found by chance.
func isMade(s string) bool {
	if len(s) < 8 || strings.Contains(s, "://") || strings.ContainsFunc(s, func(c rune) bool { return !isAlnum(c) && !strings.ContainsRune(`-._~+/=:|"`, c) }) {
		return false
	}
	return strings.ContainsAny(s, "0123456789") || len(s) >= 20
}

// nameInTag is an attribute that says what a tag is.
var nameInTag = regexp.MustCompile(`(?i)\b(?:name|id|property)\s*=\s*["']?([^"'<>=\s]{1,60})["']?`)

// attributeOf is an attribute up to its value.
var attributeOf = regexp.MustCompile(`\b[\w-]+\s*=\s*["']?$`)

// context is what may stand before a value that is no attribute of a tag.
var context = regexp.MustCompile(`(?:[A-Za-z_$][\w$.-]{0,40}["']?\s{0,3}[:=(]\s{0,3}["']?|[/?&][\w.-]{1,40}[/=])$`)

// inPage returns an expression that finds a value in a page, and the name that it
// has there.
func inPage(page string, s slot, budget *int) (expr, name string) {
	const most = 20 // places that are looked at
	from := 0
	for range most {
		if *budget -= len(page) - from; *budget < 0 {
			return "", ""
		}
		at := strings.Index(page[from:], s.value)
		if at < 0 {
			return "", ""
		}
		at += from
		from = at + len(s.value)
		if expr, name = inTag(page, at, s); expr == "" {
			expr = behind(page, at, s)
		}
		if *budget -= 10 * len(page); expr != "" && *budget > 0 && finds(expr, page, s.value) {
			return expr, name
		}
	}
	return "", ""
}

// finds tells whether the first match of an expression is a value.
func finds(expr, page, value string) bool {
	r, err := regexp.Compile(expr)
	if err != nil {
		return false
	}
	got := r.FindStringSubmatch(page)
	return got != nil && got[1] == value
}

// inTag is for a value that is an attribute of a tag with a name, such as
// <input name="csrf" value="…">.
func inTag(page string, at int, s slot) (expr, name string) {
	const most = 2000 // bytes of a tag
	start := max(0, at-most)
	opens := strings.LastIndexAny(page[start:at], "<>")
	closes := strings.IndexByte(page[at:min(len(page), at+most)], '>')
	if opens < 0 || page[start+opens] != '<' || closes < 0 {
		return "", ""
	}
	opens += start
	tag := page[opens : at+closes]
	m := nameInTag.FindStringSubmatchIndex(tag)
	if m == nil {
		return "", ""
	}
	name = tag[m[2]:m[3]]
	if !isMade(s.value) && !sameName(name, s.name) {
		return "", ""
	}
	attribute := attributeOf.FindString(page[opens:at])
	if attribute == "" {
		return "", ""
	}
	group, end := `([^"']*)`, `["']`
	if !strings.HasSuffix(attribute, `"`) && !strings.HasSuffix(attribute, `'`) {
		group, end = `([^"'\s>]+)`, ``
	}
	named, value := regexp.QuoteMeta(tag[m[0]:m[1]]), regexp.QuoteMeta(attribute)+group
	if opens+m[0] < at {
		return named + `[^>]*` + value, name
	}
	return value + end + `[^>]*` + named, name
}

// behind is for a value that stands behind a word: token = "…", /orders/….
func behind(page string, at int, s slot) string {
	before := context.FindString(page[max(0, at-60):at])
	if before == "" || !isMade(s.value) && (s.before == "" || before != "/"+s.before+"/") {
		return ""
	}
	group := `([A-Za-z0-9_-]+)`
	if strings.ContainsFunc(s.value, func(c rune) bool { return !isAlnum(c) && c != '_' && c != '-' }) {
		group = `([^"'<>&\s]+)`
	}
	return regexp.QuoteMeta(before) + group
}
