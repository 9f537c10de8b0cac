package compare

import (
	"bytes"
	"hash/maphash"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// Bounds of what is read of one body.
const (
	maxDepth  = 64
	maxFields = 4096 // paths, with indexes and map-like keys collapsed
	maxKeys   = 128  // of one object; one with more is a map
)

// types are the types that a field has had, one bit each.
type types uint8

const (
	null types = 1 << iota
	boolean
	number
	text
	array
	object
)

// String names them, such as "string or null".
func (t types) String() string {
	var all []byte
	for i, name := range [...]string{"null", "boolean", "number", "string", "array", "object"} {
		if t&(1<<i) == 0 {
			continue
		}
		if len(all) > 0 {
			all = append(all, " or "...)
		}
		all = append(all, name...)
	}
	return string(all)
}

// What the name of a node stands for.
type naming uint8

const (
	root    naming = iota
	key            // one key of objects
	anyKey         // all keys of maps
	element        // all elements of arrays
)

// node is one path of a body, and all values that are found there.
type node struct {
	path   uint64 // a hash of names from the root
	sum    uint64 // of hashes of the values, each with its place, in any order
	name   []byte // of a key, as it stands in the body, without the quotes
	naming naming
	types  types
	wide   bool  // its keys are collapsed
	count  int32 // of values
	holds  int32 // of values that may hold children: objects, arrays
	keys   int32 // children that are keys

	parent, first, last, next, hint int32 // 0: none
}

// walk reads bodies; its nodes are the last body's digest. The memory needed grows
// with the number of paths, not with the length of the body.
type walk struct {
	seed    maphash.Seed
	maps    map[uint64]bool // paths of objects that are maps
	nodes   []node
	grew    []uint64 // paths of objects that proved to be maps
	body    []byte
	at      int
	scratch []byte
	plain   []byte // a decompressed body

	watch uint64 // a path whose values are noted, for examples; 0: none
	seen  []span
}

// span is where a value stands in a body.
type span struct {
	where      uint64 // a hash of indexes and collapsed keys
	start, end int
	types      types
	length     int // elements of an array
}

// maxSeen bounds the values that are searched for an example.
const maxSeen = 1024

// The reasons why a body is no digest. A body that is not JSON is compared as bytes.
const (
	notJSON = "not JSON"
	tooDeep = "nested too deep"
	tooMany = "too many fields"
)

// read makes the digest of a body that is JSON, or returns why there is none.
func (w *walk) read(body []byte, seed maphash.Seed, maps map[uint64]bool) (reason string) {
	w.seed, w.maps, w.body, w.at = seed, maps, body, 0
	w.grew, w.seen = w.grew[:0], w.seen[:0]
	// Index 0 means none; the root is 1.
	w.nodes = append(w.nodes[:0], node{}, node{path: 1, naming: root, wide: maps[1]})
	if reason = w.value(1, 1, 0); reason != "" {
		return reason
	}
	if w.space(); w.at != len(body) {
		return notJSON
	}
	return ""
}

// mix joins two hashes in order.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0x9e3779b97f4a7c15, b^0xd1b54a32d192ed03)
	return hi ^ lo ^ bits.RotateLeft64(a, 29)
}

// took adds a value to its node.
func (w *walk) took(at int32, where uint64, t types, value uint64, start, length int) {
	n := &w.nodes[at]
	n.count++
	n.types |= t
	// A sum, since the order of keys says nothing; the place is in each summand,
	// since the order of elements does.
	n.sum += mix(mix(where, uint64(t)), value)
	if w.watch != 0 && w.watch == n.path && len(w.seen) < maxSeen {
		w.seen = append(w.seen, span{where, start, w.at, t, length})
	}
}

// child returns the node of a key, and the place of its value.
func (w *walk) child(at int32, name []byte, where uint64) (int32, uint64) {
	hash := w.hash(name)
	n := &w.nodes[at]
	if !n.wide {
		path := mix(n.path, hash)
		if i := w.find(at, path); i != 0 {
			return i, where
		}
		if !isValue(name) {
			if n.keys < maxKeys {
				n.keys++
				return w.add(at, node{path: path, name: name, naming: key}), where
			}
			n.wide = true
			w.grew = append(w.grew, n.path)
		}
	}
	return w.only(at, anyKey), mix(where, hash)
}

// only returns the one child for elements or collapsed keys.
func (w *walk) only(at int32, as naming) int32 {
	path := mix(w.nodes[at].path, uint64(as))
	if i := w.find(at, path); i != 0 {
		return i
	}
	return w.add(at, node{path: path, naming: as})
}

// find returns the child with a path; 0: none. Keys mostly come in the order they
// came in before, so the search begins after the last one found.
func (w *walk) find(at int32, path uint64) int32 {
	n := &w.nodes[at]
	for i := n.hint; i != 0; i = w.nodes[i].next {
		if w.nodes[i].path == path {
			n.hint = w.nodes[i].next
			return i
		}
	}
	for i := n.first; i != 0 && i != n.hint; i = w.nodes[i].next {
		if w.nodes[i].path == path {
			n.hint = w.nodes[i].next
			return i
		}
	}
	return 0
}

func (w *walk) add(at int32, n node) int32 {
	n.parent, n.wide = at, w.maps[n.path]
	i := int32(len(w.nodes))
	w.nodes = append(w.nodes, n)
	p := &w.nodes[at]
	if p.last == 0 {
		p.first = i
	} else {
		w.nodes[p.last].next = i
	}
	p.last, p.hint = i, 0
	return i
}

// hash returns the hash of a string by what it says, not how it is escaped.
func (w *walk) hash(s []byte) uint64 {
	if bytes.IndexByte(s, '\\') >= 0 {
		w.scratch = unescape(w.scratch[:0], s)
		s = w.scratch
	}
	return maphash.Bytes(w.seed, s)
}

// field writes a path as reports show it: $.items[].price.
func (w *walk) field(at int32) string {
	var chain []int32
	for i := at; w.nodes[i].naming != root; i = w.nodes[i].parent {
		chain = append(chain, i)
	}
	s := []byte("$")
	for i := len(chain) - 1; i >= 0; i-- {
		switch n := &w.nodes[chain[i]]; n.naming {
		case element:
			s = append(s, "[]"...)
		case anyKey:
			s = append(s, ".*"...)
		default:
			s = appendKey(s, unescape(nil, n.name))
		}
	}
	return string(s)
}

// appendKey writes a key, in brackets and quotes if it is not a plain word.
func appendKey(s, name []byte) []byte {
	plain := len(name) > 0
	for _, b := range name {
		plain = plain && (b == '_' || b == '-' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= utf8.RuneSelf)
	}
	if plain && utf8.Valid(name) {
		return append(append(s, '.'), name...)
	}
	s = append(s, '[')
	s = strconv.AppendQuote(s, string(name))
	return append(s, ']')
}
