package replay

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// serveFor starts a server and returns it as a target.
func serveFor(t testing.TB, h http.HandlerFunc) Target {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return Target{Name: "v2", URL: u}
}

// logOf writes a log and returns a source of it.
func logOf(t testing.TB, text string) *Source {
	t.Helper()
	name := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, name)
}

func open(t testing.TB, names ...string) *Source {
	t.Helper()
	s, err := Open(names, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// line is a line of a log in the common format.
func line(client string, second int, method, target string, status int) string {
	return fmt.Sprintf("%s - - [23/Nov/2026:09:%02d:%02d +0000] \"%s %s HTTP/1.1\" %d 5\n", client, second/60, second%60, method, target, status)
}

// TestSessionsStayInOrder: many sessions, each of whose requests need the one
// before and the cookie that the first one gave.
func TestSessionsStayInOrder(t *testing.T) {
	var mu sync.Mutex
	seen, wrong := map[string]int{}, 0
	target := serveFor(t, func(w http.ResponseWriter, r *http.Request) {
		var who string
		var step int
		_, _ = fmt.Sscanf(strings.ReplaceAll(r.URL.Path, "/", " "), "%s %d", &who, &step)
		mu.Lock()
		defer mu.Unlock()
		cookie, err := r.Cookie("sid")
		if step != seen[who] || step == 0 && err == nil || step > 0 && (err != nil || cookie.Value != who) {
			wrong++
		}
		seen[who]++
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: who})
	})
	var log strings.Builder
	for step := range 20 {
		for client := range 30 {
			log.WriteString(line(fmt.Sprintf("10.0.0.%d", client), 0, "GET", fmt.Sprintf("/c%d/%d", client, step), 200))
		}
	}
	rep := Run(t.Context(), Config{Target: target, Concurrency: 16, Cookies: true}, logOf(t, log.String()), newParser(t, Layout{}))
	if !rep.Passed || rep.Sent != 600 || rep.Sessions != 30 || wrong != 0 || rep.Answers.Statuses[200] != 600 {
		t.Errorf("%d out of order or without cookie; %+v", wrong, rep)
	}
}

func TestCounts(t *testing.T) {
	target := serveFor(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "shop.example.com" || r.Header.Get("X-A") != "b" || r.UserAgent() != "" {
			w.WriteHeader(http.StatusTeapot)
		}
		switch r.URL.Path {
		case "/gone":
			w.WriteHeader(http.StatusGone)
		case "/broken":
			w.WriteHeader(http.StatusBadGateway)
		case "/cut":
			panic(http.ErrAbortHandler)
		}
	})
	target.Host = "shop.example.com"
	if err := target.Add("X-A", " b"); err != nil {
		t.Fatal(err)
	}
	log := line("::1", 1, "GET", "//double", 200) + line("::1", 1, "GET", "/items/17", 200) + line("::1", 1, "GET", "/gone", 200) + line("::1", 1, "GET", "/broken", 200) +
		line("::1", 1, "GET", "/broken", 502) + line("::1", 1, "POST", "/items", 201) + line("::1", 1, "PUT", "/items/1", 201) + line("::1", 1, "HEAD", "/static/a", 200) +
		"nonsense\n" + strings.Repeat("x", 3*maxLine) + "\n" + strings.TrimSuffix(line("::1", 2, "GET", "/cut", 200), "\n")
	cfg := Config{Target: target, Filter: Filter{Allow: []string{"POST"}, NotPath: regexp.MustCompile("^/static/")}, Tolerance: Tolerance{Count: 1}, Concurrency: 1}
	rep := Run(t.Context(), cfg, logOf(t, log), newParser(t, Layout{}))
	if rep.Sent != 7 || rep.NotSafe != 1 || rep.LeftOut != 1 || rep.Malformed != 2 || rep.Errors != 2 || rep.Lines != 11 {
		t.Errorf("%+v", rep)
	}
	if rep.Passed || len(rep.Reasons) != 1 || rep.Reasons[0] != "too many errors: more than 1" {
		t.Errorf("%q", rep.Reasons)
	}
	if len(rep.BadLines) != 2 || rep.BadLines[0].Line != 9 || rep.BadLines[1].Line != 10 || rep.BadLines[1].Why != errLongLine.Error() {
		t.Errorf("%+v", rep.BadLines)
	}
	if rep.Answers.Lost["connection closed"] != 1 || rep.Answers.Statuses[502] != 2 || rep.Answers.Statuses[410] != 1 || rep.Answers.Statuses[200] != 3 {
		t.Errorf("%+v", rep.Answers)
	}
	if len(rep.Changes) != 3 || rep.Changes[0].Count != 1 {
		t.Errorf("%+v", rep.Changes)
	}
	var names []string
	for _, p := range rep.Patterns {
		names = append(names, p.Name)
	}
	if !slices.Contains(names, "GET /items/{}") || rep.Patterns[0].Name != "GET /broken" {
		t.Errorf("%q", names)
	}
	var text, page bytes.Buffer
	if err := errors.Join(rep.WriteText(&text), rep.WriteHTML(&page)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"502 instead of 200", "access.log:9: there is no", "failed: too many errors", "connection closed"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in\n%s", want, text.String())
		}
	}
	for _, want := range []string{"<td>200<td>502<td>1<td>GET /broken", "access.log:9<td>there is no", "failed: too many errors", "<title>at 0s: 28/s, 2 errors</title>"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("%q is missing in\n%s", want, page.String())
		}
	}
	if _, err := json.Marshal(rep); err != nil {
		t.Error(err)
	}
}

// TestPaths: the target goes onto the wire as it was logged.
func TestPaths(t *testing.T) {
	var mu sync.Mutex
	var got []string
	target := serveFor(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, strings.TrimPrefix(r.RequestURI, "http://"+r.Host))
	})
	want := []string{"/", "/a%2Fb?", "//a", "/a/../b;c?d=%zz&e", "/?//x", "/a%20b"}
	var log strings.Builder
	for _, w := range want {
		log.WriteString(line("::1", 0, "GET", w, 200))
	}
	Run(t.Context(), Config{Target: target}, logOf(t, log.String()), newParser(t, Layout{}))
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestTiming turns an injected clock.
func TestTiming(t *testing.T) {
	log := line("::1", 0, "GET", "/0", 200) + line("::2", 10, "GET", "/10", 200) + line("::3", 5, "GET", "/5", 200) + line("::4", 20, "GET", "/20", 200)
	for _, test := range []struct {
		pace Pace
		want []time.Duration
	}{
		{Pace{Speed: 1}, []time.Duration{10 * time.Second, 10 * time.Second}},
		{Pace{Speed: 4}, []time.Duration{2500 * time.Millisecond, 2500 * time.Millisecond}},
		{Pace{Rate: 2}, []time.Duration{time.Second / 2, time.Second / 2, time.Second / 2}},
		{Pace{Speed: 1, Rate: 1}, []time.Duration{time.Second, time.Second, time.Second}},
		{Pace{}, nil},
	} {
		var mu sync.Mutex
		now := time.Unix(1e9, 0)
		var slept []time.Duration
		cfg := Config{
			Target: serveFor(t, func(http.ResponseWriter, *http.Request) {}), Pace: test.pace,
			Now: func() time.Time { mu.Lock(); defer mu.Unlock(); return now },
			Sleep: func(_ context.Context, d time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				slept, now = append(slept, d), now.Add(d)
			},
		}
		if rep := Run(t.Context(), cfg, logOf(t, log), newParser(t, Layout{})); !rep.Passed || !slices.Equal(slept, test.want) {
			t.Errorf("%+v: slept %v, want %v; %q", test.pace, slept, test.want, rep.Reasons)
		}
	}
}

// TestStops: too many errors, a limit, an interruption, a log that is cut off.
func TestStops(t *testing.T) {
	broken := serveFor(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	log := strings.Repeat(line("::1", 0, "GET", "/", 200), 5000)
	run := func(ctx context.Context, cfg Config) *Report {
		return Run(ctx, cfg, logOf(t, log), newParser(t, Layout{Session: "none"}))
	}
	if rep := run(t.Context(), Config{Target: broken, Tolerance: Tolerance{Share: 0.1}, Concurrency: 4}); rep.Sent < 100 || rep.Sent > 110 || rep.Stopped != "too many errors: more than 10%" {
		t.Errorf("%+v", rep)
	}
	if rep := run(t.Context(), Config{Target: broken, Tolerance: Tolerance{Any: true}, Limit: 7}); rep.Sent != 7 || !rep.Passed {
		t.Errorf("%+v", rep)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if rep := run(ctx, Config{Target: broken}); rep.Passed || rep.Stopped != "interrupted" {
		t.Errorf("%+v", rep)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = io.WriteString(z, log)
	_ = z.Close()
	rep := Run(t.Context(), Config{Target: broken, Tolerance: Tolerance{Any: true}}, logOf(t, zipped.String()[:zipped.Len()-20]), newParser(t, Layout{}))
	if rep.Passed || !strings.Contains(rep.Stopped, "can't be read on behind line") || rep.Sent == 0 {
		t.Errorf("%+v", rep)
	}
}

// TestInterruptedWhileNothingComes: a replay of a pipe ends when it is told to,
// and not with the next line.
func TestInterruptedWhileNothingComes(t *testing.T) {
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	s, err := Open([]string{"-"}, r)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	target := serveFor(t, func(http.ResponseWriter, *http.Request) { close(answered) })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan *Report)
	go func() { done <- Run(ctx, Config{Target: target}, s, newParser(t, Layout{})) }()
	_, _ = io.WriteString(w, line("::1", 0, "GET", "/", 200))
	<-answered
	cancel()
	if rep := <-done; rep.Stopped != "interrupted" {
		t.Errorf("%+v", rep)
	}
	s.Close()
}

func TestCompressedLogs(t *testing.T) {
	dir := t.TempDir()
	text := []string{"a\nb\n", "c", strings.Repeat("d", maxLine+1) + "\ne\n", ""}
	var names []string
	for i, s := range text {
		for ending, compress := range map[string]func(io.Writer) io.WriteCloser{
			"gz":  func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
			"zst": func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z },
			"pzst": func(w io.Writer) io.WriteCloser { // RFC 8878, section 3.1.2
				_, _ = io.WriteString(w, "\x50\x2a\x4d\x18\x04\x00\x00\x00abcd")
				z, _ := zstd.NewWriter(w)
				return z
			},
			"log": func(w io.Writer) io.WriteCloser { return nopCloser{w} },
		} {
			name := filepath.Join(dir, fmt.Sprint(i, ".", ending))
			f, err := os.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			z := compress(f)
			_, _ = io.WriteString(z, s)
			if err := errors.Join(z.Close(), f.Close()); err != nil {
				t.Fatal(err)
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	s := open(t, names...)
	var got []string
	long := 0
	for {
		line, _, _, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			if long++; !errors.Is(err, errLongLine) {
				t.Fatal(err)
			}
			continue
		}
		got = append(got, string(line))
	}
	if want := "a b a b a b a b c c c c e e e e"; strings.Join(got, " ") != want || long != 4 {
		t.Errorf("%q and %d long lines, want %s", got, long, want)
	}
	if done, total := s.Progress(); done != total || total == 0 {
		t.Errorf("read %d of %d", done, total)
	}
	for _, name := range []string{filepath.Join(dir, "none"), dir} {
		if _, err := Open([]string{names[0], name}, nil); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// TestConstantMemory replays a log that is far larger than what may be held,
// all of one session, so that all of it waits.
func TestConstantMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second or two")
	}
	target := serveFor(t, func(http.ResponseWriter, *http.Request) {})
	r, w := io.Pipe()
	go func() {
		text := []byte(line("::1", 0, "GET", "/"+strings.Repeat("x", 30<<10), 200))
		for range 4000 { // 120 MB
			if _, err := w.Write(text); err != nil {
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
	var most uint64
	cfg := Config{Target: target, Every: 50 * time.Millisecond, Progress: func(Progress) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		most = max(most, m.HeapInuse)
	}}
	if rep := Run(t.Context(), cfg, s, newParser(t, Layout{})); rep.Sent != 4000 {
		t.Errorf("%+v", rep)
	}
	if most > 100<<20 {
		t.Errorf("%d MiB are in use", most>>20)
	}
}

// TestAgainst: the comparer is given what both versions answered.
func TestAgainst(t *testing.T) {
	v1 := serveFor(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "one") })
	v2 := serveFor(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "two") })
	v1.Name = "v1"
	var seen pairs
	cfg := Config{Target: v2, Against: &v1, Comparer: &seen, Filter: Filter{Allow: []string{"POST"}}}
	rep := Run(t.Context(), cfg, logOf(t, line("::1", 0, "GET", "/a", 200)+line("::1", 0, "POST", "/b", 200)), newParser(t, Layout{}))
	if want := []string{"GET one one two", "POST one - two"}; !slices.Equal(seen.all, want) {
		t.Errorf("%q, want %q", seen.all, want)
	}
	if rep.Against != "v1" || rep.Baseline == nil || rep.Baseline.Statuses[200] != 2 {
		t.Errorf("%+v", rep)
	}
}

type pairs struct {
	mu  sync.Mutex
	all []string
}

func (p *pairs) Add(r *Request, baseline, again, target *Answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	second := "-"
	if again != nil {
		second = string(again.Body)
	}
	p.all = append(p.all, strings.Join([]string{r.Method, string(baseline.Body), second, string(target.Body)}, " "))
}

// lines is a log of so many lines, made as it is read.
type lines struct {
	left int
	line string
	rest string
}

func (l *lines) Read(p []byte) (int, error) {
	if l.rest == "" {
		if l.left == 0 {
			return 0, io.EOF
		}
		l.left--
		l.rest = l.line
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// BenchmarkRun is a request's whole way: its line, its session, the wire, the
// tally. What the server costs is in it.
func BenchmarkRun(b *testing.B) {
	target, _ := answering(b, func(int, int, string) string { return "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" })
	for name, text := range map[string]string{
		"common": line("192.0.2.7", 0, "GET", "/products/17?a=b", 200),
		"json":   `{"level":"info","ts":"2026-11-23T09:03:04.123456Z","msg":"request","client":"192.0.2.77","method":"GET","host":"shop.example.com","path":"/products/17","proto":"1.1","status":200,"took":1.500000,"bytes_in":5,"bytes_out":2326,"service":"web","version":"v1","reason":"pin","endpoint":"127.0.0.1:9001","retries":0}` + "\n",
	} {
		b.Run(name, func(b *testing.B) {
			s, err := Open([]string{"-"}, &lines{left: b.N, line: text})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			b.ReportAllocs()
			b.ResetTimer()
			rep := Run(b.Context(), Config{Target: target, Cookies: true}, s, newParser(b, Layout{Session: "none"}))
			if rep.Sent != int64(b.N) || rep.Errors > 0 {
				b.Fatalf("%+v", rep)
			}
		})
	}
}
