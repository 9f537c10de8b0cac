package sock

import (
	"net"
	"testing"
	"time"

	"sluice/proxy/buffer"
)

// echo answers whatever comes, until the peer's end.
func echo(nc net.Conn) {
	in := make([]byte, 4<<10)
	for {
		n, err := nc.Read(in)
		if err != nil {
			return
		}
		if _, err := nc.Write(in[:n]); err != nil {
			return
		}
	}
}

var question = make([]byte, 200)

// turn is one question and its answer, in two ways.
func turn(c *Conn, b *buffer.Buffer) error {
	c.SetTimeout(time.Minute)
	if _, err := c.Exchange(question, b); err != nil {
		return err
	}
	b.Consume(b.Len())
	return nil
}

func plainTurn(c *Conn, b *buffer.Buffer) error {
	c.SetTimeout(time.Minute)
	if _, err := c.Write(question); err != nil {
		return err
	}
	if err := c.Fill(b); err != nil {
		return err
	}
	b.Consume(b.Len())
	return nil
}

func BenchmarkExchange(b *testing.B)  { benchmark(b, turn) }
func BenchmarkWriteFill(b *testing.B) { benchmark(b, plainTurn) }

func benchmark(b *testing.B, turn func(*Conn, *buffer.Buffer) error) {
	p := tcpPair(b)
	go echo(p.peer)
	var in buffer.Buffer
	defer in.Free()
	b.ReportAllocs()
	for b.Loop() {
		if err := turn(p.c, &in); err != nil {
			b.Fatal(err)
		}
	}
	p.c.Close()
}

func BenchmarkQuiet(b *testing.B) {
	p := tcpPair(b)
	b.ReportAllocs()
	for b.Loop() {
		if !p.c.Quiet() {
			b.Fatal("not quiet")
		}
	}
}

func TestReadingAndWritingCostNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p := tcpPair(t)
	go echo(p.peer)
	var b buffer.Buffer
	for name, act := range map[string]func() error{
		"Exchange":       func() error { return turn(p.c, &b) },
		"Write and Fill": func() error { return plainTurn(p.c, &b) },
		"Quiet":          func() error { p.c.Quiet(); return nil },
	} {
		n := testing.AllocsPerRun(200, func() {
			if err := act(); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
	p.c.Close()
}
