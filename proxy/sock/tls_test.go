package sock

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"sluice/proxy/buffer"
)

// gate is a connection whose writes are held back until opened, so that records
// arrive cut and joined as a test wants.
type gate struct {
	net.Conn
	held bytes.Buffer
}

func (g *gate) Write(p []byte) (int, error) { return g.held.Write(p) }

// pass lets n of the held bytes through, all of them if n is negative.
func (g *gate) pass(t testing.TB, n int) {
	t.Helper()
	if n < 0 {
		n = g.held.Len()
	}
	g.SetWriteDeadline(time.Time{}) // which CloseWrite of TLS has set
	if _, err := g.Conn.Write(g.held.Next(n)); err != nil {
		t.Fatal(err)
	}
}

// gatedPair is a server's side whose client sends through a gate from now on.
func gatedPair(t testing.TB) (pair, *gate) {
	ends := connect(t, "tcp", "127.0.0.1:0")
	server := NewTLS(ends[1], tls.Server, &tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	g := &gate{Conn: ends[0]}
	through := &struct{ net.Conn }{ends[0]}
	client := tls.Client(through, &tls.Config{InsecureSkipVerify: true})
	p := shake(t, server, client)
	through.Conn = g
	return p, g
}

func TestEachTakesRecordsCutAnywhere(t *testing.T) {
	p, g := gatedPair(t)
	done := running(p)
	for cut := 1; cut < 24; cut++ {
		p.say(t, "hello")
		g.pass(t, cut)
		await(t, "the piece to be read", func() bool { return p.c.Quiet() })
		g.pass(t, -1)
		p.hear(t, "hello")
	}
	p.say(t, "the end")
	g.pass(t, -1)
	p.hear(t, "the end")
	if err := soon(t, "the end of Each", done); err != nil {
		t.Error(err)
	}
}

func TestEachTakesRecordsThatComeTogether(t *testing.T) {
	p, g := gatedPair(t)
	done := running(p)
	for range 10 {
		p.say(t, "one ")
		p.say(t, "two ")
		p.say(t, "three")
		g.pass(t, -1)
		p.hear(t, "one two three")
	}
	p.say(t, "the end") // and then the good end of TLS, in the same packet
	p.peer.(*tls.Conn).CloseWrite()
	g.pass(t, -1)
	p.hear(t, "the end")
	if err := soon(t, "the end of Each", done); err != nil {
		t.Error(err)
	}
	var b buffer.Buffer
	if err := p.c.Fill(&b); err != io.EOF {
		t.Errorf("then Fill returned %v, want EOF", err)
	}
}

func TestEachSeesTheEndOfTLSBehindBytes(t *testing.T) {
	p, g := gatedPair(t)
	done := running(p)
	p.say(t, "hello")
	p.peer.(*tls.Conn).CloseWrite()
	g.pass(t, -1)
	p.hear(t, "hello")
	if err := soon(t, "the end", done); err != io.EOF {
		t.Errorf("Each returned %v, want EOF", err)
	}
}

// A tampered record is an error, for good.
func TestEachRefusesABrokenRecord(t *testing.T) {
	p, g := gatedPair(t)
	done := running(p)
	p.say(t, "hello")
	g.held.Bytes()[8] ^= 1
	g.pass(t, -1)
	if err := soon(t, "the error", done); err == nil || err == io.EOF {
		t.Errorf("Each returned %v", err)
	}
	var b buffer.Buffer
	if err := p.c.Fill(&b); err == nil {
		t.Error("reading goes on")
	}
}

func TestFillOverTLSOwnsNoMemoryWhileItWaits(t *testing.T) {
	p := tlsPair(t)
	var b buffer.Buffer
	filled := make(chan error, 1)
	go func() { filled <- p.c.Fill(&b) }()
	p.c.StopReading()
	if err := soon(t, "the stop", filled); err == nil || cap(b.Bytes()) != 0 {
		t.Errorf("got %v, and memory for a buffer", err)
	}
	p.c.ResumeReading()
	p.say(t, "hello")
	take(t, p.c, &b, "hello")
}

// The library's own allocations, at both ends, are what a plain tls.Conn costs.
func TestTLSCostsNoAllocationOfOurs(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p := tlsClientPair(t)
	go echo(p.peer)
	var b buffer.Buffer
	library := p.c.NetConn()
	in := make([]byte, len(question))
	count := func(turn func() error) float64 {
		return testing.AllocsPerRun(200, func() {
			if err := turn(); err != nil {
				t.Fatal(err)
			}
		})
	}
	want := count(func() error {
		library.Write(question)
		_, err := io.ReadFull(library, in)
		return err
	})
	if got := count(func() error { return turn(p.c, &b) }); got > want {
		t.Errorf("%v allocations an exchange, the library alone makes %v", got, want)
	}
}

func BenchmarkEachTLS(b *testing.B) {
	p := tlsPair(b)
	go func() {
		var in buffer.Buffer
		repeat(p.c, &in)
	}()
	in := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		p.peer.Write(question)
		if _, err := io.ReadFull(p.peer, in); err != nil {
			b.Fatal(err)
		}
	}
}
