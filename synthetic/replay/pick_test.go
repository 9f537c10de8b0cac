package replay

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// The plain twin of picker: an object is made a map, in which paths are followed.

// twinValues returns what stands at a path, the meanings of its dots tried in
// the order in which picker does.
func twinValues(members map[string]any, path string) []string {
	values := []string{twinText(members[path])}
	for i := range len(path) {
		if path[i] == '.' {
			inner, _ := members[path[:i]].(map[string]any)
			values = append(values, twinValues(inner, path[i+1:])...)
		}
	}
	return values
}

// twinText returns a text or a number; of a list, its first member.
func twinText(v any) string {
	if list, is := v.([]any); is && len(list) > 0 {
		v = list[0]
	}
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		if _, err := v.Float64(); err != nil && strings.ContainsAny(string(v), "eE") {
			return ""
		}
		return string(v)
	}
	return ""
}

// compareTwins holds a picker against its twin for a text, whatever it is.
func compareTwins(t interface{ Fatalf(string, ...any) }, text string, paths []string) {
	p := newPicker()
	slots := map[string][]int{}
	for _, path := range paths {
		slots[path] = p.look(path)
	}
	ok := p.read(text)
	var members map[string]any
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	want := json.Valid([]byte(text)) && d.Decode(&members) == nil && members != nil
	if ok != want {
		t.Fatalf("%q: valid %v, want %v", text, ok, want)
	}
	if !ok || !utf8.ValidString(text) {
		return
	}
	for _, path := range paths {
		values := twinValues(members, path)
		for i, slot := range slots[path] {
			if got := p.values[slot]; got != values[i] && !sameNumber(got, values[i]) {
				t.Fatalf("%q: %s is %q in place %d, want %q", text, path, got, i, values[i])
			}
		}
	}
}

func sameNumber(a, b string) bool {
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err1 == nil && err2 == nil && x == y
}

func TestPicksWhatIsThere(t *testing.T) {
	names := []string{"a", "b", "a.b", "c", "", "é", `a"`}
	paths := []string{"a", "b", "a.b", "a.b.c", "c.a", ".a", "a.", "é"}
	rapid.Check(t, func(t *rapid.T) {
		var value func(depth int) string
		value = func(depth int) string {
			space := rapid.SampledFrom([]string{"", "", " ", "\n\t"}).Draw(t, "space")
			kind := rapid.IntRange(0, 8).Draw(t, "kind")
			if depth == 0 {
				kind = 7
			} else if kind >= 7 && depth > 4 {
				kind = 0
			}
			var parts []string
			switch kind {
			case 0, 1:
				text, _ := json.Marshal(rapid.SampledFrom([]string{"x", "-", "", `"\`, "é\x01", "\u2028"}).Draw(t, "text"))
				return space + string(text)
			case 2:
				return rapid.SampledFrom([]string{"0", "-1.50", "2e3", "17", "1E-2", "0.0", "100"}).Draw(t, "number") + space
			case 3:
				return rapid.SampledFrom([]string{"true", "false", "null", `"\u00e9"`, `"\ud83d\ude00"`}).Draw(t, "word")
			case 4, 5:
				for range rapid.IntRange(0, 3).Draw(t, "length") {
					parts = append(parts, value(depth+1))
				}
				return "[" + strings.Join(parts, ",") + space + "]"
			}
			for range rapid.IntRange(0, 4).Draw(t, "length") {
				name, _ := json.Marshal(rapid.SampledFrom(names).Draw(t, "name"))
				parts = append(parts, space+string(name)+space+":"+value(depth+1))
			}
			return space + "{" + strings.Join(parts, ",") + "}" + space
		}
		text := value(0)
		compareTwins(t, text, paths)
		if cut := rapid.IntRange(0, len(text)).Draw(t, "cut"); cut < len(text) { // and what is not valid
			compareTwins(t, text[:cut]+text[cut+1:], paths)
			compareTwins(t, text[:cut], paths)
		}
	})
}

func TestPickerIsAsStrict(t *testing.T) {
	for _, text := range []string{
		`{}`, `{ }`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a":}`, `{"a" 1}`, `{'a':1}`, `{"a":01}`, `{"a":+1}`, `{"a":1.}`, `{"a":.5}`, `{"a":-}`, `{"a":1e}`, `{"a":1e+}`,
		`{"a":tru}`, `{"a":nul`, `{"a":"` + "\x01" + `"}`, `{"a":"\x"}`, `{"a":"\u12"}`, `{"a":"\`, `{"a":[1,]}`, `{"a":[1 2]}`, `{"a":[}`, `{"a":1}}`, `{} {}`, `{}x`, `[]`, `null`, `"a"`, ``,
		`{"a":"\ud800"}`, `{"a":1e999}`, `{"a":` + strings.Repeat("[", 9999) + strings.Repeat("]", 9999) + `}`, `{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`,
		`{"a":{"b":1},"a":2}`, `{"a":{"b":1},"a":{}}`, `{"a":1,"a":null}`, "{\"a\":\"\xff\"}", "\ufeff{}", "{}\x00",
	} {
		compareTwins(t, text, []string{"a", "a.b"})
	}
}

func FuzzPick(f *testing.F) {
	f.Add(`{"a":{"b":["x\n",2]},"a.b":1.50e1}`)
	f.Add(`{"a":null,"a":[{}],"b":-0.0}`)
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) < 4<<10 {
			compareTwins(t, text, []string{"a", "b", "a.b", "a.b.c"})
		}
	})
}

// TestPickNamesAll: what is looked for is all there is room for.
func TestPickNamesAll(t *testing.T) {
	o, err := newObjects(nil, "a.b")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(slices.Sorted(maps.Keys(o.slots)), FieldNames()) || len(o.session) != 2 {
		t.Errorf("%v, %v", o.slots, o.session)
	}
	if _, err := newObjects(nil, strings.Repeat(".", maxDots+1)); err == nil || !strings.Contains(err.Error(), "has more than 8 dots") {
		t.Error(err)
	}
}
