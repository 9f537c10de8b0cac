// Package record makes journeys of what people did: from the HAR file that a
// browser writes, or from the lines of a session in an access log. The result is
// YAML for a person to edit. What later requests took from earlier answers is
// captured, and no secret is written out.
package record

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The bounds of what is kept of a recording.
const (
	maxSteps = 100     // as many as a journey may have
	maxBody  = 1 << 20 // of an answer; journeys read no more
)

// Exchange is a request that was made, and what is known of its answer.
type Exchange struct {
	At       time.Time // zero: not known
	Method   string
	URL      *url.URL // without a host: that of the first request
	Fields   []Field  // of the request's head
	Body     []byte   // of the request
	Bodyless bool     // whatever body there was is not known
	Status   int
	Answer   []Field // of the answer's head
	Text     []byte  // of the answer's body, decoded; nil: not known, or too long
	Type     string  // the media type of that
	Textless bool    // there was a body, and it is not in the recording
	Kind     string  // what the browser wanted it for, as it says: "document", "image"; "": not known

	long int // bytes of a Body that is too long to be kept
}

// Field is a field of a head.
type Field struct{ Name, Value string }

// Options say what becomes of a recording.
type Options struct {
	Name   string // of the journey
	Assets bool   // keep requests for static assets
}

// Recorder takes exchanges in and makes a journey of them. It keeps no more than
// a journey may have.
type Recorder struct {
	opt    Options
	host   string // of the first request, with the port
	kept   []*Exchange
	seen   int
	others map[string]int // requests to other hosts
	left   map[string]int // requests left out, by what they are: "%s for …"
	set    map[string]bool
}

// New returns an empty recorder.
func New(opt Options) *Recorder {
	return &Recorder{opt: opt, others: map[string]int{}, left: map[string]int{}, set: map[string]bool{}}
}

// maxCookies bounds how many names of cookies are remembered.
const maxCookies = 10_000

// maxHosts bounds how many other hosts are told of by name.
const maxHosts = 20

// Add takes an exchange in, or counts it among what is left out.
func (r *Recorder) Add(e Exchange) {
	r.seen++
	e.bound()
	if e.URL == nil || e.Method == "" || e.URL.Scheme != "http" && e.URL.Scheme != "https" {
		r.left["%s that no step can send"]++
		return
	}
	host := strings.ToLower(e.URL.Host)
	if r.host == "" {
		r.host = host
	}
	switch what := r.unwanted(&e); {
	case host != "" && host != r.host:
		if len(r.others) >= maxHosts && r.others[host] == 0 || len(host) > 253 {
			host = "other hosts"
		}
		r.others[host]++
	case what != "":
		r.noteCookies(&e)
		r.left[what]++
	case len(r.kept) == maxSteps:
		r.left["%s beyond the 100 steps that a journey may have"]++
	default:
		r.noteCookies(&e)
		r.kept = append(r.kept, &e)
	}
}

// The bounds of what is kept of an exchange.
const (
	maxField     = 16 << 10
	maxTarget    = 8 << 10
	maxShownBody = 64 << 10 // that is written into a journey
)

// bound lets go of what is too long.
func (e *Exchange) bound() {
	if e.URL != nil && len(e.URL.String()) > maxTarget {
		e.URL = nil
	}
	if len(e.Body) > maxShownBody {
		e.long, e.Body = len(e.Body), nil
	}
	if len(e.Text) > maxBody {
		e.Text = nil // a journey would not find anything in it either
	}
	long := func(f Field) bool { return len(f.Value)+len(f.Name) > maxField }
	e.Fields, e.Answer = slices.DeleteFunc(e.Fields, long), slices.DeleteFunc(e.Answer, long)
}

// noteCookies remembers the names of cookies that an answer sets.
func (r *Recorder) noteCookies(e *Exchange) {
	for _, c := range cookiesSet(e) {
		if len(r.set) < maxCookies {
			r.set[c.Name] = true
		}
	}
}

// unwanted says what a request is that is no step, as in left; "": it may be one.
func (r *Recorder) unwanted(e *Exchange) string {
	switch {
	case e.Method == "CONNECT" || !isToken(e.Method) || strings.ToUpper(e.Method) != e.Method:
		return "%s of a method that no step can have"
	case e.Kind == "websocket" || e.Kind == "webtransport" || e.Kind == "eventsource" || e.Status == 101:
		return "%s for a stream"
	case e.Kind == "preflight" || e.Method == "OPTIONS" && valueOf(e.Fields, "Access-Control-Request-Method") != "":
		return "%s that go before others (CORS)"
	case e.Status < 200 || e.Status > 599:
		return "%s without an answer"
	case !r.opt.Assets && isAsset(e):
		return "%s for static assets (--assets keeps them)"
	}
	return ""
}

// Journey is a journey that was recorded.
type Journey struct {
	name, host         string
	secrets, variables []setting
	steps              []*step
	notes              []string
}

// setting is a value that the journey is given.
type setting struct{ name, value string }

// Notes say what was left out, and what a person has to look at.
func (j *Journey) Notes() []string { return j.notes }

// ErrNothing is returned for a recording without any request that can be a step.
var ErrNothing = errors.New("there is no request to make a step of")

// Journey makes the journey. Its error is ErrNothing, with what was left out.
func (r *Recorder) Journey() (*Journey, error) {
	notes := r.leftOut()
	if len(r.kept) == 0 {
		return nil, fmt.Errorf("%w%s", ErrNothing, cmp.Or(strings.Join(append([]string{""}, notes...), "; "), ""))
	}
	if !slices.ContainsFunc(r.kept, func(e *Exchange) bool { return e.At.IsZero() }) {
		slices.SortStableFunc(r.kept, func(a, b *Exchange) int { return a.At.Compare(b.At) })
	}
	v := r.make(nil)
	if len(v.secrets) > 0 {
		v = r.make(v.secrets) // a secret may have been sent before it was known as one
	}
	j := v.j
	nameSteps(j.steps)
	j.notes = append([]string{fmt.Sprintf("%s of %d", counted(len(r.kept), "request"), r.seen)}, notes...)
	j.notes = append(j.notes, r.strangeCookies()...)
	j.notes = append(j.notes, r.textless()...)
	j.notes = append(j.notes, v.environment()...)
	return j, nil
}

// make makes steps of what was kept; secrets are those that are known already.
func (r *Recorder) make(secrets map[string]string) *values {
	j := &Journey{name: r.opt.Name}
	if host := hostname(r.host); isPublic(host) {
		j.host = host
	}
	v := newValues(j, secrets)
	for i, e := range r.kept {
		j.steps = append(j.steps, v.step(i, e))
	}
	return v
}

// leftOut tells of what is no step.
func (r *Recorder) leftOut() (notes []string) {
	for _, what := range slices.Sorted(maps.Keys(r.left)) {
		notes = append(notes, "left out: "+fmt.Sprintf(what, counted(r.left[what], "request")))
	}
	for _, host := range slices.Sorted(maps.Keys(r.others)) {
		notes = append(notes, fmt.Sprintf("left out: %s to %s, since the first one is to %s", counted(r.others[host], "request"), host, r.host))
	}
	return notes
}

// strangeCookies tells of cookies that were sent and that no answer has set: the
// recording began in the middle of a session.
func (r *Recorder) strangeCookies() []string {
	names := map[string]bool{}
	for _, e := range r.kept {
		for part := range strings.SplitSeq(valueOf(e.Fields, "Cookie"), ";") {
			if name, _, _ := strings.Cut(strings.TrimSpace(part), "="); name != "" && !r.set[name] && len(names) < maxHosts && len(name) < 100 {
				names[name] = true
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("no answer here sets the cookies that were sent: %s; record in a fresh private window, with the login", strings.Join(slices.Sorted(maps.Keys(names)), ", "))}
}

// textless tells of answers whose bodies are missing: a browser lets go of them
// when it leaves a page.
func (r *Recorder) textless() []string {
	n := 0
	for _, e := range r.kept {
		if e.Textless {
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return []string{fmt.Sprintf("the recording lacks the bodies of %s: what was taken from them could not be captured", counted(n, "answer"))}
}

func counted(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// hostname returns a host without its port.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return strings.Trim(host, "[]")
}

// isPublic tells whether a host is a name that customers know a site by, and not
// that of somebody's own machine.
func isPublic(host string) bool {
	_, err := netip.ParseAddr(host)
	if err == nil || len(host) > 253 || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if len(label) > 63 || label == "" || strings.Trim(label, "-") != label || strings.ContainsFunc(label, func(c rune) bool { return c != '-' && c != '_' && !isAlnum(c) }) {
			return false
		}
	}
	return true
}

func isAlnum(c rune) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// isToken reports whether s is a token (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return !isAlnum(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", c) })
}

// valueOf returns the value of the first field of a name.
func valueOf(fields []Field, name string) string {
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}
