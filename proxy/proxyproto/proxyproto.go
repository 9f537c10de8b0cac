// Package proxyproto reads and writes the header of the PROXY protocol, versions 1
// and 2, by which a balancer says whose connection it passes on (HAProxy's
// proxy-protocol.txt). It knows no sockets: it is given what has arrived.
package proxyproto

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// Header is what a header says.
type Header struct {
	// Source is the client's address. It is not valid where the sender says
	// that the connection is its own (LOCAL), or not whose it is (UNKNOWN,
	// UNSPEC, a Unix socket's).
	Source netip.AddrPort
	// Length is how many bytes the header takes.
	Length int
}

// Errors of Parse.
var (
	// ErrMore is returned for what may become a header when more has come.
	ErrMore = errors.New("proxyproto: the header is not complete")
	// ErrNone is returned for bytes that begin no header.
	ErrNone = errors.New("proxyproto: there is no header")
)

// Error is returned for a header that is malformed.
type Error struct{ Reason string }

// Error says what is wrong with the header.
func (e *Error) Error() string { return "proxyproto: " + e.Reason }

// Enough is how many bytes are enough for Parse to come to an end: version 1
// has 107 at most, and version 2 has its addresses, the longest being those of
// Unix sockets, in its first 232.
const Enough = 16 + 216

const (
	prefix1   = "PROXY "
	longest1  = 107 // of version 1, with its CRLF
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	fixed2    = 16 // bytes of version 2 before its addresses
)

// Parse reads the header at the beginning of p. P may end before the header
// does, whose additional fields (TLVs) are not looked at, or go on behind it.
func Parse(p []byte) (Header, error) {
	switch {
	case begins(p, prefix1):
		if len(p) < len(prefix1) {
			return Header{}, ErrMore
		}
		return parse1(p[:min(len(p), longest1)])
	case begins(p, signature):
		if len(p) < fixed2 {
			return Header{}, ErrMore
		}
		return parse2(p)
	}
	return Header{}, ErrNone
}

// begins reports whether p begins with a text, as far as it goes.
func begins(p []byte, text string) bool {
	n := min(len(p), len(text))
	return string(p[:n]) == text[:n]
}

// parse1 reads a line of text, such as "PROXY TCP4 192.0.2.1 192.0.2.2 5000 80".
func parse1(p []byte) (Header, error) {
	line, _, found := strings.Cut(string(p), "\r\n")
	switch {
	case !found && len(p) == longest1:
		return Header{}, &Error{"the line is longer than 107 bytes"}
	case !found:
		return Header{}, ErrMore
	}
	h := Header{Length: len(line) + len("\r\n")}
	parts := strings.Split(line, " ")[1:]
	if parts[0] == "UNKNOWN" {
		return h, nil // what follows says nothing that counts (section 2.1)
	}
	if len(parts) != 5 {
		return Header{}, &Error{"the line is not PROXY, a family, two addresses and two ports"}
	}
	source, ok := parseAddr(parts[0], parts[1], parts[3])
	_, okTo := parseAddr(parts[0], parts[2], parts[4])
	if !ok || !okTo {
		return Header{}, &Error{"the line has no valid addresses of its family"}
	}
	h.Source = source
	return h, nil
}

// parseAddr reads an address and a port of the family "TCP4" or "TCP6".
func parseAddr(family, addr, port string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(addr)
	n, errPort := strconv.ParseUint(port, 10, 16)
	if err != nil || errPort != nil || a.Zone() != "" || port != strconv.FormatUint(n, 10) {
		return netip.AddrPort{}, false
	}
	if !(family == "TCP4" && a.Is4() || family == "TCP6" && a.Is6()) {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), true
}

// The commands and families of version 2 (section 2.2).
const (
	version2Local = 0x20
	version2Proxy = 0x21
	unspecified   = 0x00
	tcp4          = 0x11
	tcp6          = 0x21
	unixStream    = 0x31
)

// parse2 reads a binary header.
func parse2(p []byte) (Header, error) {
	command, family, length := p[12], p[13], int(binary.BigEndian.Uint16(p[14:]))
	h := Header{Length: fixed2 + length}
	switch command {
	case version2Local:
		return h, nil
	case version2Proxy:
	default:
		return Header{}, &Error{"the command is neither LOCAL nor PROXY of version 2"}
	}
	var size, port int // of an address, and where the source's port is
	switch family {
	case unspecified, unixStream:
		return h, nil
	case tcp4:
		size, port = 4, 8
	case tcp6:
		size, port = 16, 32
	default:
		return Header{}, &Error{"the family is not that of a stream"}
	}
	if length < 2*size+4 {
		return Header{}, &Error{"the header is too short for its addresses"}
	}
	body := p[fixed2:]
	if len(body) < 2*size+4 {
		return Header{}, ErrMore
	}
	addr, _ := netip.AddrFromSlice(body[:size])
	h.Source = netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(body[port:]))
	return h, nil
}
