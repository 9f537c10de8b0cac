package hpack

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"sluice/proxy/head"
)

// TestBlocksThatAreRefused has a block, in hexadecimal, for each reason.
func TestBlocksThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, block string
		want        error
	}{
		{"index 0", "80", errIndex},
		{"an entry of an empty table", "be", errIndex},
		{"an entry beyond the newest", "4001610162bf", errIndex},
		{"a name of an empty table", "7e0161", errIndex},
		{"a name of an empty table, not indexed", "0f2f0161", errIndex},
		{"a huge index", "ffffffffff07", errInteger},
		{"an integer that goes on too long", "ff8080808000", errInteger},
		{"an integer that ends in the middle", "ff80", errTruncated},
		{"a length that goes on too long", "007f8080808000", errInteger},
		{"no name", "40", errTruncated},
		{"no value", "400161", errTruncated},
		{"a name that is cut off", "400261", errTruncated},
		{"a value that is cut off", "4001610261", errTruncated},
		{"a Huffman string that is cut off", "4001618261", errTruncated},
		{"a name with EOS", "4084ffffffff00", errHuffman},
		{"a value with EOS", "40016184ffffffff", errHuffman},
		{"a value with padding of zeros", "4001618118", errHuffman},
		{"a table of 4097 bytes", "3fe21f", errUpdateSize},
		{"an update behind a field", "8220", errUpdateLate},
		{"three updates", "20202082", errManyUpdates},
		{"an update that is cut off", "3f", errTruncated},
	} {
		t.Run(c.name, func(t *testing.T) {
			block, err := hex.DecodeString(c.block)
			if err != nil {
				t.Fatal(err)
			}
			var d Decoder
			if _, err := d.Decode(block, nil, nil, 4096, 100); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.block, err, c.want)
			}
		})
	}
}

func TestEvictedEntriesAreGone(t *testing.T) {
	var d Decoder
	for _, c := range []struct {
		block string
		want  error
	}{
		{"\x40\x01a\x01b", nil},
		{"\xbe", nil},
		{"\x20\x3f\xe1\x1f\x82", nil}, // to 0 and to 4096 again
		{"\xbe", errIndex},
	} {
		if _, err := d.Decode([]byte(c.block), nil, nil, 4096, 100); !errors.Is(err, c.want) {
			t.Errorf("%x: %v, want %v", c.block, err, c.want)
		}
	}
}

// TestTableIsFilledToTheLastByte has entries that just fit and just do not.
func TestTableIsFilledToTheLastByte(t *testing.T) {
	entry := func(size int) []byte { // all but 33 bytes of it are the value
		n := size - overhead - 1
		return append(appendInteger([]byte("\x40\x01a"), 0, 7, n), bytes.Repeat([]byte("v"), n)...)
	}
	for _, c := range []struct {
		name  string
		limit int
		sizes []int
		count int // of entries at the end
		size  int // of the table at the end
	}{
		{"one that fills the table", TableSize, []int{TableSize}, 1, TableSize},
		{"one that is too large for the table", TableSize, []int{TableSize + 1}, 0, 0},
		{"two that fill the table", TableSize, []int{2048, 2048}, 2, TableSize},
		{"two of which one must go", TableSize, []int{2048, 2049}, 1, 2049},
		{"one that drives all others out", TableSize, []int{100, 100, TableSize}, 1, TableSize},
		{"one that is too large and drives all out", TableSize, []int{100, 100, TableSize + 1}, 0, 0},
		{"one that fills a small table", 50, []int{50}, 1, 50},
		{"one that is too large for a small table", 50, []int{51}, 0, 0},
		{"many of the smallest", TableSize, slices.Repeat([]int{33}, 200), 124, 124 * 33},
	} {
		t.Run(c.name, func(t *testing.T) {
			block := appendInteger(nil, 0x20, 5, c.limit)
			for _, size := range c.sizes {
				block = append(block, entry(size)...)
			}
			var d Decoder
			if _, err := d.Decode(block, nil, nil, plenty, plenty); err != nil {
				t.Fatal(err)
			}
			size := 0
			if d.table != nil {
				size = d.table.size
			}
			if n := len(d.contents()); n != c.count || size != c.size {
				t.Errorf("%d entries count %d, want %d and %d", n, size, c.count, c.size)
			}
		})
	}
}

// TestLimitsAreInclusive has lists of just as many bytes and fields as may be.
func TestLimitsAreInclusive(t *testing.T) {
	block := []byte("\x00\x01a\x02bc\x82") // 35 and 42 bytes
	for _, c := range []struct{ maxList, maxFields, want int }{
		{77, 2, 2}, {76, 2, 1}, {77, 1, 1}, {35, 2, 1}, {34, 2, 0}, {77, 0, 0}, {0, 2, 0}, {-1, -1, 0},
	} {
		var d Decoder
		r, err := d.Decode(block, nil, nil, c.maxList, c.maxFields)
		if err != nil || len(r.Fields) != c.want || r.TooLarge != (c.want < 2) {
			t.Errorf("within %d bytes, %d fields: %d fields, too large is %v, %v; want %d", c.maxList, c.maxFields, len(r.Fields), r.TooLarge, err, c.want)
		}
	}
}

func TestTableMemoryIsTakenByTheFirstEntry(t *testing.T) {
	var d Decoder
	for _, block := range []string{"\x82\x84\x87", "\x00\x01a\x01b", "\x20\x40\x01a\x01b", "\x3f\xe1\x1f", "\x40\x01a\x7f\xe1\x1f" + strings.Repeat("v", 4192)} {
		if _, err := d.Decode([]byte(block), nil, nil, plenty, 100); err != nil || d.table != nil {
			t.Fatalf("%x: %v, or the table is there", block, err)
		}
	}
	if _, err := d.Decode([]byte("\x40\x01a\x01b"), nil, nil, plenty, 100); err != nil || d.table == nil {
		t.Fatalf("%v, or the table is not there", err)
	}
}

func TestMalformedFields(t *testing.T) {
	literal := func(first byte, name, value string) []byte {
		block := append(appendInteger([]byte{first}, 0, 7, len(name)), name...)
		return append(appendInteger(block, 0, 7, len(value)), value...)
	}
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"x", "", false}, {"x", "a b\tc", false}, {"x", "\x80\xff", false}, {":path", "/", false}, {"!#$%&'*+-.^_`|~09az", "1234567\t9", false},
		{"", "a", true}, {":", "a", true}, {"::a", "a", true}, {"a:", "a", true}, {"X", "a", true}, {"content-Length", "1", true},
		{"a b", "a", true}, {"a\x00", "a", true}, {"a\x7f", "a", true}, {"\x80", "a", true}, {"a\r\nb", "a", true},
		{"x", " ", true}, {"x", "\t", true}, {"x", " a", true}, {"x", "a ", true}, {"x", "\ta", true}, {"x", "a\t", true},
		{"x", "\x00", true}, {"x", "a\rb", true}, {"x", "a\nb", true}, {"x", "1234567\x00", true}, {"x", "12345678\n0", true},
		{"x", "1234567\x7f9", true}, {"x", "123456789\x1f0", true}, {"x", "\t\t\t\t\t\t\t\x01\t", true},
	} {
		if want := plainMalformed(c.name, c.value); want != c.want {
			t.Errorf("%q: %q: the plain twin says %v", c.name, c.value, want)
		}
		var d Decoder
		for i, block := range [][]byte{literal(0x00, c.name, c.value), literal(0x40, c.name, c.value), []byte("\xbe"), []byte("\x0f\x2f\x01a")} {
			maxFields := i % 2 // what is dropped counts too
			r, err := d.Decode(block, nil, nil, 4096, maxFields)
			want := c.want
			if i == 3 { // the name of the entry with another value
				want = plainMalformed(c.name, "a")
			}
			if err != nil || r.Malformed != want {
				t.Errorf("%q: %q as %x: malformed is %v, %v, want %v", c.name, c.value, block, r.Malformed, err, want)
			}
		}
	}
}

// TestStringsOutliveWhatTheyCameFrom changes the block and the table behind a
// result, and lets Text grow over and over.
func TestStringsOutliveWhatTheyCameFrom(t *testing.T) {
	var d Decoder
	block := []byte("\x40\x01a\x03one\xbe\x7e\x03two\x40\x01b\x7f\x81\x01" + strings.Repeat("v", 256) + "\xbe")
	r, err := d.Decode(block, make([]byte, 0, 1), nil, 4096, 100)
	if err != nil {
		t.Fatal(err)
	}
	clear(block)
	for range 100 {
		if _, err := d.Decode([]byte("\x40\x01z\x7f\x01"+strings.Repeat("z", 128)), nil, nil, 4096, 100); err != nil {
			t.Fatal(err)
		}
	}
	v := strings.Repeat("v", 256)
	for i, want := range list("a: one", "a: one", "a: two", "b: "+v, "b: "+v) {
		if r.Fields[i] != want {
			t.Errorf("field %d is %q, want %q", i, r.Fields[i], want)
		}
	}
}

// TestBombs has blocks that are small and would become large.
func TestBombs(t *testing.T) {
	const maxList = 16 << 10
	entry := append([]byte("\x40\x01n\x7f\x81\x1e"), bytes.Repeat([]byte("v"), 3968)...)
	name := append(append([]byte("\x40\x7f\x81\x1e"), bytes.Repeat([]byte("n"), 3968)...), 0)

	t.Run("an entry over and over", func(t *testing.T) {
		var d Decoder
		r, err := d.Decode(append(bytes.Clone(entry), bytes.Repeat([]byte("\xbe"), 60<<10)...), nil, nil, maxList, 1000)
		if err != nil || !r.TooLarge || len(r.Fields) != 4 || cap(r.Text) > 2*maxList {
			t.Errorf("%v, too large is %v, %d fields in %d bytes", err, r.TooLarge, len(r.Fields), cap(r.Text))
		}
	})
	t.Run("a name over and over, indexed anew", func(t *testing.T) {
		var d Decoder
		r, err := d.Decode(append(bytes.Clone(name), bytes.Repeat([]byte("\x7e\x00"), 30<<10)...), nil, nil, maxList, 1000)
		if !errors.Is(err, errRepeatedNames) || !r.TooLarge || len(r.Fields) != 4 || cap(r.Text) > 2*maxList {
			t.Errorf("%v, too large is %v, %d fields in %d bytes", err, r.TooLarge, len(r.Fields), cap(r.Text))
		}
	})
	t.Run("an honest name over and over", func(t *testing.T) {
		var d Decoder
		r, err := d.Decode(append([]byte("\x40\x0cx-request-id\x01v"), bytes.Repeat([]byte("\x7e\x01v"), 1000)...), nil, nil, maxList, 1000)
		if err != nil || !r.TooLarge {
			t.Errorf("%v, too large is %v", err, r.TooLarge)
		}
	})
	t.Run("long names of a list that fits", func(t *testing.T) {
		var d Decoder
		r, err := d.Decode(append(bytes.Clone(name), bytes.Repeat([]byte("\x7e\x00"), 40)...), nil, nil, 41*4032, 1000)
		if err != nil || r.TooLarge || len(r.Fields) != 41 {
			t.Errorf("%v, too large is %v, %d fields", err, r.TooLarge, len(r.Fields))
		}
	})
	t.Run("empty fields without end", func(t *testing.T) {
		var d Decoder
		r, err := d.Decode(append([]byte("\x40\x01a\x00"), bytes.Repeat([]byte("\xbe"), 60<<10)...), nil, make([]head.Field, 0, 64), plenty, 64)
		if err != nil || !r.TooLarge || len(r.Fields) != 64 || cap(r.Fields) != 64 {
			t.Errorf("%v, too large is %v, %d fields", err, r.TooLarge, len(r.Fields))
		}
	})
}
