package compare

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// body is what a body was read into.
type body struct {
	w    *walk  // nil: it was not read
	data []byte // decompressed
	json bool   // w is its digest
}

// tooLarge is the reason for a body that was cut off, or is longer, decompressed,
// than what is compared.
const tooLarge = "too large"

// maxWindow bounds the memory that a zstd stream may ask for (RFC 8878, section
// 3.1.1.1.2 recommends support of 8 MB).
const maxWindow = 8 << 20

// decode undoes the Content-Encoding of a response. What is damaged is compared
// as it came. reason tells why the body can't be compared.
func decode(r *Response, w *walk, most int) (data []byte, reason string) {
	encoding := strings.ToLower(header(r, "content-encoding"))
	if r.Cut {
		return nil, tooLarge
	}
	if encoding == "" || encoding == "identity" || len(r.Body) == 0 {
		if len(r.Body) > most {
			return nil, tooLarge
		}
		return r.Body, ""
	}
	var from io.Reader
	var err error
	switch encoding {
	case "gzip", "x-gzip":
		from, err = gzip.NewReader(bytes.NewReader(r.Body))
	case "deflate":
		// RFC 9110, section 8.4.1.2: zlib, and some send it without its wrapping.
		if from, err = zlib.NewReader(bytes.NewReader(r.Body)); err != nil {
			from, err = flate.NewReader(bytes.NewReader(r.Body)), nil
		}
	case "zstd":
		var z *zstd.Decoder
		z, err = zstd.NewReader(bytes.NewReader(r.Body), zstd.WithDecoderConcurrency(1),
			zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err == nil {
			defer z.Close()
			from = z
		}
	default:
		return nil, "unknown encoding"
	}
	if err == nil {
		into := bytes.NewBuffer(w.plain[:0])
		_, err = into.ReadFrom(io.LimitReader(from, int64(most)+1))
		w.plain = into.Bytes()
	}
	switch {
	case err != nil && len(r.Body) > most, err == nil && len(w.plain) > most,
		errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, tooLarge
	case err != nil:
		return r.Body, ""
	}
	return w.plain, ""
}

// header returns the value of a header; "" if it is absent.
func header(r *Response, name string) string {
	value, _ := lookup(r, name)
	return value
}

// lookup returns the value of a header, several joined as RFC 9110, section 5.2 does.
func lookup(r *Response, name string) (value string, found bool) {
	for i := range r.Header {
		if f := &r.Header[i]; strings.EqualFold(f.Name, name) {
			if found {
				value += ", "
			}
			value += strings.TrimSpace(f.Value)
			found = true
		}
	}
	return value, found
}

// trio is one pair while it is compared, with the bodies of baseline, candidate and the baseline again.
type trio struct {
	c      *Comparison
	pair   *Pair
	path   string // without a query
	pat    *pattern
	bodies [3]body
	reason string // why the bodies are not compared; "": they are
}

// relearn is how often bodies are read anew since objects proved to be maps.
const relearn = 4

// read reads the bodies. If one can't be compared none is: what a candidate is
// blamed for must depend on the same chances as what the baseline is.
func (t *trio) read() (reason string) {
	t.reason = t.decode()
	if t.reason != "" || t.alike() {
		return t.reason
	}
	for range relearn {
		maps := *t.pat.maps.Load()
		var grew []uint64
		for i, r := range t.responses() {
			if r == nil {
				continue
			}
			if t.reason = t.digest(&t.bodies[i], r, maps); t.reason != "" {
				return t.reason
			}
			grew = append(grew, t.bodies[i].w.grew...)
		}
		if len(grew) == 0 {
			return ""
		}
		t.c.learn(t.pat, grew)
	}
	t.reason = tooMany
	return t.reason
}

// responses are those of the bodies.
func (t *trio) responses() [3]*Response {
	return [...]*Response{&t.pair.Baseline, &t.pair.Candidate, t.pair.Again}
}

func (t *trio) decode() (reason string) {
	for i, r := range t.responses() {
		if r == nil {
			continue
		}
		b := &t.bodies[i]
		b.w = t.c.walks.Get().(*walk)
		if b.data, reason = decode(r, b.w, t.c.cfg.MaxBody); reason != "" {
			return reason
		}
	}
	return ""
}

// alike reports that there is nothing to look for, as with most static answers.
func (t *trio) alike() bool {
	return bytes.Equal(t.bodies[0].data, t.bodies[1].data) && (t.pair.Again == nil || bytes.Equal(t.bodies[0].data, t.bodies[2].data))
}

// digest reads a body that is JSON. One that can't be read as JSON is compared as bytes.
func (t *trio) digest(b *body, r *Response, maps map[uint64]bool) (reason string) {
	b.json = false
	b.w.grew = b.w.grew[:0]
	if !mayBeJSON(r, b.data) {
		return ""
	}
	reason = b.w.read(b.data, t.c.seed, maps)
	if b.json = reason == ""; reason == notJSON {
		b.w.grew = b.w.grew[:0]
		reason = ""
	}
	return reason
}

// mayBeJSON says whether a body is worth reading as JSON: by its type, or by how it
// begins, since many an API forgets the type.
func mayBeJSON(r *Response, data []byte) bool {
	data = bytes.TrimLeft(data, " \t\r\n")
	if len(data) == 0 {
		return false
	}
	return data[0] == '{' || data[0] == '[' || strings.Contains(strings.ToLower(header(r, "content-type")), "json")
}

// release gives the memory back.
func (t *trio) release() {
	for _, b := range t.bodies {
		if b.w != nil {
			t.c.giveBack(b.w)
		}
	}
}

func (c *Comparison) giveBack(w *walk) {
	clear(w.nodes)
	w.body, w.maps, w.watch = nil, nil, 0
	c.walks.Put(w)
}
