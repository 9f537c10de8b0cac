package proxy

import (
	"encoding/json"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"sluice/proxy/accesslog"
)

// journal keeps the lines of an access log.
type journal struct {
	mu   sync.Mutex
	text string
}

func (j *journal) write(line []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text += string(line)
}

// lines returns the lines so far.
func (j *journal) lines() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Split(strings.TrimSuffix(j.text, "\n"), "\n")
}

// count returns how many lines there are.
func (j *journal) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text, "\n")
}

// one awaits the only line and returns its members.
func (j *journal) one(t *testing.T) map[string]any {
	t.Helper()
	eventually(t, "the log has it", func() bool { return j.count() > 0 })
	lines := j.lines()
	if len(lines) != 1 {
		t.Errorf("logged %q", lines)
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &members); err != nil {
		t.Fatalf("%v: %s", err, lines[0])
	}
	return members
}

// logged sets an access log up that is kept in j.
func (j *journal) logged(mode AccessMode, layout accesslog.Layout) option {
	return func(r *rig) { r.options.Access = AccessLog{Mode: mode, Layout: layout, Write: j.write} }
}

func TestTheAccessLogTellsOfARequest(t *testing.T) {
	b := newRecorder(t, nil)
	var j journal
	r := newRig(t, map[string]string{"v1": b.addr}, j.logged(AccessAll, accesslog.Layout{}), tagged)
	r.exchangeRaw(get("/a/b?password=x", "User-Agent: \"me\"", "Referer: http://a/?secret", "X-Request-Id: r-1",
		"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", closing))
	got := j.one(t)
	for name, want := range map[string]any{
		"level": "info", "msg": "request", "listener": "test", "client": "127.0.0.1", "method": "GET", "host": "a.example",
		"path": "/a/b", "proto": "1.1", "status": 200.0, "bytes_in": 0.0, "bytes_out": 2.0, "service": "web", "version": "v1",
		"reason": "split", "endpoint": b.addr, "retries": 0.0, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "user_agent": `"me"`, "request_id": "r-1",
	} {
		if got[name] != want {
			t.Errorf("%s: %v, want %v", name, got[name], want)
		}
	}
	if tags, ok := got["tags"].(map[string]any); !ok || tags["version"] != "v1" || tags["commit"] != "3f2a9c1" || len(tags) != 2 {
		t.Errorf("tags: %v", got["tags"])
	}
	for _, name := range []string{"query", "referer", "tls", "cut_off", "failure", "shielded_from"} {
		if v, has := got[name]; has {
			t.Errorf("%s: %v", name, v)
		}
	}
	took, connect, wait, body := got["took"].(float64), got["connect"].(float64), got["wait"].(float64), got["body"].(float64)
	if sum := connect + wait + body; connect <= 0 || wait <= 0 || sum > took+1e-5 || sum < took-1e-5 {
		t.Errorf("took %v: connect %v, wait %v, body %v", took, connect, wait, body)
	}
}

// tagged gives each version a tag with its name, and one that all have.
func tagged(r *rig) {
	r.tags = func(version string) map[string]string {
		return map[string]string{"version": version, "commit": "3f2a9c1"}
	}
}

// TestWhoseTagsAreLogged: those of the version that answered, and none where no
// version was asked or the version has none.
func TestWhoseTagsAreLogged(t *testing.T) {
	b := newRecorder(t, nil)
	for _, test := range []struct {
		name, addr, want string
		option           option
	}{
		{"none to show", b.addr, "", func(*rig) {}},
		{"no endpoint", "", "", tagged},
		{"answered", b.addr, `,"tags":{"commit":"3f2a9c1","version":"v1"},`, tagged},
	} {
		t.Run(test.name, func(t *testing.T) {
			var j journal
			r := newRig(t, map[string]string{"v1": test.addr}, j.logged(AccessAll, accesslog.Layout{}), test.option)
			r.exchangeRaw(get("/", closing))
			if _, has := j.one(t)["request_id"]; has != (test.addr != "") {
				t.Error("an ID where nobody was asked, or none where one was")
			}
			if line := j.lines()[0]; strings.Contains(line, `"tags"`) != (test.want != "") || !strings.Contains(line, test.want) {
				t.Errorf("logged %s", line)
			}
		})
	}
}

// TestOneRequestOneID: every endpoint that is asked, the access log and the span
// have the same X-Request-Id.
func TestOneRequestOneID(t *testing.T) {
	var j journal
	recorded := make(chan string, 1)
	traced := func(r *rig) {
		r.options.Trace = Tracing{Sample: 1, Record: func(s *Span) { recorded <- strings.Clone(s.RequestID) }}
	}
	failing, good := newRecorder(t, always(response(503, ""))), newRecorder(t, nil)
	r := newRig(t, map[string]string{"v2": failing.addr, "v1": good.addr}, j.logged(AccessAll, accesslog.Layout{}), traced, shield(503), tagged)
	r.exchangeRaw(get("/", onV2, closing))
	line := j.one(t)
	if tags := line["tags"].(map[string]any); tags["version"] != "v1" {
		t.Errorf("the tags %v are not of the version that answered", tags)
	}
	first, second := failing.one(), good.one()
	id, a, b := line["request_id"], first.get("X-Request-Id"), second.get("X-Request-Id")
	if span := <-recorded; len(a) != 32 || a != b || a != id || a != span {
		t.Errorf("asked with %q and %q, logged %v, recorded %q", a, b, id, span)
	}
}

// TestTheAccessLogTellsWhereTimeWent: a retry's times are its own, a failed
// attempt was all waiting, and what was not asked has no times.
func TestTheAccessLogTellsWhereTimeWent(t *testing.T) {
	parts := func(m map[string]any) [3]bool {
		return [3]bool{m["connect"].(float64) > 0, m["wait"].(float64) > 0, m["body"].(float64) > 0}
	}
	gone := newRecorder(t, last(""))
	closed := newRecorder(t, nil)
	closed.stop()
	for _, test := range []struct {
		name, addr, path string
		status           float64
		want             [3]bool
	}{
		{"no answer", gone.addr, "/", 502, [3]bool{true, true, false}},
		{"nobody there", closed.addr, "/", 502, [3]bool{true, false, false}},
		{"no endpoint", "", "/", 503, [3]bool{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var j journal
			r := newRig(t, map[string]string{"v1": test.addr}, j.logged(AccessErrors, accesslog.Layout{}))
			r.exchangeRaw(get(test.path, closing))
			got := j.one(t)
			p := parts(got)
			if p[1] && !test.want[1] && got["wait"].(float64) < 0.001 {
				p[1] = false // the time between the failure and the end of the request
			}
			if got["status"] != test.status || p != test.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestTheAccessLogInApachesFormat(t *testing.T) {
	b := newRecorder(t, nil)
	var j journal
	r := newRig(t, map[string]string{"v1": b.addr}, j.logged(AccessAll, accesslog.Layout{Format: accesslog.Combined, MaskClient: true}))
	r.exchangeRaw(get("/x?a=%22&sluice-token=secret", "User-Agent: a\\\"b\tc", closing))
	eventually(t, "the log has it", func() bool { return j.count() == 1 })
	line := j.lines()[0]
	if !strings.HasPrefix(line, "127.0.0.0 - - [") || !strings.HasSuffix(line, `] "GET /x?a=%22 HTTP/1.1" 200 2 "-" "a\\\"b\tc"`) {
		t.Errorf("logged %s", line)
	}
}

// TestRefusedRequestsInTheAccessLog: nothing was read, so nothing is told but
// who it was and what was wrong.
func TestRefusedRequestsInTheAccessLog(t *testing.T) {
	for format, want := range map[accesslog.Format]string{
		accesslog.JSON:   `"msg":"request refused","listener":"test","client":"127.0.0.1","method":"","host":"","path":"","proto":"","status":400`,
		accesslog.Common: `"-" 400 -`,
	} {
		var j journal
		r := newRig(t, map[string]string{"v1": "127.0.0.1:1"}, j.logged(AccessErrors, accesslog.Layout{Format: format}))
		c := r.dial()
		io.WriteString(c, "G@T / HTTP/1.1\r\n\r\n")
		io.ReadAll(c)
		eventually(t, "the log has it", func() bool { return j.count() == 1 })
		if line := j.lines()[0]; !strings.Contains(line, want) {
			t.Errorf("logged %s", line)
		}
	}
}

// TestTheMaskHoldsForTraces: who hides addresses in one place hides them in
// all.
func TestTheMaskHoldsForTraces(t *testing.T) {
	b := newRecorder(t, nil)
	clients := make(chan netip.Addr, 1)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) {
		r.options.Access.Layout.MaskClient = true
		r.options.Trace = Tracing{Sample: 1, Record: func(s *Span) { clients <- s.Client }}
	})
	r.exchangeRaw(get("/", closing))
	if a := <-clients; a.String() != "127.0.0.0" {
		t.Errorf("recorded %v", a)
	}
}
