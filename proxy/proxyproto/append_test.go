package proxyproto

import (
	"bufio"
	"bytes"
	"net/netip"
	"testing"

	library "github.com/pires/go-proxyproto"
	"pgregory.net/rapid"
)

// TestAppend writes headers as the protocol's text has them.
func TestAppend(t *testing.T) {
	one, other := netip.MustParseAddrPort("192.0.2.1:5000"), netip.MustParseAddrPort("192.0.2.2:80")
	six, six2 := netip.MustParseAddrPort("[2001:db8::1%eth0]:5000"), netip.MustParseAddrPort("[::]:80")
	none := netip.AddrPort{}
	for _, test := range []struct {
		from, to netip.AddrPort
		v1, v2   string
	}{
		{one, other, "PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n", v2(version2Proxy, tcp4, from4to4)},
		{netip.MustParseAddrPort("[::ffff:192.0.2.1]:5000"), other, "PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n", v2(version2Proxy, tcp4, from4to4)},
		{six, six2, "PROXY TCP6 2001:db8::1 :: 5000 80\r\n", v2(version2Proxy, tcp6, from6to6)},
		{one, six2, "PROXY TCP6 ::ffff:192.0.2.1 :: 5000 80\r\n", v2(version2Proxy, tcp6, mapped+"\xc0\x00\x02\x01"+from6to6[16:])},
		{none, other, "PROXY UNKNOWN\r\n", v2(version2Local, unspecified, "")},
		{one, none, "PROXY UNKNOWN\r\n", v2(version2Local, unspecified, "")},
	} {
		if got := AppendV1([]byte("x"), test.from, test.to); string(got) != "x"+test.v1 {
			t.Errorf("from %v to %v: %q, want %q", test.from, test.to, got[1:], test.v1)
		}
		if got := AppendV2([]byte("x"), test.from, test.to); string(got) != "x"+test.v2 {
			t.Errorf("from %v to %v: %q, want %q", test.from, test.to, got[1:], test.v2)
		}
	}
}

// TestAppendIsRead: whatever is written is read alike by Parse and by the
// library.
func TestAppendIsRead(t *testing.T) {
	addr := rapid.Custom(func(t *rapid.T) netip.AddrPort {
		raw := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "address")
		a, _ := netip.AddrFromSlice(raw[:rapid.SampledFrom([]int{4, 16}).Draw(t, "size")])
		return netip.AddrPortFrom(a, rapid.Uint16().Draw(t, "port"))
	})
	rapid.Check(t, func(t *rapid.T) {
		from, to := addr.Draw(t, "from"), addr.Draw(t, "to")
		want := netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		for _, header := range [][]byte{AppendV1(nil, from, to), AppendV2(nil, from, to)} {
			h, err := Parse(append(header, "GET /"...))
			if err != nil || h.Length != len(header) || netip.AddrPortFrom(h.Source.Addr().Unmap(), h.Source.Port()) != want {
				t.Fatalf("%q is read as %v, %v", header, h, err)
			}
			twin, err := library.Read(bufio.NewReader(bytes.NewReader(header)))
			if err != nil {
				t.Fatalf("%q: %v", header, err)
			}
			if source, target, ok := twin.TCPAddrs(); !ok || source.AddrPort().Addr().Unmap() != want.Addr() || target.AddrPort().Addr().Unmap() != to.Addr().Unmap() || target.Port != int(to.Port()) {
				t.Fatalf("%q: the library reads %v to %v", header, source, target)
			}
		}
	})
}
