package hpack

import "sluice/proxy/head"

// maxEntries is how many entries a table can hold: each counts 32 at least.
const maxEntries = TableSize / overhead

// entry is a field of the dynamic table. Its name and, right behind, its value
// stand in the ring of bytes from start on.
type entry struct {
	start, name, value uint16 // all in bytes
	id                 head.ID
	badName, badValue  bool // not fit for a message; see Result.Malformed
}

// size is what the entry counts (RFC 7541, section 4.1).
func (e *entry) size() int { return int(e.name) + int(e.value) + overhead }

// table is the dynamic table (RFC 7541, section 2.3.2): a ring of entries over
// a ring of bytes, both of which hold the most that TableSize allows.
type table struct {
	entries [maxEntries]entry
	oldest  uint // where the oldest entry stands
	count   uint // entries
	size    int  // the sum of their sizes
	end     uint // where the text of the next entry goes
	bytes   [TableSize]byte
}

// entry returns the entry at an index of the joint index space, in which the
// newest entry follows the static table (RFC 7541, section 2.3.3); nil when
// there is none.
func (d *Decoder) entry(index int) *entry {
	age := index - len(static)
	t := d.table
	if t == nil || age < 0 || uint(age) >= t.count {
		return nil
	}
	return &t.entries[(t.oldest+t.count-1-uint(age))%maxEntries]
}

// resize obeys a dynamic table size update (RFC 7541, section 4.3).
func (d *Decoder) resize(size int) {
	d.lowered = TableSize - size
	if d.table != nil {
		d.table.shrink(size)
	}
}

// insert makes the field the newest entry and evicts old ones to make room. One
// that is larger than the table leaves it empty, which is no error (RFC 7541,
// section 4.4). The field must not alias the table: its name may be that of an
// entry that goes.
func (d *Decoder) insert(f head.Field, badName, badValue bool) {
	limit, size := TableSize-d.lowered, len(f.Name)+len(f.Value)+overhead
	if d.table == nil {
		if size > limit {
			return
		}
		d.table = new(table)
	}
	d.table.shrink(max(limit-size, 0))
	if size <= limit {
		d.table.push(f, badName, badValue)
	}
}

// shrink evicts the oldest entries until the others count size at most.
func (t *table) shrink(size int) {
	for t.size > size {
		t.size -= t.entries[t.oldest].size()
		t.oldest = (t.oldest + 1) % maxEntries
		t.count--
	}
}

// push adds an entry, for which there is room.
func (t *table) push(f head.Field, badName, badValue bool) {
	e := &t.entries[(t.oldest+t.count)%maxEntries]
	// Member by member: a copy of the whole would wait for its parts to be written.
	e.start, e.name, e.value = uint16(t.end), uint16(len(f.Name)), uint16(len(f.Value))
	e.id, e.badName, e.badValue = f.ID, badName, badValue
	t.count++
	t.size += e.size()
	t.write(f.Name)
	t.write(f.Value)
}

// write puts text at the end, around the end of the ring if need be.
func (t *table) write(s string) {
	n := copy(t.bytes[t.end:], s)
	copy(t.bytes[:], s[n:])
	t.end = (t.end + uint(len(s))) % TableSize
}

// appendBytes appends n bytes of the ring from start on.
func (t *table) appendBytes(dst []byte, start, n int) []byte {
	if end := start + n; end <= TableSize {
		return append(dst, t.bytes[start:end]...)
	}
	dst = append(dst, t.bytes[start:]...)
	return append(dst, t.bytes[:start+n-TableSize]...)
}
