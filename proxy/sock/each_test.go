package sock

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"sluice/proxy/buffer"
)

// repeat runs Each on a connection: it answers each read with what it read, until
// "end".
func repeat(c *Conn, b *buffer.Buffer) error {
	return c.Each(b, func() bool {
		got := bytes.Clone(b.Bytes())
		b.Consume(len(got))
		c.Write(got)
		return !bytes.HasSuffix(got, []byte("end"))
	})
}

// running starts repeat and returns its result.
func running(p pair) <-chan error {
	done := make(chan error, 1)
	go func() {
		var b buffer.Buffer
		done <- repeat(p.c, &b)
		b.Free()
	}()
	return done
}

func TestEachHandlesWhatComesUntilToldToStop(t *testing.T) {
	for name, p := range map[string]pair{"tcp": tcpPair(t), "tls": tlsPair(t), "unix": unixPair(t)} {
		t.Run(name, func(t *testing.T) {
			done := running(p)
			for _, text := range []string{"one", "two", "three"} {
				p.say(t, text)
				p.hear(t, text)
			}
			p.say(t, "the end")
			p.hear(t, "the end")
			if err := soon(t, "the end of Each", done); err != nil {
				t.Errorf("Each returned %v", err)
			}
			var b buffer.Buffer // and then reads are possible again
			p.say(t, "more")
			take(t, p.c, &b, "more")
		})
	}
}

// Bytes that come while handle works are no news after it.
func TestEachMissesNothingWhileHandleWorks(t *testing.T) {
	p := tcpPair(t)
	var b buffer.Buffer
	var got strings.Builder
	done := make(chan error, 1)
	go func() {
		done <- p.c.Each(&b, func() bool {
			got.Write(b.Bytes())
			b.Consume(b.Len())
			if got.Len() < 1000 {
				p.peer.Write([]byte("x")) // behind the read that is being handled
			}
			return got.Len() < 1000
		})
	}()
	p.say(t, "x")
	if err := soon(t, "a thousand bytes", done); err != nil || got.Len() != 1000 {
		t.Errorf("got %d bytes and %v", got.Len(), err)
	}
}

// A read that fills the memory may have left some behind.
func TestEachReadsOnAfterAFullRead(t *testing.T) {
	p := tcpPair(t)
	const size = 300 << 10
	go p.peer.Write(bytes.Repeat([]byte("x"), size))
	var b buffer.Buffer
	n := 0
	done := make(chan error, 1)
	go func() {
		done <- p.c.Each(&b, func() bool {
			n += b.Len()
			b.Consume(b.Len())
			return n < size
		})
	}()
	if err := soon(t, "all bytes", done); err != nil || n != size {
		t.Errorf("got %d bytes and %v", n, err)
	}
}

func TestEachReportsTheEnd(t *testing.T) {
	p := tcpPair(t)
	done := running(p)
	p.say(t, "hello")
	p.hear(t, "hello")
	p.peer.Close()
	if err := soon(t, "the end", done); err != io.EOF {
		t.Errorf("Each returned %v", err)
	}
}

// The end of the stream that comes in one notice with the last bytes is found
// by the sweeper.
func TestEachFindsAnEndBehindBytes(t *testing.T) {
	p := tcpPair(t)
	p.say(t, "hello")
	p.peer.(*net.TCPConn).CloseWrite()
	await(t, "both", func() bool { return !p.c.Quiet() })
	done := running(p)
	p.hear(t, "hello")
	if err := soon(t, "the end", done); err != io.EOF {
		t.Errorf("Each returned %v", err)
	}
}

func TestEachCanBeStoppedAndGoOn(t *testing.T) {
	p := tcpPair(t)
	done := running(p)
	p.say(t, "hello")
	p.hear(t, "hello")
	p.c.StopReading()
	if err := soon(t, "the stop", done); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Each returned %v", err)
	}
	p.c.ResumeReading()
	done = running(p)
	p.say(t, "the end")
	p.hear(t, "the end")
	if err := soon(t, "the end of Each", done); err != nil {
		t.Errorf("Each returned %v", err)
	}
}
