// Package hpack is the header compression of HTTP/2 (RFC 7541), without
// sockets: a decoder with the dynamic table of one connection, and an encoder
// that keeps no state.
//
// Nothing here allocates once the caller's memory is large enough, and what a
// peer can make us do is bounded: the dynamic table by 4096 bytes, a decoded
// header list by the caller, the work for a block by its length.
package hpack

import (
	"errors"

	"sluice/proxy/head"
)

// TableSize is the size of the decoder's dynamic table in bytes, which is the
// initial value of SETTINGS_HEADER_TABLE_SIZE (RFC 9113, section 6.5.2): the
// setting need not be sent, and must not be sent with another value.
const TableSize = 4096

// overhead is what an entry counts besides the bytes of its name and value, in
// the dynamic table (RFC 7541, section 4.1) and in a header list (RFC 9113,
// section 6.5.2).
const overhead = 32

// Result is a decoded header block.
type Result struct {
	// Fields are those that the caller passed, followed by the block's in order,
	// pseudo-header fields such as ":method" included. Their IDs are set; that of
	// a pseudo-header field is head.Other. Names and values alias Text, or memory
	// that never changes.
	Fields []head.Field
	// Text is what the caller passed, extended. Where it had to grow, strings
	// made before still alias the old memory, which stays valid.
	Text []byte
	// TooLarge is set when the block had more than fits into the limits. Fields
	// holds those that fitted, without gaps.
	TooLarge bool
	// Malformed is set when a field of the block, kept or not, must not stand in
	// a message (RFC 9113, section 8.2.1): its name has an upper-case letter or
	// another byte that no token may have, but for one colon in front, or its
	// value has a control character other than HTAB or begins or ends with white
	// space. RFC 9110, section 5.5, leaves room for some control characters; they
	// could not be passed on in HTTP/1.1, where they are refused too.
	Malformed bool
}

// Errors of a header block. Each is a connection error of type
// COMPRESSION_ERROR (RFC 9113, section 4.3): the tables of the two sides may
// differ from here on.
var (
	errTruncated     = errors.New("hpack: the header block ends within a field")
	errInteger       = errors.New("hpack: an integer of more than 5 octets")
	errIndex         = errors.New("hpack: an index that is in no table")
	errHuffman       = errors.New("hpack: a string that is no Huffman code, or is not padded with less than 8 one bits")
	errUpdateSize    = errors.New("hpack: a dynamic table larger than the 4096 bytes allowed")
	errUpdateLate    = errors.New("hpack: a dynamic table size update after a field")
	errManyUpdates   = errors.New("hpack: more than two dynamic table size updates in a header block")
	errRepeatedNames = errors.New("hpack: a header block that is out of proportion, with long names of the dynamic table over and over")
)
