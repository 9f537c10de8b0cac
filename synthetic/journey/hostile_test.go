package journey

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// one is a journey of one step.
func one(s Step) Spec {
	s.Name, s.Method, s.Path = "only", "GET", "/"
	if s.Timeout == 0 {
		s.Timeout = 20 * time.Second
	}
	return Spec{Name: "one", Timeout: 30 * time.Second, Steps: []Step{s}}
}

// Bodies of any kind cost no more than MaxBody, and are never unpacked.
func TestHostileBodies(t *testing.T) {
	endless := func(w http.ResponseWriter, r *http.Request) {
		chunk := []byte(strings.Repeat("x", 32<<10))
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	deep := func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("[", MaxBody/2)) }
	bomb := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		chunk := make([]byte, MaxBody)
		for range 4 {
			z.Write(chunk)
		}
		z.Close()
	}
	lies := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1073741824")
		io.WriteString(w, "short")
	}
	wantJSON, wantText := Expect{JSON: map[string]string{"$..a": "*"}}, Expect{Contains: []string{"y"}}
	for _, c := range []struct {
		name   string
		serve  http.HandlerFunc
		expect Expect
		want   string
	}{
		{"endless, unread", endless, Expect{}, ""},
		{"endless, read", endless, wantText, "more than the 1048576 bytes"},
		{"deep JSON", deep, wantJSON, "exceeded max depth"},
		{"deep JSON, by schema", deep, Expect{Schema: []byte(`{"type": "array"}`)}, "exceeded max depth"},
		{"a bomb, packed", bomb, wantText, `does not contain "y"`},
		{"less than was promised", lies, wantText, "unexpected EOF"},
	} {
		res := compiled(t, one(Step{Expect: c.expect})).Run(t.Context(), serve(t, c.serve))
		if got := ""; res.Err != nil {
			got = res.Err.Error()
			if c.want == "" || !strings.Contains(got, c.want) {
				t.Errorf("%s: %s", c.name, got)
			}
		} else if c.want != "" {
			t.Errorf("%s: passed", c.name)
		}
		if n := len(res.Steps[0].Response); n > 2*ShownBody {
			t.Errorf("%s: %d bytes are kept", c.name, n)
		}
	}
}

func TestTimesRunOut(t *testing.T) {
	slow := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	spec := one(Step{Timeout: 30 * time.Millisecond})
	if err := compiled(t, spec).Run(t.Context(), serve(t, http.HandlerFunc(slow))).Err; err == nil || err.Error() != "journey one, step only: no answer within 30ms" {
		t.Error(err)
	}
	spec = one(Step{Retries: 1000})
	spec.Timeout = 30 * time.Millisecond
	if err := compiled(t, spec).Run(t.Context(), serve(t, http.HandlerFunc(slow))).Err; err == nil || err.Error() != "journey one, step only: the time of the run is over" {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() }
	if err := compiled(t, one(Step{})).Run(ctx, serve(t, http.HandlerFunc(ended))).Err; err == nil || err.Error() != "journey one, step only: the run was ended" {
		t.Error(err)
	}
}

// A try that fails is repeated as often as the step says, not once more.
func TestRetries(t *testing.T) {
	var asked atomic.Int64
	target := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(503)
		}
	}))
	ok := Expect{Status: []Statuses{{200, 299}}}
	if res := compiled(t, one(Step{Retries: 1, Expect: ok})).Run(t.Context(), target); res.Err == nil || asked.Load() != 2 || res.Steps[0].Tries != 2 {
		t.Errorf("%v after %d", res.Err, asked.Load())
	}
	asked.Store(0)
	if res := compiled(t, one(Step{Retries: 2, Expect: ok})).Run(t.Context(), target); res.Err != nil || res.Steps[0].Tries != 3 {
		t.Error(res.Err)
	}
}

// Latency is measured to the end of the body, by the clock that is given.
func TestLatency(t *testing.T) {
	target := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	now := time.Unix(0, 0)
	target.Now = func() time.Time { now = now.Add(time.Second); return now }
	if err := compiled(t, one(Step{Expect: Expect{Latency: 900 * time.Millisecond}})).Run(t.Context(), target).Err; err == nil || !strings.HasSuffix(err.Error(), "took 1s, more than 900ms") {
		t.Error(err)
	}
	if err := compiled(t, one(Step{Expect: Expect{Latency: time.Second}})).Run(t.Context(), target).Err; err != nil {
		t.Error(err)
	}
}

// What a captured value may not do: end a line of the head, or a path.
func TestCapturedValuesStayValues(t *testing.T) {
	var asked []string
	target := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.RequestURI)
		io.WriteString(w, `{"v": "a b\r\nX: y#z\u00e9"}`)
	}))
	spec := one(Step{Capture: []Capture{{Name: "v", JSON: "$.v", Show: true}}})
	second := spec.Steps[0]
	second.Name, second.Path, second.Capture = "second", "/x/{{v}}", nil
	third := second
	third.Name, third.Path, third.Headers = "third", "/", map[string]string{"X-V": "{{v}}"}
	spec.Steps = append(spec.Steps, second, third)
	res := compiled(t, spec).Run(t.Context(), target)
	if len(asked) != 2 || asked[1] != "/x/a%20b%0D%0AX:%20y%23z%C3%A9" {
		t.Errorf("asked %q", asked)
	}
	var at *StepError
	if !errors.As(res.Err, &at) || at.Step != "third" || at.Err.Error() != "header X-V: the value has control characters" {
		t.Error(res.Err)
	}
}

func TestNewNamesTheStep(t *testing.T) {
	for _, s := range []Step{
		{Expect: Expect{Regex: []string{"("}}}, {Expect: Expect{JSON: map[string]string{"$[": "*"}}},
		{Expect: Expect{Schema: []byte("{")}}, {Expect: Expect{Schema: []byte(`{"$ref": "http://127.0.0.1:1/x"}`)}},
		{Capture: []Capture{{Name: "a", Regex: "("}}}, {Capture: []Capture{{Name: "a", JSON: "$["}}},
	} {
		if _, err := New(one(s)); err == nil || !strings.HasPrefix(err.Error(), "journey one, step only: ") {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// FuzzAnswer reads any body as JSON, by path and by schema, and shows it.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"items": [{"price": 1.5e3}, null, {"price": "x"}], "a": 18446744073709551616}`))
	f.Add([]byte("[[[[\x00\xff"))
	f.Add([]byte(`{"a": 1e999}`))
	spec := one(Step{
		Expect:  Expect{JSON: map[string]string{"$..price": "1", "$.items[?(@.price > 2 && @.a == 'x')].a": "*", "$[-1:0:-1]": "x"}, Schema: []byte(`{"type": "object", "properties": {"a": {"minimum": 2}}}`)},
		Capture: []Capture{{Name: "a", JSON: "$.a"}, {Name: "b", Regex: "(a)|b"}},
	})
	j, err := New(spec)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		send := func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Status: "200 OK", Body: io.NopCloser(strings.NewReader(string(body))), Header: http.Header{}, Request: r}, nil
		}
		res := j.Run(t.Context(), Target{Host: "a", Send: send})
		if strings.ContainsAny(res.Steps[0].Response, "\x00\x1b\r") {
			t.Errorf("shown: %q", res.Steps[0].Response)
		}
	})
}
