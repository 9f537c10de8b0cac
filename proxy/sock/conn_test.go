package sock

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/proxy/buffer"
)

func TestFill(t *testing.T) {
	onEach(t, func(t *testing.T, p pair) {
		var b buffer.Buffer
		p.say(t, "one")
		take(t, p.c, &b, "one")

		// It waits for the first byte.
		filled := make(chan error)
		go func() { filled <- p.c.Fill(&b) }()
		p.say(t, "two")
		if err := soon(t, "Fill", filled); err != nil {
			t.Fatal(err)
		}
		take(t, p.c, &b, "two")

		// What came with the end of the stream is read before the end.
		p.say(t, "three")
		p.peer.Close()
		take(t, p.c, &b, "three")
		for range 2 {
			if err := p.c.Fill(&b); err != io.EOF {
				t.Errorf("at the end: %v, want EOF", err)
			}
		}
	})
}

func TestFillAddsToWhatWaits(t *testing.T) {
	onEach(t, func(t *testing.T, p pair) {
		var b buffer.Buffer
		p.say(t, "GET /")
		if err := p.c.Fill(&b); err != nil {
			t.Fatal(err)
		}
		p.say(t, " HTTP/1.1")
		take(t, p.c, &b, "GET / HTTP/1.1")
	})
}

func TestFillStopsAtAFullBuffer(t *testing.T) {
	onEach(t, func(t *testing.T, p pair) {
		go p.peer.Write(make([]byte, buffer.Large+1))
		var b buffer.Buffer
		defer b.Free()
		for !b.Full() {
			if err := p.c.Fill(&b); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.c.Fill(&b); err != io.ErrShortBuffer {
			t.Fatalf("into a full buffer: %v", err)
		}
		b.Consume(buffer.Large)
		if err := p.c.Fill(&b); err != nil || b.Len() != 1 {
			t.Errorf("after it was emptied: %d bytes, %v", b.Len(), err)
		}
	})
}

func TestFillOwnsNoMemoryAfterATimeout(t *testing.T) {
	onEach(t, func(t *testing.T, p pair) {
		var b buffer.Buffer
		p.c.SetTimeout(time.Millisecond)
		if err := p.c.Fill(&b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		if cap(b.Bytes()) != 0 {
			t.Errorf("an empty buffer holds %d bytes of memory", cap(b.Bytes()))
		}
	})
}

func TestFillReportsAReset(t *testing.T) {
	p := tcpPair(t)
	p.peer.(*net.TCPConn).SetLinger(0)
	p.peer.Close()
	var b buffer.Buffer
	if err := p.c.Fill(&b); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want ECONNRESET", err)
	}
}

func TestExchange(t *testing.T) {
	onEach(t, func(t *testing.T, p pair) {
		go func() {
			in := make([]byte, 100)
			for {
				n, err := p.peer.Read(in)
				if err != nil {
					return
				}
				p.peer.Write([]byte(strings.ToUpper(string(in[:n]))))
			}
		}()
		var b buffer.Buffer
		for i := range 100 {
			q := fmt.Sprintf("question %d", i)
			n, err := p.c.Exchange([]byte(q), &b)
			if n != len(q) || err != nil {
				t.Fatalf("Exchange: %d, %v", n, err)
			}
			take(t, p.c, &b, strings.ToUpper(q))
		}
		p.c.Close()
	})
}

func TestExchangeOfNothingIsFill(t *testing.T) {
	onEach(t, func(t *testing.T, p pair) {
		p.say(t, "hello")
		await(t, "the bytes", func() bool { return p.c.raw == nil || !p.c.Quiet() })
		var b buffer.Buffer
		if n, err := p.c.Exchange([]byte{}, &b); n != 0 || err != nil || string(b.Bytes()) != "hello" {
			t.Errorf("got %d, %v, %q", n, err, b.Bytes())
		}
	})
}

// What the peer did before the write must neither be lost nor pass for the
// answer.
func TestExchangeOnASpoiledConnection(t *testing.T) {
	tcp := func(p pair) *net.TCPConn {
		if over, ok := p.peer.(*tls.Conn); ok {
			return over.NetConn().(*net.TCPConn)
		}
		return p.peer.(*net.TCPConn)
	}
	type kind struct {
		open func(testing.TB) pair
		act  func(pair)
	}
	cases := map[string]kind{}
	for over, open := range map[string]func(testing.TB) pair{"tcp": tcpPair, "tls": tlsPair} {
		cases["closed, "+over] = kind{open, func(p pair) { p.peer.Close() }}
		cases["answered and closed, "+over] = kind{open, func(p pair) { p.peer.Write([]byte("408")); p.peer.Close() }}
		cases["lingering close, "+over] = kind{open, func(p pair) { p.peer.(interface{ CloseWrite() error }).CloseWrite() }}
		cases["answered unasked, "+over] = kind{open, func(p pair) { p.peer.Write([]byte("408")) }}
		cases["reset, "+over] = kind{open, func(p pair) { tcp(p).SetLinger(0); tcp(p).Close() }}
	}
	for name, k := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := k.open(t)
			k.act(p)
			await(t, "what the peer did", func() bool { return !p.c.Quiet() })
			p.c.SetTimeout(30 * time.Second)
			var b buffer.Buffer
			n, err := p.c.Exchange([]byte("hello"), &b)
			if n != 0 || b.Len() != 0 || !errors.Is(err, ErrSpoiled) {
				t.Fatalf("got %d, %q, %v; want 0, nothing, ErrSpoiled", n, b.Bytes(), err)
			}
		})
	}
}

// A message larger than the socket's buffers is written whole while the peer
// takes its time.
func TestExchangeOfMoreThanTheSocketHolds(t *testing.T) {
	onEach(t, func(t *testing.T, p pair) {
		question := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		heard := make(chan error, 1)
		go func() {
			got := make([]byte, len(question))
			_, err := io.ReadFull(p.peer, got)
			if err == nil && !bytes.Equal(got, question) {
				err = errors.New("the peer got something else")
			}
			p.peer.Write([]byte("thanks"))
			heard <- err
		}()
		var b buffer.Buffer
		n, err := p.c.Exchange(question, &b)
		if n != len(question) || err != nil {
			t.Fatalf("Exchange: %d, %v", n, err)
		}
		take(t, p.c, &b, "thanks")
		if err := soon(t, "the peer", heard); err != nil {
			t.Error(err)
		}
	})
}

// A peer that takes nothing more: the first write is partial, or finds no room
// at all, and what is written is told.
func TestExchangeWithAFullSocketTimesOut(t *testing.T) {
	for _, open := range []func(testing.TB) pair{tcpPair, unixPair} {
		p := open(t)
		question := make([]byte, 16<<20)
		p.c.SetTimeout(4 * Tick)
		var b buffer.Buffer
		n, err := p.c.Exchange(question, &b)
		if n <= 0 || n >= len(question) || !errors.Is(err, os.ErrDeadlineExceeded) || !p.c.TimedOut() {
			t.Errorf("got %d, %v, timed out %v", n, err, p.c.TimedOut())
		}
		heard := make(chan int, 1)
		go func() {
			m, _ := io.Copy(io.Discard, p.peer)
			heard <- int(m)
		}()
		p.c.Close()
		if m := soon(t, "the peer", heard); m != n {
			t.Errorf("the peer got %d bytes, written were %d", m, n)
		}
	}
}

func TestExchangeWithAPeerThatReset(t *testing.T) {
	p := tcpPair(t)
	p.peer.(*net.TCPConn).SetLinger(0)
	p.peer.Close()
	await(t, "the reset", func() bool { return !p.c.Quiet() })
	var b buffer.Buffer
	if _, err := p.c.Exchange([]byte("hello"), &b); err == nil {
		t.Error("no error")
	}
}

func TestQuiet(t *testing.T) {
	for _, open := range []func(testing.TB) pair{tcpPair, unixPair} {
		p := open(t)
		if !p.c.Quiet() {
			t.Error("a new connection is not quiet")
		}
		p.say(t, "x")
		await(t, "not quiet with a byte to read", func() bool { return !p.c.Quiet() })
		var b buffer.Buffer
		take(t, p.c, &b, "x") // Quiet took nothing
		if !p.c.Quiet() {
			t.Error("not quiet again")
		}
		p.peer.Close()
		await(t, "not quiet at the end", func() bool { return !p.c.Quiet() })
		p.c.Close()
		if p.c.Quiet() {
			t.Error("a closed connection is quiet")
		}
	}
	in, out := net.Pipe()
	defer out.Close()
	c := New(in)
	defer c.Close()
	if !c.Quiet() {
		t.Error("where it cannot look it is not quiet")
	}
}

func TestSplice(t *testing.T) {
	src, dst := tcpPair(t), tcpPair(t)
	if !dst.c.CanSplice(src.c) {
		t.Fatal("TCP connections cannot splice")
	}
	const size = 3<<20 + 7
	body := bytes.Repeat([]byte("sluice!"), size/7+1)[:size]
	go func() {
		src.peer.Write(body)
		src.peer.Write([]byte("next"))
	}()
	received := make(chan []byte, 1)
	go func() {
		got := make([]byte, size)
		io.ReadFull(dst.peer, got)
		received <- got
	}()
	var lim io.LimitedReader
	for left := int64(size); left > 0; {
		n, err := dst.c.Splice(src.c, min(left, 1<<20), &lim)
		if err != nil || n != min(left, 1<<20) {
			t.Fatalf("Splice: %d, %v", n, err)
		}
		left -= n
	}
	if got := soon(t, "the body", received); !bytes.Equal(got, body) {
		t.Error("the body changed on its way")
	}
	var b buffer.Buffer
	take(t, src.c, &b, "next") // not a byte more was moved
	if n, err := dst.c.Splice(src.c, 0, &lim); n != 0 || err != nil {
		t.Errorf("of nothing: %d, %v", n, err)
	}

	src.say(t, "cut")
	src.peer.Close()
	if n, err := dst.c.Splice(src.c, 100, &lim); n != 3 || err != io.ErrUnexpectedEOF {
		t.Errorf("of a body cut off: %d, %v; want 3, unexpected EOF", n, err)
	}
	dst.hear(t, "cut")
}

func TestSpliceTimesOut(t *testing.T) {
	src, dst := tcpPair(t), tcpPair(t)
	var lim io.LimitedReader
	src.c.SetTimeout(2 * Tick)
	if _, err := dst.c.Splice(src.c, 100, &lim); !errors.Is(err, os.ErrDeadlineExceeded) || !src.c.TimedOut() || dst.c.TimedOut() {
		t.Errorf("from a silent peer: %v", err)
	}
	src = tcpPair(t)
	go io.Copy(src.peer, zeros{})
	dst.c.SetTimeout(4 * Tick)
	if _, err := dst.c.Splice(src.c, 1<<40, &lim); !errors.Is(err, os.ErrDeadlineExceeded) || !dst.c.TimedOut() {
		t.Errorf("to a peer that takes nothing: %v", err)
	}
	src.c.Close()
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestOnlyTCPCanSplice(t *testing.T) {
	tcp, unix, over := tcpPair(t), unixPair(t), tlsPair(t)
	for _, p := range []pair{unix, over} {
		if p.c.CanSplice(tcp.c) || tcp.c.CanSplice(p.c) {
			t.Errorf("%T can splice", p.c.NetConn())
		}
	}
}

func TestCloseWrite(t *testing.T) {
	onEach(t, func(t *testing.T, p pair) {
		if err := p.c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err := p.peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatalf("the peer read %d, %v; want EOF", n, err)
		}
		p.say(t, "still here")
		var b buffer.Buffer
		take(t, p.c, &b, "still here")
	})
}

// Close ends what another goroutine waits in, and returns itself.
func TestCloseEndsWaits(t *testing.T) {
	waits := map[string]func(*Conn) error{
		"Fill":     func(c *Conn) error { return c.Fill(new(buffer.Buffer)) },
		"Exchange": func(c *Conn) error { _, err := c.Exchange([]byte("x"), new(buffer.Buffer)); return err },
		"Write": func(c *Conn) error {
			for {
				if _, err := c.Write(make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		},
	}
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, p pair) {
				ended := make(chan error, 1)
				go func() { ended <- wait(p.c) }()
				if name != "Fill" {
					p.peer.Read(make([]byte, 1)) // it has begun
				}
				closed := make(chan error, 1)
				go func() { closed <- p.c.Close() }()
				soon(t, "Close", closed)
				if err := soon(t, "the wait's end", ended); err == nil {
					t.Error("the wait ended without an error")
				}
				if err := p.c.Close(); err == nil && name == "Fill" && p.c.raw != nil {
					t.Error("a second Close says that it did something")
				}
			})
		})
	}
}

func TestStopReading(t *testing.T) {
	onEach(t, func(t *testing.T, p pair) {
		stopped := make(chan error, 1)
		go func() { stopped <- p.c.Fill(new(buffer.Buffer)) }()
		p.c.StopReading()
		if err := soon(t, "the read's end", stopped); !errors.Is(err, os.ErrDeadlineExceeded) || p.c.TimedOut() {
			t.Errorf("%v, timed out %v", err, p.c.TimedOut())
		}
		p.c.ResumeReading()
		p.say(t, "again")
		var b buffer.Buffer
		take(t, p.c, &b, "again")

		p.c.SetTimeout(time.Millisecond)
		await(t, "the timeout", p.c.TimedOut)
		p.c.ResumeReading()
		if err := p.c.Fill(&b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reading was resumed after a timeout: %v", err)
		}
		p.c.LastWrite([]byte("bye"))
		p.hear(t, "bye")
	})
}

func TestReset(t *testing.T) {
	p := tcpPair(t)
	p.say(t, "x")
	p.c.Reset()
	if err := p.c.Fill(new(buffer.Buffer)); err == nil {
		t.Error("reading goes on after Reset")
	}
	p.c.Close()
	if _, err := p.peer.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer sees %v, want a reset", err)
	}
}

// Many connections exchange while others are closed, timed out and hung up
// under their users. Every answer must be the one to its question.
func TestHammer(t *testing.T) {
	var answers atomic.Int64
	warm := make(chan struct{})
	var users sync.WaitGroup
	for u := range 24 {
		p := kinds[u%len(kinds)].open(t)
		go func() {
			in := make([]byte, 1<<10)
			for i := 0; ; i++ {
				n, err := p.peer.Read(in)
				if err != nil {
					return
				}
				p.peer.Write(in[:n])
				if u%6 == 1 && i == 100 {
					p.peer.Close()
				}
			}
		}()
		switch u % 6 {
		case 2:
			users.Go(func() { <-warm; p.c.Close() })
		case 3:
			users.Go(func() { <-warm; p.c.Abort() })
		}
		users.Go(func() {
			var b buffer.Buffer
			defer b.Free()
			defer p.c.Close()
			for i := range 500 {
				p.c.SetTimeout(time.Minute)
				q := fmt.Sprintf("user %d, question %d", u, i)
				_, err := p.c.Exchange([]byte(q), &b)
				for err == nil && b.Len() < len(q) {
					err = p.c.Fill(&b)
				}
				if err != nil {
					if u%6 == 0 || u%6 > 3 {
						t.Errorf("user %d, question %d: %v", u, i, err)
					}
					return
				}
				if got := string(b.Bytes()); got != q {
					t.Errorf("asked %q, got %q", q, got)
					return
				}
				b.Consume(len(q))
				if answers.Add(1) == 500 {
					close(warm)
				}
			}
		})
	}
	users.Wait()
}
