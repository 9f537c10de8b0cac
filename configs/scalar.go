package configs

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// textDecoder is a value that is written as one scalar. What it says about a
// bad text goes into the report as it is, so that a secret can keep quiet.
type textDecoder interface{ decodeText(text string) error }

// Size is a number of bytes. In the file: plain bytes ("65536") or with a unit
// ("64KiB", "10MiB", "1GiB").
type Size int64

// The units of sizes.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

const wantSize = "want bytes, such as 65536, 64KiB, 10MiB or 1GiB"

func (s *Size) decodeText(text string) error {
	digits, unit := text, Size(1)
	for _, u := range []struct {
		suffix string
		size   Size
	}{{"KiB", KiB}, {"MiB", MiB}, {"GiB", GiB}} {
		if d, ok := strings.CutSuffix(text, u.suffix); ok {
			digits, unit = strings.TrimRight(d, " "), u.size
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil {
		return problemf(wantSize, "%s is not a size", quote(text))
	}
	if Size(n) > math.MaxInt64/unit {
		return problemf(wantSize, "%s is too large", quote(text))
	}
	*s = Size(n) * unit
	return nil
}

// Secret is a value that must not be seen: it prints as "(secret)".
type Secret struct{ value string }

// Bytes returns a copy of the value.
func (s Secret) Bytes() []byte { return []byte(s.value) }

// Len returns the number of bytes; 0: not set.
func (s Secret) Len() int { return len(s.value) }

// String returns "(secret)", or "" where there is none.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return "(secret)"
}

// GoString returns what String returns, for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText returns what String returns, for encoders and loggers.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s *Secret) decodeText(text string) error {
	s.value = text
	return nil
}

// PinBy says what holds a session on its version.
type PinBy struct {
	Kind PinKind
	Name string // of the application's header or cookie; "" for the other kinds
}

// PinKind is the kind of a session key.
type PinKind string

// The session keys. The file writes them "cookie", "cookie:NAME",
// "header:NAME", "client_ip" and "none".
const (
	PinCookie    PinKind = "cookie"     // the proxy sets a cookie of its own
	PinAppCookie PinKind = "app_cookie" // the application's cookie NAME
	PinHeader    PinKind = "header"     // the header NAME
	PinClientIP  PinKind = "client_ip"  // the client's address
	PinNone      PinKind = "none"       // no session: each request is split anew
)

const wantPinBy = "want cookie, cookie:NAME, header:NAME, client_ip or none"

// String returns the key as the file writes it.
func (p PinBy) String() string {
	switch p.Kind {
	case PinAppCookie:
		return "cookie:" + p.Name
	case PinHeader:
		return "header:" + p.Name
	}
	return string(p.Kind)
}

func (p *PinBy) decodeText(text string) error {
	kind, name, named := strings.Cut(text, ":")
	if named && !isToken(name) {
		return problemf(wantToken, "%s: %s is not a valid name", quote(text), quote(name))
	}
	switch {
	case !named && (text == "cookie" || text == "client_ip" || text == "none"):
		*p = PinBy{Kind: PinKind(text)}
	case named && kind == "cookie":
		*p = PinBy{PinAppCookie, name}
	case named && kind == "header":
		*p = PinBy{PinHeader, name}
	default:
		return problemf(wantPinBy, "unknown session key %s", quote(text))
	}
	return nil
}

// SplitBy says which key of a request a rule's split hashes.
type SplitBy struct {
	Kind SplitKind
	Name string // of the header, cookie or query parameter; "" for the other kinds
}

// SplitKind is the kind of a split's key.
type SplitKind string

// The keys of splits. The file writes them "header:NAME", "cookie:NAME",
// "query:NAME" and "client_ip"; without a key the split is random.
const (
	SplitRandom   SplitKind = ""
	SplitHeader   SplitKind = "header"
	SplitCookie   SplitKind = "cookie"
	SplitQuery    SplitKind = "query"
	SplitClientIP SplitKind = "client_ip"
)

const wantSplitBy = "want header:NAME, cookie:NAME, query:NAME or client_ip, or leave it out for a random split"

// String returns the key as the file writes it; "" for a random split.
func (s SplitBy) String() string {
	if s.Name == "" {
		return string(s.Kind)
	}
	return string(s.Kind) + ":" + s.Name
}

func (s *SplitBy) decodeText(text string) error {
	kind, name, named := strings.Cut(text, ":")
	switch k := SplitKind(kind); {
	case !named && (k == SplitClientIP || k == SplitRandom):
		*s = SplitBy{Kind: k}
	case named && (k == SplitHeader || k == SplitCookie):
		if !isToken(name) {
			return problemf(wantToken, "%s: %s is not a valid name", quote(text), quote(name))
		}
		*s = SplitBy{k, name}
	case named && k == SplitQuery && name != "":
		*s = SplitBy{k, name}
	default:
		return problemf(wantSplitBy, "unknown key %s", quote(text))
	}
	return nil
}

// parseDuration reads a duration with its unit. Below 0 nothing in the file
// makes sense.
func parseDuration(text string) (time.Duration, error) {
	const want = "want a duration with its unit, such as 500ms, 30s, 5m or 24h"
	if text == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, problemf(want, "%s is not a duration", quote(text))
	case d < 0:
		return 0, problemf(want, "%s is below 0", quote(text))
	}
	return d, nil
}

// parsePrefix reads a network in CIDR form, or one address as a network of
// itself. Bits beyond the mask are refused: they tell of a slip.
func parsePrefix(text string) (netip.Prefix, error) {
	const want = "want a network such as 10.0.0.0/8 or fd00::/8, or an address"
	p, err := netip.ParsePrefix(text)
	if err != nil {
		a, addrErr := netip.ParseAddr(text)
		if addrErr != nil || a.Zone() != "" {
			return p, problemf(want, "%s is not a network", quote(text))
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		return p, problemf("write it as IPv4", "%s is an IPv4 network in IPv6 form", quote(text))
	}
	if m := p.Masked(); m != p {
		return p, problemf("did you mean "+m.String()+"?", "%s has bits beyond its mask", quote(text))
	}
	return p, nil
}
