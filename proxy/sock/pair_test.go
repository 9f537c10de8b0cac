package sock

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/proxy/buffer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a connection under test and the plain one at its other end.
type pair struct {
	c    *Conn
	peer net.Conn
}

// kinds are the kinds of connections that every promise is kept on.
var kinds = []struct {
	name string
	open func(testing.TB) pair
}{{"tcp", tcpPair}, {"unix", unixPair}, {"tls", tlsPair}, {"tls client", tlsClientPair}}

func onEach(t *testing.T, test func(*testing.T, pair)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { test(t, k.open(t)) })
	}
}

func tcpPair(t testing.TB) pair { return watched(t, connect(t, "tcp", "127.0.0.1:0")) }

func unixPair(t testing.TB) pair {
	dir, err := os.MkdirTemp("", "so")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return watched(t, connect(t, "unix", filepath.Join(dir, "s")))
}

// tlsPair is the server's side, with a client that took its tickets.
func tlsPair(t testing.TB) pair {
	ends := connect(t, "tcp", "127.0.0.1:0")
	server := NewTLS(ends[1], tls.Server, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	return shake(t, server, tls.Client(ends[0], &tls.Config{InsecureSkipVerify: true}))
}

// tlsClientPair is the client's side. The server's tickets wait for it.
func tlsClientPair(t testing.TB) pair {
	ends := connect(t, "tcp", "127.0.0.1:0")
	client := NewTLS(ends[1], tls.Client, &tls.Config{InsecureSkipVerify: true, ClientSessionCache: tls.NewLRUClientSessionCache(1)})
	return shake(t, client, tls.Server(ends[0], &tls.Config{Certificates: []tls.Certificate{certificate(t)}}))
}

// shake completes the handshake of both sides.
func shake(t testing.TB, c *Conn, peer *tls.Conn) pair {
	shaken := make(chan error, 1)
	go func() { shaken <- peer.Handshake() }()
	if err := c.NetConn().(*tls.Conn).Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-shaken; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); peer.Close() })
	return pair{c: c, peer: peer}
}

// connect returns both ends of a new connection, the dialled one first.
func connect(t testing.TB, network, address string) [2]net.Conn {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return [2]net.Conn{dialled, accepted}
}

func watched(t testing.TB, ends [2]net.Conn) pair {
	p := pair{c: New(ends[0]), peer: ends[1]}
	t.Cleanup(func() { p.c.Close(); p.peer.Close() })
	return p
}

func certificate(t testing.TB) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// say sends text from the peer.
func (p pair) say(t testing.TB, text string) {
	t.Helper()
	if _, err := p.peer.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// hear reads as many bytes as want has at the peer and compares them.
func (p pair) hear(t testing.TB, want string) {
	t.Helper()
	p.peer.SetReadDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, len(want))
	for n := 0; n < len(got); {
		m, err := p.peer.Read(got[n:])
		if n += m; err != nil && n < len(got) {
			t.Fatalf("peer heard %q, then %v", got[:n], err)
		}
	}
	if string(got) != want {
		t.Fatalf("peer heard %q, want %q", got, want)
	}
}

// take fills until b holds want and consumes it.
func take(t testing.TB, c *Conn, b *buffer.Buffer, want string) {
	t.Helper()
	for b.Len() < len(want) {
		if err := c.Fill(b); err != nil {
			t.Fatalf("Fill: %v", err)
		}
	}
	if got := string(b.Bytes()); got != want {
		t.Fatalf("read %q, want %q", got, want)
	}
	b.Consume(len(want))
}

// await waits until something holds, for ten seconds at most.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not seen within 10 s: %s", what)
		}
	}
}

// soon returns what comes from a channel, within ten seconds.
func soon[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(10 * time.Second):
		t.Fatalf("not within 10 s: %s", what)
		panic("unreachable")
	}
}
