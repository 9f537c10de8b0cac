package hpack

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	twin "golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"

	"sluice/proxy/head"
)

// plenty is a limit that no test block reaches.
const plenty = 1 << 24

// drawName and drawValue draw from few, so that tables are hit, and now and then
// what is long or odd.
var (
	drawName = rapid.OneOf(
		rapid.SampledFrom([]string{":method", ":path", "cookie", "user-agent", "x-request-id", "sluice-version", "x", "te"}),
		rapid.StringMatching(`[a-z-]{1,12}`),
		rapid.SampledFrom([]string{"Upper", "", ":", "::a", "a:b", "sp ace", "x\x00", "é", strings.Repeat("n", 300)}),
	)
	drawValue = rapid.OneOf(
		rapid.SampledFrom([]string{"GET", "/", "gzip, deflate", "a", "", "trailers"}),
		rapid.StringMatching(`[ -~]{0,60}`),
		rapid.SampledFrom([]string{" a", "a\t", "a\tb", "a\nb", "\x7f", "é", "12345678\x00", strings.Repeat("v", 900), strings.Repeat("w", 3900), strings.Repeat("~", 4200)}),
	)
)

// plainMalformed is RFC 9113, section 8.2.1, in plain words.
func plainMalformed(name, value string) bool {
	const tchar = "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"
	token := strings.TrimPrefix(name, ":")
	if token == "" || strings.Trim(token, tchar) != "" || strings.ContainsFunc(token, func(c rune) bool { return !strings.ContainsRune(tchar, c) }) {
		return true
	}
	for i := range len(value) {
		if c := value[i]; c < 0x20 && c != '\t' || c == 0x7F {
			return true
		}
	}
	return strings.Trim(value, " \t") != value
}

// compare holds a result to the fields that the twin decoded.
func compare(t interface{ Fatalf(string, ...any) }, block []byte, r Result, want []twin.HeaderField) {
	malformed := false
	if len(r.Fields) != len(want) {
		t.Fatalf("block %x has %d fields, want %d: %q", block, len(r.Fields), len(want), r.Fields)
	}
	for i, f := range r.Fields {
		if f.Name != want[i].Name || f.Value != want[i].Value || f.ID != head.Identify(f.Name) {
			t.Fatalf("block %x: field %d is %q, %v, want %q", block, i, f, f.ID, want[i])
		}
		malformed = malformed || plainMalformed(f.Name, f.Value)
	}
	if r.Malformed != malformed || r.TooLarge {
		t.Fatalf("block %x: malformed is %v, too large %v, want %v, false: %q", block, r.Malformed, r.TooLarge, malformed, r.Fields)
	}
}

// TestDecodesWhatTheTwinEncodes sends blocks of an encoder that indexes, changes
// its table and uses the Huffman code, and looks at all of them at the end.
func TestDecodesWhatTheTwinEncodes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d Decoder
		var block bytes.Buffer
		e := twin.NewEncoder(&block)
		var results []Result
		var blocks [][]byte
		var sent [][]twin.HeaderField
		for range rapid.IntRange(1, 12).Draw(t, "blocks") {
			block.Reset()
			if rapid.IntRange(0, 3).Draw(t, "resize") == 0 {
				e.SetMaxDynamicTableSize(uint32(rapid.SampledFrom([]int{0, 31, 64, 100, 1000, 4095, 4096}).Draw(t, "size")))
			}
			var fields []twin.HeaderField
			for range rapid.IntRange(0, 8).Draw(t, "fields") {
				f := twin.HeaderField{Name: drawName.Draw(t, "name"), Value: drawValue.Draw(t, "value"), Sensitive: rapid.IntRange(0, 4).Draw(t, "sensitive") == 0}
				if err := e.WriteField(f); err != nil {
					t.Fatal(err)
				}
				fields = append(fields, f)
			}
			r, err := d.Decode(block.Bytes(), nil, nil, plenty, plenty)
			if err != nil {
				t.Fatalf("block %x: %v", block.Bytes(), err)
			}
			blocks, sent, results = append(blocks, bytes.Clone(block.Bytes())), append(sent, fields), append(results, r)
			clear(block.Bytes()) // no field may alias it
		}
		for i, r := range results {
			compare(t, blocks[i], r, sent[i])
		}
	})
}

// drawBlock draws the representations themselves, so that there are some that
// no encoder makes. Guide decodes along: by it most indices are drawn so that
// there is such an entry.
func drawBlock(t *rapid.T, guide *Decoder) []byte {
	var block []byte
	for range rapid.IntRange(0, 2).Draw(t, "updates") {
		size := rapid.OneOf(rapid.IntRange(0, 400), rapid.IntRange(0, TableSize)).Draw(t, "size")
		block = appendInteger(block, 0x20, 5, size)
		guide.resize(size)
	}
	if rapid.IntRange(0, 39).Draw(t, "odd update") == 29 {
		block = appendInteger(block, 0x20, 5, rapid.IntRange(TableSize-1, TableSize+1).Draw(t, "size"))
	}
	for range rapid.IntRange(0, 12).Draw(t, "fields") {
		top := len(static) - 1
		if guide.table != nil {
			top += int(guide.table.count)
		}
		field := drawField(t, top)
		if _, err := guide.Decode(field, nil, nil, plenty, plenty); err != nil {
			return append(block, field...)
		}
		block = append(block, field...)
	}
	return block
}

// drawField draws a field whose index is mostly at most top.
func drawField(t *rapid.T, top int) []byte {
	index := rapid.OneOf(rapid.Just(0), rapid.IntRange(1, top), rapid.IntRange(min(len(static), top), top)).Draw(t, "index")
	if rapid.IntRange(0, 99).Draw(t, "odd index") == 57 { // small numbers are drawn more often
		index = top + 1
	}
	var field []byte
	switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
	case kind <= 1 && index > 0:
		return appendInteger(field, 0x80, 7, index)
	case kind <= 3:
		field = appendInteger(field, 0x40, 6, index)
	case kind == 4:
		field = appendInteger(field, plainLiteral, 4, index)
	default:
		field = appendInteger(field, neverIndexed, 4, index)
	}
	if index == 0 {
		field = drawText(t, field, drawName.Draw(t, "name"))
	}
	return drawText(t, field, drawValue.Draw(t, "value"))
}

// drawText appends a string literal in one of its two forms.
func drawText(t *rapid.T, dst []byte, s string) []byte {
	if rapid.Bool().Draw(t, "huffman") {
		dst = appendInteger(dst, 0x80, 7, int(twin.HuffmanEncodeLength(s)))
		return twin.AppendHuffmanString(dst, s)
	}
	return append(appendInteger(dst, 0, 7, len(s)), s...)
}

// tolerated reports whether we refuse, or do not, what the twin judges
// otherwise with as much right.
func tolerated(ours, theirs error) bool {
	switch {
	case ours != nil && theirs == nil:
		// It takes in integers of up to 10 octets; any number of updates, and late
		// ones, while its table is empty; and copies of names at any cost.
		return errors.Is(ours, errInteger) || errors.Is(ours, errManyUpdates) || errors.Is(ours, errUpdateLate) || errors.Is(ours, errRepeatedNames)
	case ours == nil && theirs != nil:
		// It refuses the second of two updates where its table is not empty.
		return strings.Contains(theirs.Error(), "table size update MUST occur at the beginning")
	}
	return (ours == nil) == (theirs == nil)
}

// decodeBoth decodes a block with both, and reports whether the connection may
// go on.
func decodeBoth(t interface{ Fatalf(string, ...any) }, d *Decoder, other *twin.Decoder, block []byte) bool {
	r, err := d.Decode(block, nil, nil, plenty, plenty)
	want, theirs := other.DecodeFull(block)
	if !tolerated(err, theirs) {
		t.Fatalf("block %x: %v, want %v", block, err, theirs)
	}
	if err != nil || theirs != nil {
		return false
	}
	compare(t, block, r, want)
	return true
}

func TestDecodesLikeTheTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d, guide Decoder
		other := twin.NewDecoder(TableSize, nil)
		for range rapid.IntRange(1, 8).Draw(t, "blocks") {
			if !decodeBoth(t, &d, other, drawBlock(t, &guide)) {
				return
			}
		}
	})
}

// TestLimitsDoNotChangeTheTable decodes the same blocks with and without
// limits: what is kept is the beginning of the list, as much as fits, and the
// tables are the same.
func TestLimitsDoNotChangeTheTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var free, bound, guide Decoder
		for range rapid.IntRange(1, 6).Draw(t, "blocks") {
			block := drawBlock(t, &guide)
			maxList, maxFields := rapid.IntRange(-1, 2000).Draw(t, "maxList"), rapid.IntRange(-1, 10).Draw(t, "maxFields")
			all, wantErr := free.Decode(block, nil, nil, plenty, plenty)
			before := list("x: y")
			r, err := bound.Decode(block, []byte("before"), before, maxList, maxFields)
			if !errors.Is(err, wantErr) {
				t.Fatalf("block %x: %v, want %v", block, err, wantErr)
			}
			keep, size, text := 0, 0, len("before")
			for _, f := range all.Fields {
				size += len(f.Name) + len(f.Value) + 32
				if size > maxList || keep >= maxFields {
					break
				}
				keep++
				text += len(f.Name) + len(f.Value)
			}
			if !slices.Equal(r.Fields[1:], all.Fields[:keep]) || r.TooLarge != (keep < len(all.Fields)) || r.Malformed != all.Malformed {
				t.Fatalf("block %x within %d bytes, %d fields: %+v, want %d of %+v", block, maxList, maxFields, r, keep, all)
			}
			if !slices.Equal(r.Fields[:1], before) || !bytes.HasPrefix(r.Text, []byte("before")) {
				t.Fatalf("what was there is gone: %q, %q", r.Fields, r.Text)
			}
			if err != nil {
				return
			}
			if len(r.Text) > text {
				t.Fatalf("block %x: %d bytes of text for %d in fields", block, len(r.Text), text)
			}
			if !slices.Equal(free.contents(), bound.contents()) {
				t.Fatalf("block %x: the tables differ: %q, want %q", block, bound.contents(), free.contents())
			}
		}
	})
}

// FuzzDecode decodes three blocks of one connection.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x82\x86\x84\x41\x0fwww.example.com"), []byte("\x82\x86\x84\xbe\x58\x08no-cache"), []byte("\x82\x87\x85\xbf\x40\x0acustom-key\x0ccustom-value"))
	f.Add([]byte("\x3f\xe1\x1f\x20\x40\x01a\x01b"), []byte("\x20\x3f\x45\xbe"), []byte("\xbf"))
	f.Add([]byte("\x40\x82\x1f\xff\x83\xff\xff\xff"), []byte("\x7f\x00\x00"), []byte("\x0f\x80\x80\x80\x80\x00"))
	f.Add(append([]byte("\x40\x7f\x81\x1e"), bytes.Repeat([]byte("n"), 4065)...), bytes.Repeat([]byte("\x7e\x00"), 20), []byte("\xbe\xc0"))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		var d Decoder
		other := twin.NewDecoder(TableSize, nil)
		for _, block := range [][]byte{a, b, c} {
			if !decodeBoth(t, &d, other, block) {
				return
			}
		}
	})
}
