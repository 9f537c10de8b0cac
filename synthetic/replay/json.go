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

// maxDots is how many dots a path may hold: each may lead into an object or be
// part of a name.
const maxDots = 8

// objects reads lines of JSON.
type objects struct {
	pick            *picker
	slots           map[string][]int // by field: where it may stand
	reason, service []int
	session         []int
}

// newObjects returns what reads lines whose fields stand where they are named to.
func newObjects(named map[string]string, session string) (*objects, error) {
	for name, path := range named {
		if aliases[name] == nil {
			return nil, fmt.Errorf("unknown field %q; there are %s", name, strings.Join(FieldNames(), ", "))
		}
		if path == "" {
			return nil, fmt.Errorf("field %s has no name; write %s=NAME", name, name)
		}
	}
	for _, path := range append(slices.Collect(maps.Values(named)), session) {
		if strings.Count(path, ".") > maxDots {
			return nil, fmt.Errorf("the name %s has more than %d dots", shown(path), maxDots)
		}
	}
	o := &objects{pick: newPicker(), slots: map[string][]int{}}
	for field, paths := range aliases {
		if path := named[field]; path != "" {
			paths = []string{path}
		}
		for _, path := range paths {
			o.slots[field] = append(o.slots[field], o.pick.look(path)...)
		}
	}
	o.reason, o.service = o.pick.look("reason"), o.pick.look("service")
	if session != "" {
		o.session = o.pick.look(session)
	}
	return o, nil
}

// first returns the first value there is in some slots. Sluice leaves out what
// is not there, so that a dash is a value; to others a dash is what there is
// none of.
func (o *objects) first(slots []int, ours bool) string {
	for _, slot := range slots {
		if v := o.pick.values[slot]; v != "" && (v != "-" || ours) {
			return v
		}
	}
	return ""
}

// read reads a line.
func (o *objects) read(line string, f *found) error {
	if !o.pick.read(line) {
		return whyNot(line)
	}
	ours := o.first(o.reason, false) != "" // it says why a version was chosen
	text := func(field string) string { return o.first(o.slots[field], ours) }
	f.Method, f.Target = text("method"), text("target")
	if f.Method == "" || f.Target == "" {
		line := text("request")
		if line == "" {
			return errors.New("there is no method or no path")
		}
		if err := f.setRequestLine(line); err != nil {
			return err
		}
	}
	if ours { // elsewhere the word may mean anything
		f.Service = o.first(o.service, true)
	}
	if query := text("query"); query != "" && !strings.Contains(f.Target, "?") {
		if !ours { // HAProxy and others log the question mark, too
			query = strings.TrimPrefix(query, "?")
		}
		f.Target += "?" + query
	}
	f.Host, f.Client = text("host"), clientOf(text("client"))
	f.UserAgent, f.Referer = text("user_agent"), text("referer")
	f.Status, _ = strconv.Atoi(text("status"))
	f.setCookies(text("cookie"))
	if f.key == "" {
		f.key = o.first(o.session, ours)
	}
	return f.setTime(text("time"))
}

// setTime reads the time, which may be missing.
func (f *found) setTime(s string) (err error) {
	if s != "" {
		f.At, err = parseTime(s)
	}
	return err
}

// whyNot says what is wrong with a line that is no object.
func whyNot(line string) error {
	var o map[string]any
	if err := json.Unmarshal([]byte(line), &o); err != nil {
		return fmt.Errorf("it is no JSON object: %w", err)
	}
	return errors.New("it is no JSON object")
}
