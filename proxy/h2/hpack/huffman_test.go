package hpack

import (
	"bytes"
	"encoding/hex"
	"testing"

	twin "golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

func TestHuffmanKnowsEachByte(t *testing.T) {
	for a := range 256 {
		for _, s := range []string{string([]byte{byte(a)}), string([]byte{byte(a), 'e', byte(a)}), string([]byte{'0', byte(a), 0, byte(a)})} {
			got, ok := appendHuffman([]byte("before "), twin.AppendHuffmanString(nil, s))
			if !ok || string(got) != "before "+s {
				t.Errorf("%q comes back as %q, %v", s, got, ok)
			}
		}
	}
}

func TestHuffmanIsThatOfItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s []byte
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0: // the shortest and the longest codes, at every offset
			s = rapid.SliceOfN(rapid.SampledFrom([]byte("0a%:&!X\n\x16\x00\xf9")), 0, 40).Draw(t, "codes")
		case 1:
			s = []byte(rapid.StringOfN(rapid.RuneFrom([]rune("aeiost0129/.-=; ABCXZ&,:\"%é€")), 0, 60, -1).Draw(t, "string"))
		case 2:
			s = rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")
		}
		got, ok := appendHuffman(nil, twin.AppendHuffmanString(nil, string(s)))
		if !ok || !bytes.Equal(got, s) {
			t.Fatalf("%q comes back as %q, %v", s, got, ok)
		}
	})
}

// TestHuffmanRefusesWhatItsTwinRefuses decodes every string of two bytes, at the
// end of some that are right.
func TestHuffmanRefusesWhatItsTwinRefuses(t *testing.T) {
	for _, before := range []string{"", "\xff\xff", "\x00\x00\x00\x00\x00", "\xff\xff\xfc\x00\x00\x00\x00\x00\x00\x00"} {
		for n := range 1 << 16 {
			src := append([]byte(before), byte(n>>8), byte(n))
			want, err := twin.HuffmanDecodeToString(src)
			got, ok := appendHuffman(nil, src)
			if ok != (err == nil) || ok && string(got) != want {
				t.Fatalf("%x is %q, %v, want %q, %v", src, got, ok, want, err)
			}
		}
	}
}

func TestHuffmanPadding(t *testing.T) {
	for _, c := range []struct {
		name, src string
		ok        bool
	}{
		{"no bytes", "", true},
		{"3 ones behind a 5-bit code", "1f", true},
		{"2 ones behind a 6-bit code", "53", true},
		{"no padding", "f8", true},
		{"7 ones behind five 5-bit codes", "0000007f", true},
		{"8 ones", "f8ff", false},
		{"a whole octet of ones behind padding", "1fff", false},
		{"zeros", "18", false},
		{"one zero among the ones", "1e", false},
		{"EOS", "ffffffff", false},
		{"EOS behind a code", "1fffffffff", false},
		{"EOS in the middle", "1fffffffe000000000000000", false},
		{"a code that is cut off", "ffff", false},
	} {
		src, err := hex.DecodeString(c.src)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := appendHuffman(nil, src); ok != c.ok {
			t.Errorf("%s: %s: got %v", c.name, c.src, ok)
		}
		if _, err := twin.HuffmanDecodeToString(src); (err == nil) != c.ok {
			t.Errorf("%s: %s: the twin says %v", c.name, c.src, err)
		}
	}
}

func FuzzHuffman(f *testing.F) {
	f.Add([]byte("\x1f"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Add(twin.AppendHuffmanString(nil, "text/html; charset=utf-8 \x00\xff\r\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		want, err := twin.HuffmanDecodeToString(src)
		got, ok := appendHuffman(nil, src)
		if ok != (err == nil) || ok && string(got) != want {
			t.Fatalf("%x is %q, %v, want %q, %v", src, got, ok, want, err)
		}
	})
}

func BenchmarkHuffman(b *testing.B) {
	src := twin.AppendHuffmanString(nil, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36")
	dst := make([]byte, 0, 512)
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := appendHuffman(dst, src); !ok {
			b.Fatal("refused")
		}
	}
}
