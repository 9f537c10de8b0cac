package compare

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// place is a value in a tree that was built whole: its type and what it says.
type place struct{ typ, says string }

// twin is a body as the slow way sees it: by field, every place of it.
type twin struct {
	values map[string]map[string]place // by field and concrete place
	holds  map[string]int              // objects and lists, by field
}

func newTwin(t *rapid.T, body string) twin {
	d := json.NewDecoder(strings.NewReader(body))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	w := twin{map[string]map[string]place{}, map[string]int{}}
	w.add("$", "", tree)
	return w
}

func (w twin) add(field, at string, v any) {
	var p place
	switch v := v.(type) {
	case nil:
		p.typ = "null"
	case bool:
		p = place{"boolean", fmt.Sprint(v)}
	case json.Number:
		r, _ := new(big.Rat).SetString(v.String())
		p = place{"number", r.String()}
	case string:
		p = place{"string", v}
	case []any:
		p = place{"array", fmt.Sprint(len(v))}
		w.holds[field]++
		for i, e := range v {
			w.add(field+"[]", fmt.Sprintf("%s/%d", at, i), e)
		}
	case map[string]any:
		p.typ = "object"
		w.holds[field]++
		for k, e := range v {
			if isValue(k) {
				w.add(field+".*", at+"/"+k, e)
			} else {
				w.add(string(appendKey([]byte(field), []byte(k))), at, e)
			}
		}
	}
	if w.values[field] == nil {
		w.values[field] = map[string]place{}
	}
	w.values[field][at] = p
}

func (w twin) types(field string) string {
	var all []string
	for _, p := range w.values[field] {
		all = append(all, p.typ)
	}
	slices.Sort(all)
	return fmt.Sprint(slices.Compact(all))
}

// parentOf cuts the last step off a field; keys of these tests hold no brackets.
func parentOf(field string) string {
	if p, ok := strings.CutSuffix(field, "[]"); ok {
		return p
	}
	return field[:max(strings.LastIndexByte(field, '.'), strings.LastIndex(field, `["`))]
}

// slowDiff says what differs, field by field.
func slowDiff(a, b twin) []string {
	var all []string
	fields := map[string]bool{}
	for f := range a.values {
		fields[f] = true
	}
	for f := range b.values {
		fields[f] = true
	}
	for f := range fields {
		if kind := slowKind(a, b, f); kind != "" && reached(a, b, f) {
			all = append(all, f+" "+string(kind))
		}
	}
	slices.Sort(all)
	return all
}

// reached says that nothing above a field differs so that nothing is said of it.
func reached(a, b twin, f string) bool {
	for f != "$" {
		f = parentOf(f)
		switch slowKind(a, b, f) {
		case Retyped, Missing, Added:
			return false
		}
		if a.holds[f] == 0 || b.holds[f] == 0 {
			return false
		}
	}
	return true
}

func slowKind(a, b twin, f string) Kind {
	x, y := a.values[f], b.values[f]
	star, element := strings.HasSuffix(f, ".*"), strings.HasSuffix(f, "[]")
	if f != "$" && !star && !element {
		p := parentOf(f)
		n, m := a.holds[p], b.holds[p]
		switch {
		case len(x) == 0, n == m && len(x) < len(y), n != m && len(y) > 0 && len(x) < n && len(y) == m:
			return Added
		case len(y) == 0, n == m && len(x) > len(y), n != m && len(x) == n && len(y) < m:
			return Missing
		}
	}
	switch {
	case len(x) == 0 || len(y) == 0:
		if star {
			return Value
		}
		return ""
	case a.types(f) != b.types(f):
		return Retyped
	case len(x) != len(y):
		if star {
			return Value
		}
		return ""
	case !equal(x, y):
		return Value
	}
	return ""
}

func equal(x, y map[string]place) bool {
	for at, p := range x {
		if q, found := y[at]; !found || p != q {
			return false
		}
	}
	return true
}

// tree draws a value of JSON from a small world, so that two are often alike.
func tree(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		kinds := 6
		if depth == 0 {
			kinds = 4
		}
		switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
		case 0:
			return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "literal")
		case 1:
			return rapid.SampledFrom([]string{"1", "1.0", "10e-1", "-0", "0", "1e2", "100", "0.25", "123456789012345678901"}).Draw(t, "number")
		case 2, 3:
			return rapid.SampledFrom([]string{`""`, `"a"`, `"\u0061"`, `"\ud83d\ude00"`, `"😀"`, `"\n"`, `"\ud83d"`}).Draw(t, "string")
		case 4:
			return "[" + strings.Join(rapid.SliceOfN(tree(depth-1), 0, 3).Draw(t, "list"), ",") + "]"
		}
		keys := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "12", "34", "", "a b"}), 0, 4, rapid.ID[string]).Draw(t, "keys")
		for i, k := range keys {
			keys[i] = fmt.Sprintf("%q: %s", k, tree(depth-1).Draw(t, "value"))
		}
		return "{" + strings.Join(keys, ", ") + "}"
	})
}

// repeats reports whether an object has a key twice, which the twin can't see.
func repeats(body string) bool {
	var v any
	_ = json.Unmarshal([]byte(body), &v)
	again, _ := json.Marshal(v)
	return strings.Count(string(again), `":`) != strings.Count(body, `":`)
}

// list draws a list of objects that have some of the same keys.
func list() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		rows := rapid.SliceOfN(rapid.SampledFrom([]string{
			`{"a":1}`, `{"a":1,"b":2}`, `{}`, `{"b":2}`, `{"a":"1"}`, `{"a":null}`, `{"a":{"c":1}}`, `{"a":{"c":2}}`, `{"7":{"c":1}}`, `{"8":{"c":1},"9":{"c":[]}}`, `1`, `[1]`,
		}), 0, 4).Draw(t, "rows")
		return `{"list":[` + strings.Join(rows, ",") + `]}`
	})
}

func TestLikeTheTwinThatBuildsTrees(t *testing.T) {
	c := New(Config{})
	rapid.Check(t, func(t *rapid.T) {
		for range 10 { // bodies are small, and what differs in few ways is rare
			likeTheTwin(t, c)
		}
	})
}

func likeTheTwin(t *rapid.T, c *Comparison) {
	of := rapid.SampledFrom([]*rapid.Generator[string]{tree(3), list()}).Draw(t, "of")
	a, b := of.Draw(t, "a"), of.Draw(t, "b")
	if rapid.Bool().Draw(t, "related") {
		b = strings.Replace(a, rapid.SampledFrom([]string{"1", `"a"`, "null", "[", `"b"`, `{"a":1}`}).Draw(t, "old"), rapid.SampledFrom([]string{"1", `"a"`, "null", "{}"}).Draw(t, "new"), 1)
		if !json.Valid([]byte(b)) || repeats(b) {
			b = a
		}
	}
	got, reason := fastDiff(c, []byte(a), []byte(b))
	if reason != "" {
		t.Fatalf("%s %s: %s", a, b, reason)
	}
	if want := slowDiff(newTwin(t, a), newTwin(t, b)); !slices.Equal(got, want) {
		t.Errorf("%s against %s:\n got %q\nwant %q", a, b, got, want)
	}
}

func fastDiff(c *Comparison, a, b []byte) (all []string, reason string) {
	x, y := new(walk), new(walk)
	for w, body := range map[*walk][]byte{x: a, y: b} {
		if reason := w.read(body, c.seed, nil); reason != "" {
			return nil, reason
		}
	}
	d := differ{a: x, b: y}
	d.node(1, 1)
	for _, one := range d.all {
		all = append(all, one.w.field(one.at)+" "+string(one.kind))
	}
	slices.Sort(all)
	return all, ""
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,{"b":null}],"c":"\u00e9\ud83d\ude00\n"}`, `[[[]]]`, `"\x"`, `01`, `-`, `1e99999999999999999999`,
		`{"a":1,"a":2}`, `{"1":{},"2":{}}`, "\"\x01\"", `tru`, `{"":0}`, `-0.0e+0`, `"\ud83d\u0041"`, ` [ ] x`} {
		f.Add([]byte(s), []byte(`{"a":1}`))
	}
	c := New(Config{Exact: true})
	seed := maphash.MakeSeed()
	f.Fuzz(func(t *testing.T, a, b []byte) {
		w := new(walk)
		reason := w.read(a, seed, nil)
		if valid := json.Valid(a); valid != (reason == "") && (valid || reason == notJSON) && reason != tooDeep && reason != tooMany {
			t.Fatalf("%q is valid: %t, read: %q", a, valid, reason)
		}
		if got, reason := fastDiff(c, a, bytes.Clone(a)); reason == "" && len(got) > 0 {
			t.Fatalf("%q differs from itself: %q", a, got)
		}
		fastDiffs(t, c, a, b)
		c.Add(against(ok(string(a)), ok(string(b))))
	})
}

// fastDiffs holds that two bodies differ whichever comes first.
func fastDiffs(t *testing.T, c *Comparison, a, b []byte) {
	t.Helper()
	there, reason := fastDiff(c, a, b)
	back, _ := fastDiff(c, b, a)
	if reason == "" && (len(there) == 0) != (len(back) == 0) {
		t.Fatalf("%q and %q: %q, but back %q", a, b, there, back)
	}
}

// FuzzDecode feeds compressed bodies.
func FuzzDecode(f *testing.F) {
	for name, pack := range packers {
		f.Add(name, pack([]byte(`{"a":1}`)))
		f.Add(name, pack(make([]byte, 100_000)))
	}
	f.Add("deflate", []byte("x"))
	f.Fuzz(func(t *testing.T, encoding string, data []byte) {
		const most = 64 << 10
		r := Response{Body: data, Header: []Field{{"content-encoding", encoding}}}
		if got, reason := decode(&r, new(walk), most); reason == "" && len(got) > max(most, len(data)) {
			t.Fatalf("%d bytes of %d allowed", len(got), most)
		}
	})
}

// tenKilobytes is a list as APIs answer.
func tenKilobytes() []byte {
	var items []string
	for i := range 60 {
		items = append(items, fmt.Sprintf(`{"id":%d,"sku":"a-%d","name":"A thing of some length \u00e9 %d","price":{"amount":%d.50,"currency":"EUR"},"tags":["a","b"],"stock":%d,"seen":"2026-11-23T06:00:00Z"}`, i, i, i, i, i%7))
	}
	return []byte(`{"items":[` + strings.Join(items, ",") + `],"next":null}`)
}

func BenchmarkRead(b *testing.B) {
	body, w, seed := tenKilobytes(), new(walk), maphash.MakeSeed()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if reason := w.read(body, seed, nil); reason != "" {
			b.Fatal(reason)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	body := string(tenKilobytes())
	again := ok(strings.Replace(body, "06:00", "06:01", 1))
	p := Pair{Method: "GET", Path: "/items/17", Baseline: ok(body), Candidate: ok(strings.Replace(body, "06:00", "06:02", 1)), Again: &again}
	c := New(Config{})
	b.SetBytes(3 * int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		c.Add(p)
	}
}
