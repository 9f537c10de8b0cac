package hpack

import (
	"unsafe"

	"sluice/proxy/head"
)

const (
	// maxUpdates is how often the size of the dynamic table may change before
	// the first field of a block: to the least it had in between, and to its last
	// (RFC 7541, section 4.2).
	maxUpdates = 2

	// maxRepeated limits the bytes of names that a block copies out of the
	// dynamic table beyond those of a list that fits. A literal that names an
	// entry of 4 KiB and is indexed in its turn takes 2 bytes and copies 4 KiB, so
	// that a block of 64 KiB could make us copy 128 MiB; an honest one copies a
	// few hundred bytes. A receiver that does not decompress a block must end the
	// connection (RFC 9113, section 4.3), and does.
	maxRepeated = 64 << 10
)

// Decoder decodes the header blocks of one connection, in the order in which
// they came. The zero value is ready, with a dynamic table of TableSize bytes,
// whose memory is allocated when the first entry comes. After an error the
// decoder is of no further use, and the connection is to be ended.
type Decoder struct {
	table   *table // nil until there is an entry
	lowered int    // bytes by which the peer's encoder keeps its table below TableSize
}

// Decode decodes a whole header block, joined from its frames. It appends the
// fields to fields and their text to text, either of which may be nil.
//
// The header list, each field counted as its name, its value and 32 bytes
// (RFC 9113, section 6.5.2), may be maxList bytes and maxFields fields long.
// What is beyond is decoded, since the table must stay right, and dropped.
// Nothing in the result aliases block or the dynamic table.
//
// An error is a connection error of type COMPRESSION_ERROR (RFC 9113, section
// 4.3); the result then holds what came before it.
func (d *Decoder) Decode(block, text []byte, fields []head.Field, maxList, maxFields int) (Result, error) {
	r := reading{
		decoder: d, in: block, room: maxList, slots: maxFields, repeats: max(maxList, 0) + maxRepeated,
		Result: Result{Fields: fields, Text: text},
	}
	err := r.updates()
	for err == nil && len(r.in) > 0 {
		err = r.field()
	}
	return r.Result, err
}

// reading is a block that is being decoded.
type reading struct {
	decoder *Decoder
	in      []byte // what is left of the block
	room    int    // bytes left of the header list
	slots   int    // fields left of it
	repeats int    // bytes of names that may still be copied from the table
	Result
}

// updates reads the dynamic table size updates, which stand before the first
// field (RFC 7541, section 4.2).
func (r *reading) updates() error {
	for n := 0; len(r.in) > 0 && r.in[0]&0xE0 == 0x20; n++ {
		if n == maxUpdates {
			return errManyUpdates
		}
		size, err := r.integer(5)
		if err != nil {
			return err
		}
		if size > TableSize {
			return errUpdateSize
		}
		r.decoder.resize(size)
	}
	return nil
}

// field reads one field (RFC 7541, section 6). Literals that may and that must
// never be indexed further on are the same to one who forwards nothing in HPACK.
func (r *reading) field() error {
	switch first := r.in[0]; {
	case first&0x80 != 0:
		return r.indexed()
	case first&0x40 != 0:
		return r.literal(6, true)
	case first&0x20 != 0:
		return errUpdateLate
	}
	return r.literal(4, false)
}

// indexed reads a field that is wholly in a table (RFC 7541, section 6.1).
func (r *reading) indexed() error {
	i, err := r.integer(7)
	if err != nil {
		return err
	}
	if 0 < i && i < len(static) {
		if f := &static[i]; r.fits(len(f.Name) + len(f.Value)) {
			r.keep(f.ID, f.Name, f.Value)
		}
		return nil
	}
	e := r.decoder.entry(i)
	if e == nil {
		return errIndex
	}
	r.Malformed = r.Malformed || e.badName || e.badValue
	if !r.fits(int(e.name) + int(e.value)) {
		return nil
	}
	start := len(r.Text)
	middle := start + int(e.name)
	r.Text = r.decoder.table.appendBytes(r.Text, int(e.start), int(e.name)+int(e.value))
	r.keep(e.id, alias(r.Text[start:middle]), alias(r.Text[middle:]))
	return nil
}

// literal reads a field with a value of its own (RFC 7541, section 6.2). Prefix
// is the number of bits that hold the beginning of the name's index.
func (r *reading) literal(prefix uint, index bool) error {
	start := len(r.Text)
	f, badName, err := r.name(prefix)
	if err != nil {
		return err
	}
	value, err := r.string()
	if err != nil {
		return err
	}
	f.Value = alias(value)
	badValue := !validValue(value)
	r.Malformed = r.Malformed || badName || badValue
	if index {
		r.decoder.insert(f, badName, badValue)
	}
	if r.fits(len(f.Name) + len(f.Value)) {
		r.keep(f.ID, f.Name, f.Value)
	} else {
		r.Text = r.Text[:start]
	}
	return nil
}

// name reads the name of a literal field: an index, or 0 and a string.
func (r *reading) name(prefix uint) (f head.Field, bad bool, err error) {
	i, err := r.integer(prefix)
	if err != nil {
		return f, false, err
	}
	if i == 0 {
		name, err := r.string()
		f.Name = alias(name)
		f.ID = head.Identify(f.Name)
		return f, !validName(name), err
	}
	if i < len(static) {
		return head.Field{ID: static[i].ID, Name: static[i].Name}, false, nil
	}
	e := r.decoder.entry(i)
	if e == nil {
		return f, false, errIndex
	}
	if r.repeats -= int(e.name); r.repeats < 0 {
		return f, false, errRepeatedNames
	}
	start := len(r.Text)
	r.Text = r.decoder.table.appendBytes(r.Text, int(e.start), int(e.name))
	return head.Field{ID: e.id, Name: alias(r.Text[start:])}, e.badName, nil
}

// fits takes room in the header list for a field whose name and value are n
// bytes long, and reports whether there was any. Once a field has not fitted
// none does, so that no field is missing among those that are kept.
func (r *reading) fits(n int) bool {
	if r.TooLarge || r.slots <= 0 || n+overhead > r.room {
		r.TooLarge = true
		return false
	}
	r.slots--
	r.room -= n + overhead
	return true
}

// keep appends a field, member by member: a copy of the whole would wait for its
// parts to be written.
func (r *reading) keep(id head.ID, name, value string) {
	r.Fields = append(r.Fields, head.Field{})
	f := &r.Fields[len(r.Fields)-1]
	f.ID, f.Name, f.Value = id, name, value
}

// string reads a string literal (RFC 7541, section 5.2) and returns it at the
// end of Text.
func (r *reading) string() ([]byte, error) {
	if len(r.in) == 0 {
		return nil, errTruncated
	}
	huffman := r.in[0]&0x80 != 0
	n, err := r.integer(7)
	if err != nil {
		return nil, err
	}
	if n > len(r.in) {
		return nil, errTruncated
	}
	start, ok := len(r.Text), true
	if huffman {
		r.Text, ok = appendHuffman(r.Text, r.in[:n])
	} else {
		r.Text = append(r.Text, r.in[:n]...)
	}
	if !ok {
		return nil, errHuffman
	}
	r.in = r.in[n:]
	return r.Text[start:], nil
}

// integer reads an integer whose first n bits end the next octet (RFC 7541,
// section 5.1), of which the caller knows that it is there. Four octets may
// follow: more than 2^28 is no index and no length that a block could have.
func (r *reading) integer(n uint) (int, error) {
	prefix := 1<<n - 1
	v := int(r.in[0]) & prefix
	r.in = r.in[1:]
	if v < prefix {
		return v, nil
	}
	for shift := 0; shift < 4*7; shift += 7 {
		if len(r.in) == 0 {
			return 0, errTruncated
		}
		c := r.in[0]
		r.in = r.in[1:]
		v += int(c&0x7F) << shift
		if c&0x80 == 0 {
			return v, nil
		}
	}
	return 0, errInteger
}

// alias returns the bytes as a string without copying them. It is the one place
// where this package makes a string that can change: it is right for as long as
// the caller of Decode leaves the bytes of Text in place.
func alias(p []byte) string { return unsafe.String(unsafe.SliceData(p), len(p)) }
