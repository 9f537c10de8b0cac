package replay

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// aliases are where fields of JSON logs stand: first as Sluice writes them, then
// as nginx, caddy, Traefik and others do. A dot leads into an object.
var aliases = map[string][]string{
	"time":       {"ts", "time", "timestamp", "@timestamp", "time_iso8601", "time_local", "msec", "StartUTC"},
	"method":     {"method", "request_method", "request.method", "RequestMethod", "verb"},
	"target":     {"request_uri", "request.uri", "uri", "path", "target", "url", "RequestPath"},
	"query":      {"query", "query_string", "args"},
	"request":    {"request", "request_line"},
	"host":       {"host", "http_host", "request.host", "RequestHost", "vhost", "server_name"},
	"client":     {"client", "remote_addr", "client_ip", "request.client_ip", "remote_ip", "request.remote_ip", "ClientHost", "clientip", "ip"},
	"status":     {"status", "status_code", "DownstreamStatus", "code"},
	"user_agent": {"user_agent", "http_user_agent", "request.headers.User-Agent", "request_User-Agent", "agent"},
	"referer":    {"referer", "http_referer", "request.headers.Referer", "request_Referer"},
	"cookie":     {"cookie", "http_cookie", "request.headers.Cookie"},
}

// FieldNames returns the keys of Layout.Fields, sorted.
func FieldNames() []string { return slices.Sorted(maps.Keys(aliases)) }

// setPaths says where to look for each field.
func (p *Parser) setPaths(named map[string]string) error {
	for name, path := range named {
		if aliases[name] == nil {
			return fmt.Errorf("unknown field %q; there are %s", name, strings.Join(FieldNames(), ", "))
		}
		if path == "" {
			return fmt.Errorf("field %s has no name; write %s=NAME", name, name)
		}
	}
	p.paths = maps.Clone(aliases)
	for name, path := range named {
		p.paths[name] = []string{path}
	}
	return nil
}

// object is a line of JSON.
type object struct {
	members map[string]any
	// ours: Sluice wrote it. It leaves out what is not there, so that a dash is a
	// value; to others a dash is what there is none of.
	ours bool
}

// readObject reads a line of JSON.
func (p *Parser) readObject(line string, f *found) error {
	var o object
	if err := json.Unmarshal([]byte(line), &o.members); err != nil {
		return fmt.Errorf("it is no JSON object: %w", err)
	}
	o.ours = o.textAt("reason") != ""
	f.Method, f.Target = p.text(o, "method"), p.text(o, "target")
	if f.Method == "" || f.Target == "" {
		line := p.text(o, "request")
		if line == "" {
			return errors.New("there is no method or no path")
		}
		if err := f.setRequestLine(line); err != nil {
			return err
		}
	}
	if o.ours { // elsewhere the word may mean anything
		f.Service = o.textAt("service")
	}
	if query := p.text(o, "query"); query != "" && !strings.Contains(f.Target, "?") {
		if !o.ours { // HAProxy and others log the question mark, too
			query = strings.TrimPrefix(query, "?")
		}
		f.Target += "?" + query
	}
	f.Host, f.Client = p.text(o, "host"), clientOf(p.text(o, "client"))
	f.UserAgent, f.Referer = p.text(o, "user_agent"), p.text(o, "referer")
	f.Status, _ = strconv.Atoi(p.text(o, "status"))
	f.setCookies(p.text(o, "cookie"))
	if f.session != "" && f.key == "" {
		if f.byCookie {
			f.key = o.textAt("cookie_" + f.session)
		} else {
			f.key = o.textAt(f.session)
		}
	}
	return p.setTime(o, f)
}

// setTime reads the time, which may be missing.
func (p *Parser) setTime(o object, f *found) error {
	s := p.text(o, "time")
	if s == "" {
		return nil
	}
	at, err := parseTime(s)
	f.At = at
	return err
}

// text returns the first value there is for a field.
func (p *Parser) text(o object, field string) string {
	for _, path := range p.paths[field] {
		if s := o.textAt(path); s != "" {
			return s
		}
	}
	return ""
}

// textAt returns a text or number of an object, or of one in it; of a list, its
// first member.
func (o object) textAt(path string) string {
	v := valueAt(o.members, path)
	if list, is := v.([]any); is && len(list) > 0 {
		v = list[0]
	}
	switch v := v.(type) {
	case string:
		if v != "-" || o.ours {
			return v
		}
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

// valueAt returns what stands in an object, or in one in it, or nil. A name with
// a dot in it is found before the dot leads inwards.
func valueAt(members map[string]any, path string) any {
	v, ok := members[path]
	for before, rest := "", path; !ok; {
		name, after, more := strings.Cut(rest, ".")
		if !more {
			return nil
		}
		before += name
		if inner, is := members[before].(map[string]any); is {
			return valueAt(inner, after)
		}
		before, rest = before+".", after
	}
	return v
}
