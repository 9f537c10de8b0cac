package routing

import (
	"strconv"
	"strings"
	"time"
)

// A pin cookie's value is "epoch.session.version": the epoch in which it was
// made in decimal, the session id as 16 lower-case hex digits, the version's
// name. It is not signed: whoever forges one can only choose among versions
// that serve pins anyway.

// sessionDigits is the length of a session id in a pin.
const sessionDigits = 16

// ParsePin reads the value of a pin cookie. Only the canonical form is read:
// what AppendPinCookie writes. version aliases value.
func ParsePin(value string) (version string, epoch, session uint64, ok bool) {
	dot := strings.IndexByte(value, '.')
	if dot < 0 || len(value) < dot+1+sessionDigits+2 || value[dot+1+sessionDigits] != '.' {
		return "", 0, 0, false
	}
	epoch, ok = parseEpoch(value[:dot])
	if !ok {
		return "", 0, 0, false
	}
	session, ok = parseSession(value[dot+1 : dot+1+sessionDigits])
	version = value[dot+1+sessionDigits+1:]
	if !ok || session == 0 || !validName(version) {
		return "", 0, 0, false
	}
	return version, epoch, session, true
}

// parseEpoch reads a decimal number without leading zeros.
func parseEpoch(s string) (uint64, bool) {
	const maxDigits = 20 // of 2^64-1
	if s == "" || len(s) > maxDigits || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	var n uint64
	for i := range len(s) {
		digit := uint64(s[i] - '0')
		if digit > 9 || n > (1<<64-1)/10 || n*10 > 1<<64-1-digit {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, true
}

// parseSession reads 16 lower-case hex digits.
func parseSession(s string) (n uint64, ok bool) {
	for i := range len(s) {
		c := s[i]
		digit, ok := unhex(c)
		if !ok || 'A' <= c && c <= 'F' {
			return 0, false
		}
		n = n<<4 | uint64(digit)
	}
	return n, true
}

// AppendPinCookie appends the value of the Set-Cookie field that makes the pin
// of a decision of that service (RFC 6265, section 4.1.1). secure is for
// connections over TLS. It is for decisions with Pin PinMake of services
// pinned by PinCookie; of others it appends nothing.
func AppendPinCookie(dst []byte, d *Decision, svc *Service, secure bool) []byte {
	if d.Pin != PinMake || svc.Pin.By != PinCookie {
		return dst
	}
	dst = append(dst, svc.Pin.Name...)
	dst = append(dst, '=')
	dst = strconv.AppendUint(dst, d.Epoch, 10)
	dst = append(dst, '.')
	dst = appendSession(dst, d.Session)
	dst = append(dst, '.')
	dst = append(dst, d.Version.Name...)
	return appendAttributes(dst, int64(svc.Pin.TTL/time.Second), secure)
}

// appendAttributes appends the attributes of the proxy's cookies; age is in
// seconds.
func appendAttributes(dst []byte, age int64, secure bool) []byte {
	dst = append(dst, "; Path=/; Max-Age="...)
	dst = strconv.AppendInt(dst, age, 10)
	dst = append(dst, "; HttpOnly; SameSite=Lax"...)
	if secure {
		dst = append(dst, "; Secure"...)
	}
	return dst
}

func appendSession(dst []byte, id uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, digits[id>>shift&0xF])
	}
	return dst
}
