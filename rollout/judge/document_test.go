package judge

import (
	"encoding/json"
	"strings"
	"testing"
)

// bigDocument is a state with something of everything, as JSON.
func bigDocument(t testing.TB) string {
	cfg := onlyErrors()
	cfg.Margins = []Margin{{1, 4, 2}}
	st := New(cfg)
	st.Events(Errors, 2, 5, 0.05)
	st.Minute()
	st.Latencies([]float64{1, 0}, []float64{2, 3}, []float64{5, 5}, 0.05)
	st.Candidate(2, 40)
	st.Sessions(7, 40, 1000, 0.05)
	st.Joined(7, 3, 0.05)
	text, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDocumentsThatAreRefused(t *testing.T) {
	whole := bigDocument(t)
	for _, c := range []struct{ old, to, want string }{
		{`{"version":1`, `{"version":2`, "of version 2; this build reads version 1"},
		{`"alpha":0.01`, `"alpha":0`, "alpha is 0"},
		{`"minute":1`, `"minute":121`, "minute is 121"},
		{`"bad":2`, `"bad":41`, "41 bad sessions of 40"},
		{`"epoch":7,"candidate":40`, `"epoch":7,"candidate":1001`, "epoch 7 can't be"},
		{`"joined":3`, `"joined":-1`, "epoch 7 can't be"},
		{`"errors":{"candidate":2`, `"errors":{"candidate":6`, "evidence on errors"},
		{`"p95":{`, `"p96":{`, `"p96" is no metric`},
		{`"base":[`, `"base":[1e300,`, "evidence on errors"},
		{`"safe":[[`, `"safe":[[],[`, "evidence on shift"},
		{`"safe":[[`, `"safe":[[1,`, "evidence on shift"},
		{`"ratio":4`, `"ratio":5`, "evidence on errors"},
	} {
		text := strings.Replace(whole, c.old, c.to, 1)
		st := New(DefaultConfig())
		before, _ := json.Marshal(st)
		err := json.Unmarshal([]byte(text), st)
		if text == whole || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %s: %v, want %q", c.to, err, c.want)
		}
		if after, _ := json.Marshal(st); string(after) != string(before) {
			t.Errorf("with %s: refused, and the state is changed", c.to)
		}
	}
}

// A document from a store is read or refused, and what was read can be judged.
func FuzzStateDocument(f *testing.F) {
	f.Add(bigDocument(f))
	f.Add(`{"version":1}`)
	f.Add(strings.Replace(bigDocument(f), `"log":[`, `"log":[1e14,`, 1))
	f.Fuzz(func(t *testing.T, text string) {
		st := New(DefaultConfig())
		if json.Unmarshal([]byte(text), st) != nil {
			return
		}
		st.Minute()
		st.Events(Errors, 1, 2, 0.05)
		if _, err := json.Marshal(st.Judge(now)); err != nil {
			t.Fatal(err)
		}
	})
}
