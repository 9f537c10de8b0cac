package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	header1 = "PROXY TCP4 192.0.2.7 192.0.2.1 5000 80\r\n"
	header2 = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0f\xc0\x00\x02\x07\xc0\x00\x02\x01\x13\x88\x00\x50\x04\x00\x00"
	local2  = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
)

// TestProxyProtocol: the address that a trusted sender tells is the client's,
// plain and before TLS, however the header comes.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	server, clientTLS := tlsConfigs(t)
	for _, c := range []struct {
		mode    ProxyMode
		trusted string
		sent    string
		client  string // "": the connection is closed without a word
	}{
		{ProxyRequire, "127.0.0.0/8", header1, "192.0.2.7"},
		{ProxyRequire, "127.0.0.0/8", header2, "192.0.2.7"},
		{ProxyAccept, "127.0.0.0/8", header2, "192.0.2.7"},
		{ProxyAccept, "127.0.0.0/8", "PROXY TCP6 2001:db8::7 ::1 1 2\r\n", "2001:db8::7"},
		{ProxyAccept, "127.0.0.0/8", "", "127.0.0.1"},
		{ProxyRequire, "127.0.0.0/8", local2, "127.0.0.1"},
		{ProxyRequire, "127.0.0.0/8", "PROXY UNKNOWN\r\n", "127.0.0.1"},
		{ProxyAccept, "10.0.0.0/8", "", "127.0.0.1"},
		{ProxyRequire, "10.0.0.0/8", header1, ""},
		{ProxyRequire, "10.0.0.0/8", "", ""},
		{ProxyRequire, "127.0.0.0/8", "", ""},
		{ProxyRequire, "127.0.0.0/8", "PROXY TCP4 nonsense\r\n", ""},
		{ProxyAccept, "127.0.0.0/8", "PROXY TCP4 nonsense\r\n", ""},
	} {
		for _, secure := range []bool{false, true} {
			b := newRecorder(t, nil)
			r := newRig(t, map[string]string{"v1": b.addr}, trust(c.trusted), func(r *rig) {
				r.listener.ProxyProtocol = c.mode
				if secure {
					r.listener.TLS = server
				}
			})
			conn := r.dial()
			writeInPieces(conn, c.sent, 7)
			if secure {
				conn = tls.Client(conn, clientTLS)
			}
			io.WriteString(conn, get("/", closing))
			answer, _ := io.ReadAll(conn)
			if c.client == "" {
				if statuses(string(answer)) != "" || r.stats.Edge().RefusedConnections["proxy_protocol"] != 1 {
					t.Errorf("%+v, TLS %v: answered %q, counted %+v", c, secure, answer, r.stats.Edge())
				}
				continue
			}
			m := b.one()
			if statuses(string(answer)) != "200" || m.get("X-Forwarded-For") != c.client {
				t.Errorf("%+v, TLS %v: answered %q, the endpoint saw %q", c, secure, answer, m.get("X-Forwarded-For"))
			}
		}
	}
}

// TestWhoIsPassedOnIsNotTrusted: the balancer vouches for an address, not for
// what its owner sends.
func TestWhoIsPassedOnIsNotTrusted(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, trust("127.0.0.0/8"), func(r *rig) { r.listener.ProxyProtocol = ProxyRequire })
	answer := r.exchangeRaw(header1 + get("/", "X-Forwarded-For: 198.51.100.1", "Sluice-Session-Moved: x", closing))
	if m := b.one(); statuses(answer) != "200" || m.get("X-Forwarded-For") != "192.0.2.7" || m.has("Sluice-Session-Moved") {
		t.Errorf("answered %q, the endpoint saw %v", answer, m)
	}
}

func TestProxyProtocolFromAStranger(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, trust("10.0.0.0/8"), func(r *rig) { r.listener.ProxyProtocol = ProxyAccept })
	if answer := r.exchangeRaw(header1 + get("/")); statuses(answer) != "400" {
		t.Errorf("answered %q", answer)
	}
}

func TestAProxyHeaderThatNeverEnds(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, trust("127.0.0.0/8"), func(r *rig) {
		r.listener.ProxyProtocol, r.listener.HeadTimeout = ProxyRequire, short
	})
	for _, start := range []string{"", "PROXY TCP4", header2[:20], strings.TrimSuffix(header2, "\x00")} {
		if answer := r.exchangeRaw(start); statuses(answer) != "" {
			t.Errorf("%q: answered %q", start, answer)
		}
	}
}

func TestProxyProtocolOverAUnixSocket(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	path := filepath.Join(t.TempDir(), "s")
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) {
		r.listener.Address, r.listener.ProxyProtocol = "unix:"+path, ProxyRequire
	})
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, header1+get("/", closing))
	answer := readAll(r.t, c)
	if m := b.one(); statuses(answer) != "200" || m.get("X-Forwarded-For") != "192.0.2.7" {
		t.Errorf("answered %q, the endpoint saw %v", answer, m)
	}
}

func TestConnectionsPerClient(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.ConnectionsPerClient = 2 })
	first, second := r.dial(), r.dial()
	for _, c := range []net.Conn{first, second} {
		io.WriteString(c, get("/"))
		until(t, c, "\r\n\r\n")
	}
	if answer := r.exchangeRaw(""); answer != "" || r.stats.Edge().RefusedConnections["per_client"] != 1 {
		t.Errorf("the third was answered %q, counted %+v", answer, r.stats.Edge())
	}
	first.Close()
	eventually(t, "there is room again", func() bool { return statuses(r.exchangeRaw(get("/", closing))) == "200" })
}

func TestConnectionsPerClientBehindAProxy(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, trust("127.0.0.0/8"), func(r *rig) {
		r.listener.ConnectionsPerClient, r.listener.ProxyProtocol = 1, ProxyAccept
	})
	for range 3 { // the proxy's own
		c := r.dial()
		io.WriteString(c, get("/"))
		until(t, c, "\r\n\r\n")
	}
	c := r.dial()
	io.WriteString(c, header1+get("/"))
	until(t, c, "\r\n\r\n")
	if answer := r.exchangeRaw(header1 + get("/", closing)); statuses(answer) != "" {
		t.Errorf("a client's second connection was answered %q", answer)
	}
}
