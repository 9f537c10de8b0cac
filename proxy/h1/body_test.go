package h1

import (
	"errors"
	"io"
	"os"
	"reflect"
	"strings"
	"testing"

	"sluice/proxy/buffer"
	"sluice/proxy/head"
)

func TestChunkedAccepted(t *testing.T) {
	for _, tc := range []struct {
		name, data, body string
		trailers         []head.Field
	}{
		{"empty", "0\r\n\r\n", "", nil},
		{"many zeros", "0000000000000000\r\n\r\n", "", nil},
		{"two chunks", "3\r\nabc\r\n0002\r\nde\r\n0\r\n\r\n", "abcde", nil},
		{"hexadecimal in both cases", "a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", "01234567890123456789a", nil},
		{"CRLF in the data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", nil},
		{"extensions", "1;a\r\nx\r\n1;a=b;c=\"d \\\"\t;\xe9\"\r\ny\r\n0;z=1\r\n\r\n", "xy", nil},
		{"empty quoted string", "1;a=\"\"\r\nx\r\n0\r\n\r\n", "x", nil},
		{"signed upload", "1;chunk-signature=" + strings.Repeat("a", 64) + "\r\nx\r\n0\r\n\r\n", "x", nil},
		{"trailers", "1\r\nx\r\n0\r\ngrpc-status: 0\r\nX:\ty \r\n\r\n", "x", []head.Field{{Name: "grpc-status", Value: "0"}, {Name: "X", Value: "y"}}},
		{"dropped trailers", "0\r\nAuthorization: a\r\nCookie: a\r\nSet-Cookie: a\r\nSluice-Override: a\r\nX-Forwarded-For: a\r\nx-forwarded-ssl: a\r\n" +
			"Expect: x\r\nTE: x\r\nContent-Type: a\r\nContent-Encoding: gzip\r\nRange: a\r\nTrailer: a\r\nVary: a\r\nETag: e\r\n\r\n", "",
			[]head.Field{{Name: "ETag", Value: "e"}}},
	} {
		for _, step := range []int{0, 1, 2, 5} {
			m := readChunked(tc.data+"REST", step)
			if m.bodyErr != nil || m.body != tc.body || m.rest != "REST" || !reflect.DeepEqual(m.trailers, tc.trailers) {
				t.Errorf("%s, step %d: got %+v", tc.name, step, m)
			}
		}
	}
}

func TestChunkedRefused(t *testing.T) {
	for _, tc := range []struct {
		name, data string
		want       *rule
	}{
		{"no digits", "\r\nabc", badChunkSize},
		{"minus", "-1\r\nx", badChunkSize},
		{"plus", "+1\r\nx", badChunkSize},
		{"0x", "0x1\r\nx", badChunkSize},
		{"space before", " 1\r\nx", badChunkSize},
		{"space after", "1 \r\nx", badChunkSize},
		{"tab after", "1\t\r\nx", badChunkSize},
		{"underscore", "1_0\r\nx", badChunkSize},
		{"not hexadecimal", "g\r\nx", badChunkSize},
		{"17 digits", "00000000000000001\r\nx", badChunkSize},
		{"over int64", "8000000000000000\r\nx", chunkTooLarge},
		{"over uint64", "ffffffffffffffff\r\nx", chunkTooLarge},
		{"bare LF after the size", "1\nx\r\n0\r\n\r\n", bareLF},
		{"bare CR after the size", "1\rx", bareCR},
		{"NUL after the size", "1\x00\r\nx", control},
		{"space before an extension", "1 ;a\r\nx", badChunkSize},
		{"space after the semicolon", "1; a\r\nx", badExtension},
		{"empty extension", "1;\r\nx", badExtension},
		{"two semicolons", "1;;a\r\nx", badExtension},
		{"no value", "1;a=\r\nx", badExtension},
		{"no name", "1;=b\r\nx", badExtension},
		{"space around =", "1;a =b\r\nx", badExtension},
		{"space after", "1;a=b \r\nx", badExtension},
		{"bare LF in an extension", "1;a\nx\r\n0\r\n\r\n", bareLF},
		{"bare CR in an extension", "1;a\rx\r\n", bareCR},
		{"bare LF in a quoted string", "1;a=\"\n\"\r\nx", bareLF},
		{"CRLF in a quoted string", "1;a=\"\r\n\"\r\nx", badExtension},
		{"quoted control", "1;a=\"\\\x01\"\r\nx", control},
		{"control in a quoted string", "1;a=\"\x7f\"\r\nx", control},
		{"after a quoted string", "1;a=\"b\"c\r\nx", badExtension},
		{"extension too long", "1;" + strings.Repeat("a", 2000) + "\r\nx\r\n", chunkLineLong},
		{"quoted string too long", "1;a=\"" + strings.Repeat("a", 2000) + "\"\r\nx\r\n", chunkLineLong},
		{"flood of extensions", strings.Repeat("1;"+strings.Repeat("a", 500)+"\r\nx\r\n", 40), chunkOverhead},
		{"data too long", "1\r\nxy\r\n0\r\n\r\n", chunkEnd},
		{"bare LF after the data", "1\r\nx\n0\r\n\r\n", chunkEnd},
		{"bare CR after the data", "1\r\nx\r0\r\n\r\n", chunkEnd},
		{"no CRLF after the data", "1\r\nx0\r\n\r\n", chunkEnd},
		{"bare LF after the last chunk", "0\r\n\nX", bareLF},
		{"bare CR after the last chunk", "0\r\n\rXX", bareCR},
		{"trailer with bare LF", "0\r\nX: y\n\r\n", bareLF},
		{"trailer with a space before the colon", "0\r\nX : y\r\n\r\n", nameSpace},
		{"trailer folded", "0\r\nX: y\r\n z\r\n\r\n", foldedLine},
		{"trailer first folded", "0\r\n X: y\r\n\r\n", foldedLine},
		{"trailer without colon", "0\r\nX\r\n\r\n", nameNoColon},
		{"trailer with NUL", "0\r\nX: \x00\r\n\r\n", control},
		{"trailer Content-Length", "0\r\ncontent-length: 0\r\n\r\n", badTrailer},
		{"trailer Transfer-Encoding", "0\r\nTransfer-Encoding: chunked\r\n\r\n", badTrailer},
		{"trailer Host", "0\r\nHost: a\r\n\r\n", badTrailer},
		{"trailer Connection", "0\r\nConnection: close\r\n\r\n", badTrailer},
		{"trailer Upgrade", "0\r\nUpgrade: a\r\n\r\n", badTrailer},
		{"too many trailers", "0\r\n" + strings.Repeat("X: y\r\n", 129) + "\r\n", tooManyField},
		{"trailers too long", "0\r\n" + strings.Repeat("X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", 2000), trailerTooLong},
	} {
		for _, step := range []int{0, 1} {
			if m := readChunked(tc.data, step); !errors.Is(m.bodyErr, &tc.want.request) {
				t.Errorf("%s, step %d: got %v, want %v", tc.name, step, m.bodyErr, &tc.want.request)
			} else if m.trailers != nil {
				t.Errorf("%s: a refused body has trailers %v", tc.name, m.trailers)
			}
		}
	}
}

func TestChunkedTruncated(t *testing.T) {
	whole := "3;a=\"b\"\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n"
	for n := range len(whole) {
		for _, step := range []int{0, 1} {
			if m := readChunked(whole[:n], step); m.bodyErr != io.ErrUnexpectedEOF || m.trailers != nil {
				t.Errorf("after %d bytes, step %d: %+v, want io.ErrUnexpectedEOF", n, step, m)
			}
		}
	}
}

// TestTinyChunks checks that many small chunks without extensions, as a
// server of events sends them, are no flood.
func TestTinyChunks(t *testing.T) {
	m := readChunked(strings.Repeat("0000000000000001\r\nx\r\n", 20000)+"0\r\n\r\n", 0)
	if m.bodyErr != nil || len(m.body) != 20000 {
		t.Errorf("got %d bytes, %v", len(m.body), m.bodyErr)
	}
	m = readChunked(strings.Repeat("40;"+strings.Repeat("a", 60)+"\r\n"+strings.Repeat("x", 64)+"\r\n", 2000)+"0\r\n\r\n", 0)
	if m.bodyErr != nil || len(m.body) != 128000 {
		t.Errorf("extensions in proportion: got %d bytes, %v", len(m.body), m.bodyErr)
	}
}

func TestBodyState(t *testing.T) {
	var b buffer.Buffer
	defer b.Free()
	var d Body
	if _, err := d.Next(); err != io.EOF || !d.Done() || !d.Ready() || d.Remaining() != 0 {
		t.Errorf("the zero body is not an empty one: %v", err)
	}
	if data, whole := d.Buffered(); data != nil || !whole {
		t.Errorf("zero body: Buffered %q, %v", data, whole)
	}

	f := &feeder{data: "abcdefgh", step: 3}
	d.Init(&b, f, 5)
	if data, whole := d.Buffered(); len(data) != 0 || whole || d.Ready() || d.Done() || d.Remaining() != 5 {
		t.Errorf("before a read: %q, %v, %+v", data, whole, d)
	}
	if p, err := d.Next(); string(p) != "abc" || err != nil || d.Remaining() != 2 {
		t.Errorf("first: %q, %v", p, err)
	}
	if err := f.Fill(&b); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if data, whole := d.Buffered(); string(data) != "de" || !whole || !d.Ready() {
			t.Errorf("at the end: %q, %v", data, whole)
		}
	}
	if p, err := d.Next(); string(p) != "de" || err != nil || !d.Done() || d.Remaining() != 0 {
		t.Errorf("last: %q, %v", p, err)
	}
	if _, err := d.Next(); err != io.EOF || string(b.Bytes()) != "f" || d.Trailers() != nil {
		t.Errorf("after: %v, unread %q", err, b.Bytes())
	}

	d.Init(&b, f, 0)
	if data, whole := d.Buffered(); !d.Done() || len(data) != 0 || !whole {
		t.Error("a body of no bytes is not done")
	}
}

func TestBodySkip(t *testing.T) {
	var b buffer.Buffer
	defer b.Free()
	var d Body
	d.Init(&b, &feeder{data: "xy"}, 10)
	d.Skip(8)
	if p, err := d.Next(); string(p) != "xy" || err != nil || !d.Done() {
		t.Errorf("after a skip: %q, %v", p, err)
	}
	d.Init(&b, &feeder{}, 10)
	d.Skip(11)
	if _, err := d.Next(); err != io.EOF || d.Remaining() != 0 {
		t.Errorf("after too long a skip: %v, %d", err, d.Remaining())
	}
	d.Init(&b, &feeder{}, head.UntilClose)
	d.Skip(1 << 40)
	if _, err := d.Next(); err != io.EOF || d.Remaining() != -1 || !d.Done() {
		t.Errorf("until close: %v", err)
	}
}

// TestChunkedDoneEarly checks that a chunked body knows its end with its last
// bytes when the framing after them is there already.
func TestChunkedDoneEarly(t *testing.T) {
	var b buffer.Buffer
	defer b.Free()
	f := &feeder{data: "3\r\nabc\r\n0\r\nX: y\r\n\r\nNEXT"}
	if err := f.Fill(&b); err != nil {
		t.Fatal(err)
	}
	var d Body
	d.Init(&b, f, head.Chunked)
	if data, whole := d.Buffered(); data != nil || whole || d.Remaining() != -1 {
		t.Errorf("Buffered: %q, %v", data, whole)
	}
	if !d.Ready() {
		t.Error("not ready")
	}
	p, err := d.Next()
	if string(p) != "abc" || err != nil || !d.Done() || len(d.Trailers()) != 1 || string(b.Bytes()) != "NEXT" {
		t.Errorf("got %q, %v, done %v, trailers %v, unread %q", p, err, d.Done(), d.Trailers(), b.Bytes())
	}
}

// TestBodyFillError checks that a timeout leaves the body where it was.
func TestBodyFillError(t *testing.T) {
	for _, length := range []int64{5, head.Chunked, head.UntilClose} {
		var b buffer.Buffer
		var d Body
		f := &feeder{err: os.ErrDeadlineExceeded}
		d.Init(&b, f, length)
		if _, err := d.Next(); !errors.Is(err, os.ErrDeadlineExceeded) || d.Done() {
			t.Errorf("length %d: %v", length, err)
		}
		f.data = "1\r\nx\r\n"
		if p, err := d.Next(); err != nil || len(p) == 0 {
			t.Errorf("length %d, after a timeout: %q, %v", length, p, err)
		}
		b.Free()
	}
}
