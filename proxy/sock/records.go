package sock

// records follows the boundaries of TLS records in what comes off the socket
// (RFC 8446, section 5.1: a head of 5 bytes, the last two the length), to tell
// when TLS has nothing more in store. Asking TLS itself costs an allocation.
// The zero value stands before the first record.
type records struct {
	head  [5]byte
	have  int // of the head
	left  int // of the record behind it
	ended int // records that were here whole, since the count was set to 0
}

// pass follows p.
func (r *records) pass(p []byte) {
	for len(p) > 0 {
		if r.left == 0 {
			n := copy(r.head[r.have:], p)
			r.have += n
			p = p[n:]
			if r.have < len(r.head) {
				return
			}
			r.have, r.left = 0, int(r.head[3])<<8|int(r.head[4])
			if r.left == 0 {
				r.ended++
			}
			continue
		}
		n := min(r.left, len(p))
		r.left -= n
		p = p[n:]
		if r.left == 0 {
			r.ended++
		}
	}
}

// between reports whether all that has come are whole records.
func (r *records) between() bool { return r.left == 0 && r.have == 0 }
