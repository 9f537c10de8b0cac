package proxyproto

import (
	"bufio"
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	library "github.com/pires/go-proxyproto"
)

// v2 puts together a header of version 2 with a length that fits the body.
func v2(command, family byte, body string) string {
	return signature + string([]byte{command, family, byte(len(body) >> 8), byte(len(body))}) + body
}

const (
	from4to4 = "\xc0\x00\x02\x01\xc0\x00\x02\x02\x13\x88\x00\x50" // 192.0.2.1:5000 to 192.0.2.2:80
	mapped   = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"
)

var (
	from6to6 = "\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" + strings.Repeat("\x00", 16) + "\x13\x88\x00\x50"
	// headers are those that must be read, with the source; "": none.
	headers = map[string]string{
		"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n":                                                 "192.0.2.1:5000",
		"PROXY TCP6 2001:db8::1 2001:db8::2 5000 80\r\n":                                             "[2001:db8::1]:5000",
		"PROXY TCP6 ::ffff:192.0.2.1 ::1 0 65535\r\n":                                                "192.0.2.1:0",
		"PROXY UNKNOWN\r\n":                                                                          "",
		"PROXY UNKNOWN ffff:f...f:ffff anything 65535\r\n":                                           "",
		v2(version2Proxy, tcp4, from4to4):                                                            "192.0.2.1:5000",
		v2(version2Proxy, tcp4, from4to4+"\x04\x00\x03abc"):                                          "192.0.2.1:5000",
		v2(version2Proxy, tcp6, from6to6):                                                            "[2001:db8::1]:5000",
		v2(version2Proxy, tcp6, mapped+"\xc0\x00\x02\x01"+mapped+"\xc0\x00\x02\x02\x13\x88\x00\x50"): "192.0.2.1:5000",
		v2(version2Proxy, unixStream, strings.Repeat("/", 216)):                                      "",
		v2(version2Proxy, unspecified, ""):                                                           "",
		v2(version2Local, tcp4, from4to4):                                                            "",
		v2(version2Local, 0xff, ""):                                                                  "",
		v2(version2Local, unspecified, strings.Repeat("x", 65535)):                                   "",
	}
	malformeds = []string{
		"PROXY  TCP4 192.0.2.1 192.0.2.2 5000 80\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 5000\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 5000 80 \r\n",
		"PROXY TCP4 192.0.2.01 192.0.2.2 5000 80\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 05000 80\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 65536 80\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 -1 80\r\n", "PROXY TCP4 192.0.2.1 192.0.2.2 +1 80\r\n", "PROXY TCP4 2001:db8::1 2001:db8::2 1 80\r\n",
		"PROXY TCP6 192.0.2.1 192.0.2.2 1 80\r\n", "PROXY TCP6 fe80::1%eth0 ::1 1 80\r\n", "PROXY TCP5 192.0.2.1 192.0.2.2 1 80\r\n", "PROXY \r\n", "PROXY TCP4\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\n\r\n", "PROXY UNKNOWN" + strings.Repeat("x", 107),
		v2(0x11, tcp4, from4to4), v2(0x22, tcp4, from4to4), v2(version2Proxy, 0x12, from4to4), v2(version2Proxy, 0x41, from4to4),
		v2(version2Proxy, tcp4, from4to4[:11]), v2(version2Proxy, tcp6, from4to4), v2(version2Proxy, tcp4, ""),
	}
)

// TestHeaders gives each header whole, with more behind it, and in every part
// that it may have come in.
func TestHeaders(t *testing.T) {
	for text, source := range headers {
		want := Header{Length: len(text)}
		if source != "" {
			want.Source = netip.MustParseAddrPort(source)
		}
		for _, behind := range []string{"", "GET / HTTP/1.1\r\n\r\n"} {
			if got, err := Parse([]byte(text + behind)); got != want || err != nil {
				t.Errorf("%.60q: %v, %v; want %v", text, got, err, want)
			}
		}
		for i := range min(len(text), Enough) {
			if got, err := Parse([]byte(text[:i])); err != ErrMore && got != want {
				t.Fatalf("%.60q: %v, %v", text[:i], got, err)
			}
		}
		if got, err := Parse([]byte(text[:min(len(text), Enough)])); got != want || err != nil {
			t.Errorf("%.60q: in its first bytes %v, %v", text, got, err)
		}
	}
}

func TestMalformedHeaders(t *testing.T) {
	for _, text := range malformeds {
		var malformed *Error
		if h, err := Parse([]byte(text)); !errors.As(err, &malformed) {
			t.Errorf("%q: %v, %v", text, h, err)
		}
	}
	for _, text := range []string{"GET / HTTP/1.1\r\n", "POST", "PRI * HTTP/2.0", "\x16\x03\x01", "PROXYTCP4", "PROXY\t", "\r\n\r\nG", "proxy tcp4"} {
		if h, err := Parse([]byte(text)); err != ErrNone {
			t.Errorf("%q: %v, %v", text, h, err)
		}
	}
}

// FuzzParse holds the parser to the library's: what both take, they read alike.
// The library is the laxer one.
func FuzzParse(f *testing.F) {
	for text := range headers {
		f.Add([]byte(text[:min(len(text), 300)]))
	}
	for _, text := range malformeds {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		h, err := Parse(p)
		if err == ErrMore && len(p) >= Enough {
			t.Fatal("enough is not enough")
		}
		if err != nil {
			if h != (Header{}) {
				t.Fatalf("%v with %v", h, err)
			}
			return
		}
		for n := range p {
			if part, err := Parse(p[:n]); err != ErrMore && part != h {
				t.Fatalf("of %d bytes: %v, %v; of all %v", n, part, err, h)
			}
		}
		in := bytes.NewReader(p)
		r := bufio.NewReaderSize(in, 1<<17)
		twin, err := library.Read(r)
		if err != nil || twin.Command.IsLocal() {
			return
		}
		if read := len(p) - in.Len() - r.Buffered(); read != h.Length {
			t.Fatalf("%d bytes, the library took %d", h.Length, read)
		}
		if source, _, ok := twin.TCPAddrs(); ok {
			ap := source.AddrPort()
			if want := netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()); h.Source != want {
				t.Fatalf("%v, the library read %v", h.Source, want)
			}
		}
	})
}
