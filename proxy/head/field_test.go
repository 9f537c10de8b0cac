package head

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestEveryKnownNameIsIdentifiedInAnyCase(t *testing.T) {
	for id := Other + 1; id < numIDs; id++ {
		if id == SluiceField {
			continue
		}
		name := names[id]
		if name == "" {
			t.Fatalf("field %d has no name", id)
		}
		for _, n := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			if got := Identify(n); got != id {
				t.Errorf("%q is %v, want %v", n, got, id)
			}
		}
		for _, n := range []string{name + "x", name[1:], "\x00" + name[1:], strings.ReplaceAll(name, "-", "_") + "_"} {
			if got := Identify(n); got == id {
				t.Errorf("%q passes for %v", n, id)
			}
		}
	}
	for _, n := range []string{"Sluice-Version", "sluice-x", "SLUICE-TOKEN"} {
		if Identify(n) != SluiceField {
			t.Errorf("%q is not a Sluice field", n)
		}
	}
	for _, n := range []string{"", "Sluice-", "Sluice", "sluices-x", "ſluice-x"} {
		if Identify(n) == SluiceField {
			t.Errorf("%q passes for a Sluice field", n)
		}
	}
}

func TestEqualFoldFoldsASCIIAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringOf(rapid.RuneFrom([]rune("abzABZ-_09\u212aſ@[`{"))).Draw(t, "name")
		lower := rapid.StringOf(rapid.RuneFrom([]rune("abz-_09k@[`{"))).Draw(t, "lower")
		fold := func(s string) string {
			b := []byte(s)
			for i, c := range b {
				if 'A' <= c && c <= 'Z' {
					b[i] = c + 'a' - 'A'
				}
			}
			return string(b)
		}
		if got, want := EqualFold(name, lower), fold(name) == lower; got != want {
			t.Fatalf("EqualFold(%q, %q) = %v", name, lower, got)
		}
		if !EqualFold(name, fold(name)) && name == fold(name) {
			t.Fatalf("%q does not equal itself", name)
		}
	})
}

func FuzzIdentify(f *testing.F) {
	f.Add("Content-Length")
	f.Add("sluice-")
	f.Fuzz(func(t *testing.T, name string) {
		id := Identify(name)
		if id != Other && id != SluiceField && !EqualFold(name, id.String()) {
			t.Errorf("%q passes for %v", name, id)
		}
	})
}

func BenchmarkIdentify(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Identify("Accept-Encoding")
		Identify("User-Agent")
		Identify("Content-Length")
	}
}
