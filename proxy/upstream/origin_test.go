package upstream

import (
	"crypto/tls"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	library "github.com/pires/go-proxyproto"
)

// serveProxied is serve where each connection must begin with a header of the
// PROXY protocol; over TLS if there is a configuration.
func serveProxied(t testing.TB, secure *tls.Config) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l = &library.Listener{Listener: l, ReadHeaderTimeout: 5 * time.Second,
		ConnPolicy: func(library.ConnPolicyOptions) (library.Policy, error) { return library.REQUIRE, nil }}
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	return serveOn(t, "tcp", l)
}

// told returns whom the server's open connections are said to be from and to,
// sorted; "local" for those that are said to be the proxy's own.
func (s *server) told() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.conns {
		if secure, ok := nc.(*tls.Conn); ok {
			nc = secure.NetConn()
		}
		h := nc.(*library.Conn).ProxyHeader()
		if from, to, ok := h.TCPAddrs(); ok && h.Command.IsProxy() {
			all = append(all, from.String()+" to "+to.String())
		} else {
			all = append(all, "local")
		}
	}
	slices.Sort(all)
	return all
}

// A connection serves the client that its endpoint was told of, and no other.
func TestConnectionsAreOfOneClient(t *testing.T) {
	a := newAuthority(t)
	for name, secure := range map[string]*tls.Config{"plain": nil, "TLS": a.serverConfig("127.0.0.1")} {
		for _, header := range []ProxyHeader{ProxyV1, ProxyV2} {
			s := serveProxied(t, secure)
			cfg := quietly(s)
			cfg.ProxyProtocol = header
			if secure != nil {
				cfg.TLS = &TLSConfig{CA: a.pem}
			}
			c := start(t, cfg, Deps{})
			at := netip.MustParseAddrPort("192.0.2.9:443")
			one := &Origin{Client: netip.MustParseAddrPort("192.0.2.1:5000"), Server: at}
			port := &Origin{Client: netip.MustParseAddrPort("192.0.2.1:5001"), Server: at}
			six := &Origin{Client: netip.MustParseAddrPort("[2001:db8::1]:5000"), Server: at}
			for i, step := range []struct {
				of     *Origin
				reused bool
			}{{one, false}, {one, true}, {port, false}, {six, false}, {nil, false}, {one, true}, {six, true}, {nil, true}, {port, true}} {
				conn := acquire(t, c, Acquire{Origin: step.of})
				if conn.Reused != step.reused {
					t.Errorf("%s, version %d, step %d: reused %v", name, header, i, conn.Reused)
				}
				mustEcho(t, conn)
				conn.Release(Reusable)
			}
			want := "192.0.2.1:5000 to 192.0.2.9:443, 192.0.2.1:5001 to 192.0.2.9:443, [2001:db8::1]:5000 to 192.0.2.9:443, local"
			if got := strings.Join(s.told(), ", "); got != want {
				t.Errorf("%s, version %d: told of %s", name, header, got)
			}
		}
	}
}

// A changed header is not sent on old connections, so these serve no more.
func TestChangedHeaderEndsThePool(t *testing.T) {
	s := serveProxied(t, nil)
	cfg := quietly(s)
	cfg.ProxyProtocol = ProxyV1
	c := start(t, cfg, Deps{})
	conn := acquire(t, c, Acquire{})
	mustEcho(t, conn)
	conn.Release(Reusable)
	cfg.ProxyProtocol = ProxyV2
	if err := c.Update(cfg); err != nil {
		t.Fatal(err)
	}
	conn = acquire(t, c, Acquire{})
	defer conn.Release(Done)
	if conn.Reused {
		t.Error("a connection with the old header is used again")
	}
	mustEcho(t, conn)
}

// Checks say that they are the proxy's own; without a path too.
func TestChecksSendTheHeader(t *testing.T) {
	a := newAuthority(t)
	for _, secure := range []*tls.Config{nil, a.serverConfig("127.0.0.1")} {
		for _, header := range []ProxyHeader{ProxyV1, ProxyV2} {
			s := serveProxied(t, secure)
			cfg := quietly(s)
			cfg.ProxyProtocol = header
			cfg.Health = HealthConfig{Path: "/healthz", Interval: 10 * time.Millisecond}
			if secure != nil {
				cfg.TLS = &TLSConfig{CA: a.pem}
			}
			c := start(t, cfg, Deps{})
			await(t, "a check", func() bool { return slices.Contains(s.lines(), "GET /healthz HTTP/1.1\r\n") })
			cfg.Health.Path = ""
			if err := c.Update(cfg); err != nil {
				t.Fatal(err)
			}
			before := s.accepted.Load()
			await(t, "more checks", func() bool { return s.accepted.Load() > before+3 })
			if st := c.Status()[0]; !st.Healthy || st.HealthError != "" {
				t.Errorf("%+v", st)
			}
		}
	}
}

func TestHeaderIsRefusedOverHTTP2(t *testing.T) {
	err := Config{Service: "web", Version: "v1", HTTP2: true, ProxyProtocol: ProxyV2}.Validate()
	if err == nil || !strings.Contains(err.Error(), "shared by many clients") {
		t.Errorf("%v", err)
	}
}
