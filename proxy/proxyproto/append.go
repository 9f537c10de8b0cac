package proxyproto

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// AppendV1 appends a header of version 1, a line of text, for a connection from
// one address to another. Where either is not valid, it says that it is not
// known whose connection it is (UNKNOWN).
func AppendV1(dst []byte, from, to netip.AddrPort) []byte {
	dst = append(dst, prefix1...)
	if !from.IsValid() || !to.IsValid() {
		return append(dst, "UNKNOWN\r\n"...)
	}
	source, target := alike(from.Addr(), to.Addr())
	if source.Is4() {
		dst = append(dst, "TCP4 "...)
	} else {
		dst = append(dst, "TCP6 "...)
	}
	dst = append(source.AppendTo(dst), ' ')
	dst = append(target.AppendTo(dst), ' ')
	dst = append(strconv.AppendUint(dst, uint64(from.Port()), 10), ' ')
	dst = strconv.AppendUint(dst, uint64(to.Port()), 10)
	return append(dst, "\r\n"...)
}

// AppendV2 appends a header of version 2, which is binary, for a connection from
// one address to another. Where either is not valid, it says that the connection
// is the sender's own (LOCAL).
func AppendV2(dst []byte, from, to netip.AddrPort) []byte {
	dst = append(dst, signature...)
	if !from.IsValid() || !to.IsValid() {
		return append(dst, version2Local, unspecified, 0, 0)
	}
	source, target := alike(from.Addr(), to.Addr())
	if source.Is4() {
		dst = append(dst, version2Proxy, tcp4, 0, 2*4+4)
	} else {
		dst = append(dst, version2Proxy, tcp6, 0, 2*16+4)
	}
	dst = append(dst, source.AsSlice()...)
	dst = append(dst, target.AsSlice()...)
	dst = binary.BigEndian.AppendUint16(dst, from.Port())
	return binary.BigEndian.AppendUint16(dst, to.Port())
}

// alike returns two addresses in one family, for a header has no room for two.
// An IPv4 address beside an IPv6 one is mapped into IPv6 (RFC 4291, section
// 2.5.5.2).
func alike(a, b netip.Addr) (netip.Addr, netip.Addr) {
	a, b = a.Unmap().WithZone(""), b.Unmap().WithZone("")
	if a.Is4() == b.Is4() {
		return a, b
	}
	return netip.AddrFrom16(a.As16()), netip.AddrFrom16(b.As16())
}
