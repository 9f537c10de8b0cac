package replay

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"sluice/synthetic/compare"
)

// comparing compares as the command does.
type comparing struct{ *compare.Comparison }

func (c comparing) Add(r *Request, baseline, again, target *Answer) {
	response := func(a *Answer) compare.Response {
		if a.Err != nil {
			return compare.Response{}
		}
		res := compare.Response{Status: a.Status, Body: a.Body, Cut: a.Truncated}
		for _, f := range a.Fields {
			res.Header = append(res.Header, compare.Field{Name: f.Name, Value: f.Value})
		}
		return res
	}
	second := response(again)
	c.Comparison.Add(compare.Pair{Method: r.Method, Path: r.Target, Baseline: response(baseline), Candidate: response(target), Again: &second})
}

// watched has a replay note the most memory that was in use.
func watched(cfg *Config) *uint64 {
	most := new(uint64)
	cfg.Every = 20 * time.Millisecond
	cfg.Progress = func(Progress) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		*most = max(*most, m.HeapInuse)
	}
	return most
}

// packers are how bodies and logs are packed. What is packed twice may stand
// behind one another in both (RFC 1952, section 2.2; RFC 8878, section 3.1), so
// that it takes no time to make much of it.
var packers = map[string]func(io.Writer) io.WriteCloser{
	"":     func(w io.Writer) io.WriteCloser { return nopCloser{w} },
	"gzip": func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"zstd": func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z },
}

// pack packs a text.
func pack(t testing.TB, encoding, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := packers[encoding](&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// slow reports that there is to be less of everything.
func slow() bool { return testing.Short() || raceEnabled }

// TestHostileBodies: what two versions answer is compared in bounded memory,
// and what can't be is counted.
func TestHostileBodies(t *testing.T) {
	bodies := map[string]struct{ encoding, body string }{
		"/deep":    {"", strings.Repeat("[", 1<<19) + strings.Repeat("]", 1<<19)},
		"/objects": {"", strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)},
		"/wide":    {"", "{" + strings.Repeat(`"a":1,`, 100_000) + `"b":2}`},
		"/long":    {"", strings.Repeat("x", 3<<20)},
		"/gzip":    {"gzip", strings.Repeat(pack(t, "gzip", strings.Repeat("\x00", 1<<20)), 256)},
		"/zstd":    {"zstd", strings.Repeat(pack(t, "zstd", strings.Repeat("\x00", 1<<20)), 256)},
		"/lies":    {"gzip", "this is not gzip"},
		"/none":    {"", ""},
	}
	var names strings.Builder
	for i := range bodies["/wide"].body[:20_000] {
		fmt.Fprintf(&names, `"f%d":%d,`, i, i)
	}
	bodies["/names"] = struct{ encoding, body string }{"", "{" + names.String() + `"z":0}`}
	target := serveFor(t, func(w http.ResponseWriter, r *http.Request) {
		b := bodies[r.URL.Path]
		w.Header().Set("Content-Type", "application/json")
		if b.encoding != "" {
			w.Header().Set("Content-Encoding", b.encoding)
		}
		_, _ = io.WriteString(w, b.body)
		if r.Header.Get("Other") != "" && b.encoding == "" { // so that they are not just alike
			_, _ = io.WriteString(w, " ")
		}
	})
	other := target
	if err := other.Add("Other", "1"); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	rounds := 20
	if slow() {
		rounds = 2
	}
	for range rounds {
		for path := range bodies {
			log.WriteString(line("::1", 0, "GET", path, 200))
		}
	}
	comparison := compare.New(compare.Config{Least: 1})
	cfg := Config{Target: target, Against: &other, Comparer: comparing{comparison}, Timeout: time.Minute, Concurrency: 32}
	most := watched(&cfg)
	rep := Run(t.Context(), cfg, logOf(t, log.String()), newParser(t, Layout{Session: "none"}))
	if n := int64(rounds * len(bodies)); rep.Sent != n || rep.Errors != 0 || rep.Answers.Statuses[200] != n || rep.Baseline.Statuses[200] != n {
		t.Errorf("%+v", rep)
	}
	var skipped int64
	report := comparison.Report()
	for _, n := range report.NotCompared {
		skipped += n
	}
	if report.Comparisons != rep.Sent || skipped < int64(5*rounds) || report.Verdict.Decision == "pass" && skipped == 0 {
		t.Errorf("%d comparisons, not compared: %v", report.Comparisons, report.NotCompared)
	}
	t.Logf("%d MiB at the most, not compared: %v", *most>>20, report.NotCompared)
	// The bodies here, at most 128 MiB of answers, and what is unpacked for the comparison.
	if *most > 400<<20 {
		t.Errorf("%d MiB are in use", *most>>20)
	}
}

// TestHostileServers: answers that never end or never come are cut off in time.
func TestHostileServers(t *testing.T) {
	served := map[string]func(net.Conn, <-chan time.Time){
		"silent":  func(_ net.Conn, _ <-chan time.Time) {},
		"drip":    drip("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n", "x"),
		"head":    drip("HTTP/1.1 200 OK\r\nA: ", "x"),
		"chunks":  drip("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n"),
		"endless": drip("HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 64<<10)),
		"interim": drip("HTTP/1.1 103 Early Hints\r\n", "A: b\r\n"),
	}
	for name, serve := range served {
		t.Run(name, func(t *testing.T) {
			target := hostileServer(t, serve)
			against := target
			log := strings.Repeat(line("::1", 0, "GET", "/", 200), 4)
			cfg := Config{Target: target, Against: &against, Comparer: comparing{compare.New(compare.Config{})}, Timeout: 200 * time.Millisecond, Tolerance: Tolerance{Any: true}, Concurrency: 4}
			most := watched(&cfg)
			rep := Run(t.Context(), cfg, logOf(t, log), newParser(t, Layout{Session: "none"}))
			if rep.Answers.Lost["timed out"] != 4 || rep.Baseline.Lost["timed out"] != 4 || rep.Errors != 4 {
				t.Errorf("%+v, %+v", rep.Answers, rep.Baseline)
			}
			if *most > 200<<20 {
				t.Errorf("%d MiB are in use", *most>>20)
			}
		})
	}
}

// drip says a beginning, and then again and again the same.
func drip(start, more string) func(net.Conn, <-chan time.Time) {
	return func(c net.Conn, tick <-chan time.Time) {
		_, err := io.WriteString(c, start)
		for ; err == nil; _, err = io.WriteString(c, more) {
			<-tick
		}
	}
}

// hostileServer serves each connection by serve once a request has come, and
// keeps it open until the client closes it.
func hostileServer(t *testing.T, serve func(net.Conn, <-chan time.Time)) Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				_, _ = c.Read(make([]byte, 4096))
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				serve(c, tick.C)
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	return Target{Name: "v2", URL: mustURL("http://" + l.Addr().String())}
}

// TestResets: answers that break off are lost, wherever they do.
func TestResets(t *testing.T) {
	var n atomic.Int64
	target := hostileServer(t, func(c net.Conn, _ <-chan time.Time) {
		part := []string{"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"}[n.Add(1)%3]
		_, _ = io.WriteString(c, part)
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	})
	log := strings.Repeat(line("::1", 0, "GET", "/", 200), 30)
	rep := Run(t.Context(), Config{Target: target, Tolerance: Tolerance{Any: true}, Concurrency: 4}, logOf(t, log), newParser(t, Layout{Session: "none"}))
	if rep.Errors != 30 || rep.Answers.Lost["connection closed"] != 30 {
		t.Errorf("%+v", rep.Answers)
	}
}

// TestHugeBodies: a gigabyte is read and thrown away, and more is cut off there.
func TestHugeBodies(t *testing.T) {
	if slow() {
		t.Skip("sends gigabytes")
	}
	zeros := make([]byte, 1<<20)
	target := serveFor(t, func(w http.ResponseWriter, r *http.Request) {
		mib := 1 << 10
		if r.URL.Path == "/more" {
			mib = 1 << 20
		}
		for range mib {
			if _, err := w.Write(zeros); err != nil {
				return
			}
		}
	})
	log := line("::1", 0, "GET", "/gigabyte", 200) + line("::1", 0, "GET", "/more", 200)
	cfg := Config{Target: target, Timeout: 2 * time.Minute, Tolerance: Tolerance{Any: true}, Concurrency: 1}
	most := watched(&cfg)
	rep := Run(t.Context(), cfg, logOf(t, log), newParser(t, Layout{}))
	if rep.Answers.Statuses[200] != 1 || rep.Answers.Lost["body too long"] != 1 || rep.Answers.Bytes < 2<<30 {
		t.Errorf("%+v", rep.Answers)
	}
	if *most > 64<<20 {
		t.Errorf("%d MiB are in use", *most>>20)
	}
}

// TestHostileLogs: logs that are far longer unpacked than they seem, a line that
// does not end, and lines of what is no log cost time alone.
func TestHostileLogs(t *testing.T) {
	mib := 256
	if slow() {
		mib = 16
	}
	for name, test := range map[string]struct {
		encoding, text string
		bad            int // malformed lines; -1: some
	}{
		"one line":          {"", strings.Repeat("x", 1<<20), 1},
		"one line, gzip":    {"gzip", strings.Repeat("x", 1<<20), 1},
		"one line, zstd":    {"zstd", strings.Repeat("x", 1<<20), 1},
		"long lines, gzip":  {"gzip", strings.Repeat("x", 1<<20-1) + "\n", mib},
		"nested JSON, gzip": {"gzip", strings.Repeat(strings.Repeat("{", 60<<10)+"\n", 17), -1},
	} {
		t.Run(name, func(t *testing.T) {
			packed := pack(t, test.encoding, test.text)
			r, w := io.Pipe()
			go func() {
				for range mib {
					if _, err := io.WriteString(w, packed); err != nil {
						return
					}
				}
				_ = w.Close()
			}()
			s, err := Open([]string{"-"}, r)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			cfg := Config{Target: Target{URL: mustURL("http://127.0.0.1:1")}}
			most := watched(&cfg)
			rep := Run(t.Context(), cfg, s, newParser(t, Layout{}))
			if rep.Sent != 0 || test.bad >= 0 && rep.Malformed != int64(test.bad) || rep.Malformed == 0 || rep.Stopped != "" {
				t.Errorf("%+v", rep)
			}
			if *most > 64<<20 { // a quarter of what there is unpacked
				t.Errorf("%d MiB are in use", *most>>20)
			}
		})
	}
}

// TestHeldLines: what waits is bounded by the lines that it is part of, however
// little of them is sent.
func TestHeldLines(t *testing.T) {
	r := Request{}
	line := `{"method":"GET","path":"/","pad":"` + strings.Repeat("x", 10_000) + `"}`
	r, err := newParser(t, Layout{}).Parse([]byte(line))
	if err != nil || r.held < len(line) {
		t.Errorf("%d bytes are held, %v", r.held, err)
	}
	s := newSessions()
	for range maxPendingBytes/r.held + 1 {
		next := r
		if !s.put(t.Context(), &next) {
			t.Fatal("there was no room")
		}
	}
	if s.bytes < maxPendingBytes || s.pending >= maxPending {
		t.Errorf("%d bytes of %d requests wait", s.bytes, s.pending)
	}
}
