package replay

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// apacheTime is how Apache and nginx write the time.
const apacheTime = "02/Jan/2006:15:04:05 -0700"

// Layout says how to read lines.
type Layout struct {
	// Format is "common", "combined", "nginx" (its default, which is combined),
	// "json", a layout in the language of nginx's log_format, or "auto" or "",
	// which looks at each line.
	Format string
	// Session is what holds requests together: "client" or "" (address and
	// User-Agent), "none", "cookie:NAME" or "field:NAME", a field of JSON or a
	// variable of the layout. A line without it goes by its client.
	Session string
	// Fields are names of fields of JSON for what is not found by itself: the
	// keys are those of FieldNames. A dot leads into an object.
	Fields map[string]string
}

// Parser reads lines. It is for one goroutine.
type Parser struct {
	texts   []*textLayout // tried in this order
	objects *objects      // nil: no line is JSON
	session struct{ kind, name string }
}

// NewParser returns a parser of a layout, or says what is wrong with it.
func NewParser(l Layout) (*Parser, error) {
	p := new(Parser)
	var layouts []string
	json := false
	switch format := cmp.Or(l.Format, "auto"); {
	case format == "auto":
		json, layouts = true, []string{combinedLayout, commonLayout}
	case format == "json":
		json = true
	case format == "common":
		layouts = []string{commonLayout}
	case format == "combined" || format == "nginx":
		layouts = []string{combinedLayout}
	case strings.Contains(format, "$"):
		layouts = []string{format}
	default:
		return nil, fmt.Errorf(`unknown format %q; there are auto, common, combined, nginx, json, and layouts such as '$remote_addr [$time_local] "$request"'`, l.Format)
	}
	for _, layout := range layouts {
		t, err := parseTextLayout(layout)
		if err != nil {
			return nil, err
		}
		p.texts = append(p.texts, t)
	}
	if err := p.setSession(cmp.Or(l.Session, "client")); err != nil {
		return nil, err
	}
	session := p.session.name
	if p.session.kind == "cookie" {
		session = "cookie_" + session
	}
	objects, err := newObjects(l.Fields, session)
	if json {
		p.objects = objects
	}
	return p, err
}

// setSession reads what holds requests together.
func (p *Parser) setSession(s string) error {
	kind, name, named := strings.Cut(s, ":")
	switch kind {
	case "client", "none":
		if named {
			return fmt.Errorf("session %q: %s has no name behind it", s, kind)
		}
	case "cookie", "field":
		if name == "" {
			return fmt.Errorf("session %q: write %s:NAME", s, kind)
		}
	default:
		return fmt.Errorf("unknown session %q; there are client, none, cookie:NAME and field:NAME", s)
	}
	p.session.kind, p.session.name = kind, name
	return nil
}

// Parse reads a line without its end. The error says why it is no request that
// can be sent again.
func (p *Parser) Parse(line []byte) (Request, error) {
	var err error
	f := found{session: p.session.name, byCookie: p.session.kind == "cookie"}
	text := strings.TrimSpace(string(line))
	switch {
	case text == "":
		return Request{}, errors.New("it is empty")
	case p.objects != nil && (text[0] == '{' || p.texts == nil):
		err = p.objects.read(text, &f)
	default:
		for _, t := range p.texts {
			f = found{session: f.session, byCookie: f.byCookie}
			if err = t.read(text, f.setVariable); err == nil {
				break
			}
		}
	}
	if err == nil {
		err = f.check()
	}
	if err != nil {
		return Request{}, err
	}
	f.Session = f.sessionKey(p.session.kind)
	f.held = len(text) + len(f.Target) + len(f.Session)
	return f.Request, nil
}

// found is what is gathered from a line.
type found struct {
	Request
	session  string // the name of the cookie or field that holds requests together
	byCookie bool
	key      string // its value
}

// setVariable takes the value of a variable of a layout.
func (f *found) setVariable(name, value string) error {
	if name == f.session && !f.byCookie {
		f.key = value
	}
	var err error
	switch name {
	case "remote_addr":
		f.Client = clientOf(value)
	case "time_local", "time_iso8601", "msec":
		f.At, err = parseTime(value)
	case "request":
		err = f.setRequestLine(value)
	case "request_method":
		f.Method = value
	case "request_uri":
		f.Target = value
	case "status":
		f.Status, _ = strconv.Atoi(value) // of no weight: it is compared, not sent
	case "host", "http_host":
		f.Host = value
	case "server_name":
		f.Host = cmp.Or(f.Host, value)
	case "http_user_agent":
		f.UserAgent = value
	case "http_referer":
		f.Referer = value
	case "http_cookie":
		f.setCookies(value)
	case "cookie_" + f.session:
		if f.byCookie {
			f.key = value
		}
	}
	return err
}

// setCookies looks for the session's cookie in a Cookie field.
func (f *found) setCookies(field string) {
	if !f.byCookie {
		return
	}
	for part := range strings.SplitSeq(field, ";") {
		if name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name == f.session {
			f.key = strings.Trim(value, `"`)
			return
		}
	}
}

// sessionKey returns what holds the request to others. Kinds of keys don't meet.
func (f *found) sessionKey(kind string) string {
	switch {
	case kind == "none":
		return ""
	case f.key != "":
		return "k" + f.key
	case f.Client != "":
		return "c" + f.Client + " " + f.UserAgent
	}
	return ""
}

// parseTime reads the time in the forms that logs have: of Apache, of RFC 3339,
// or seconds, or smaller units, since 1970.
func parseTime(s string) (time.Time, error) {
	if len(s) > 2 && s[2] == '/' { // of the many the likeliest, spared the failures
		if t, err := time.Parse(apacheTime, s); err == nil {
			return t, nil
		}
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999-0700", "2006-01-02 15:04:05.999999999Z07:00", time.DateTime, http.TimeFormat} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		return timeOf(n)
	}
	return time.Time{}, fmt.Errorf("the time %s can't be read", shown(s))
}

// timeOf reads a number as a time. Its size tells the unit: in seconds, 1e11 is
// the year 5138.
func timeOf(n float64) (time.Time, error) {
	unit := 1.0
	for _, limit := range []float64{1e11, 1e14, 1e17} {
		if n >= limit {
			unit *= 1000
		}
	}
	if seconds := n / unit; seconds > 0 && seconds < 1e11 && !math.IsNaN(n) {
		whole, part := math.Modf(seconds)
		return time.Unix(int64(whole), int64(part*1e9)).UTC(), nil
	}
	return time.Time{}, fmt.Errorf("the time %g can't be read", n)
}
