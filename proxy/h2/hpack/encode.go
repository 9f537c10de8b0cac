package hpack

import (
	"strconv"

	"sluice/proxy/head"
)

// Fields are encoded by the static table and by literals that are not indexed,
// in plain bytes: an encoder without state, whose output can be appended to in
// any order. Huffman coding would save a fifth of the bytes of a head and cost
// several times as much as all the rest of it.

// First octets of a literal field (RFC 7541, section 6.2). What is never
// indexed must stay so where it is passed on.
const (
	plainLiteral = 0x00
	neverIndexed = 0x10
)

// Indices of the static table.
const (
	indexStatus        = 8
	indexAuthorization = 23
	indexContentLength = 28
	indexCookie        = 32
	indexProxyAuthz    = 49
	indexSetCookie     = 55
)

// shortCookie is the length in bytes below which a cookie may be guessed by one
// who sees how well it is compressed (RFC 7541, section 7.1.3).
const shortCookie = 20

// AppendStatus appends ":status". The status has three digits.
func AppendStatus(dst []byte, status int) []byte {
	index := 0
	switch status {
	case 200:
		index = 8
	case 204:
		index = 9
	case 206:
		index = 10
	case 304:
		index = 11
	case 400:
		index = 12
	case 404:
		index = 13
	case 500:
		index = 14
	default:
		return append(dst, plainLiteral|indexStatus, 3, digit(status/100), digit(status/10), digit(status))
	}
	return append(dst, 0x80|byte(index))
}

// digit returns the last digit of n.
func digit(n int) byte { return byte('0' + n%10) }

// AppendContentLength appends "content-length"; n is not negative.
func AppendContentLength(dst []byte, n int64) []byte {
	dst = appendInteger(dst, plainLiteral, 4, indexContentLength)
	at := len(dst)
	dst = strconv.AppendInt(append(dst, 0), n, 10)
	dst[at] = byte(len(dst) - at - 1)
	return dst
}

// AppendField appends a field whose name and value are valid, the name in lower
// case. Credentials, cookies that are set, and short cookies are marked as never
// to be indexed (RFC 7541, section 7.1.3).
func AppendField(dst []byte, name, value string) []byte {
	index := staticName(name)
	kind := byte(plainLiteral)
	switch index {
	case indexAuthorization, indexProxyAuthz, indexSetCookie:
		kind = neverIndexed
	case indexCookie:
		if len(value) < shortCookie {
			kind = neverIndexed
		}
	}
	dst = appendInteger(dst, kind, 4, index)
	if index == 0 {
		dst = appendInteger(dst, 0, 7, len(name))
		at := len(dst)
		dst = append(dst, name...)
		for i, c := range dst[at:] {
			if 'A' <= c && c <= 'Z' {
				dst[at+i] = c | 0x20
			}
		}
	}
	dst = appendInteger(dst, 0, 7, len(value))
	return append(dst, value...)
}

// AppendTableSizeZero appends a dynamic table size update to 0, which may stand
// only at the beginning of a header block (RFC 7541, section 4.2). It is owed at
// the beginning of the first header block after the peer has lowered
// SETTINGS_HEADER_TABLE_SIZE below what the encoder may use, 4096 bytes at
// first. An encoder that has none of it may say so at once: with this in front of
// the first header block of a connection, no later setting of the peer is of
// any consequence, since none is below 0.
func AppendTableSizeZero(dst []byte) []byte { return append(dst, 0x20) }

// appendInteger appends an integer whose first n bits end an octet that begins
// with the bits of first (RFC 7541, section 5.1).
func appendInteger(dst []byte, first byte, n uint, v int) []byte {
	prefix := 1<<n - 1
	if v < prefix {
		return append(dst, first|byte(v))
	}
	dst = append(dst, first|byte(prefix))
	for v -= prefix; v >= 0x80; v >>= 7 {
		dst = append(dst, byte(v)|0x80)
	}
	return append(dst, byte(v))
}

// staticName returns the index of a field name of the static table, in any case
// of letters, or 0.
func staticName(name string) int {
	if name == "" {
		return 0
	}
	i := int(byName[nameHash(name)])
	if head.EqualFold(name, static[i].Name) {
		return i
	}
	return 0
}

// byName has the index of each field name of the static table at its hash,
// under which no other stands.
var byName = func() (table [256]uint8) {
	for i := 15; i < len(static); i++ {
		table[nameHash(static[i].Name)] = uint8(i)
	}
	return table
}()

// nameHash is made of the length and the first and last byte. Its factors were
// found by trial: with them no two field names of the static table collide.
func nameHash(name string) uint8 {
	return uint8(len(name)) + 10*(name[0]|0x20) + 4*(name[len(name)-1]|0x20)
}
