package sock

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"sluice/proxy/buffer"
)

// TestPreamble takes what judge says, however it comes, and not a byte more.
func TestPreamble(t *testing.T) {
	for name, open := range map[string]func(testing.TB) pair{"tcp": tcpPair, "unix": unixPair} {
		for _, long := range []string{"", strings.Repeat("x", 300)} {
			for _, size := range []int{1, 3, 1000} {
				t.Run(name, func(t *testing.T) {
					p := open(t)
					got := make(chan error, 1)
					var seen []byte
					go func() {
						got <- p.c.Preamble(16, func(b []byte) (int, bool) {
							seen = bytes.Clone(b)
							return len("hello"+long) + 1, bytes.ContainsAny(b, ".x")
						})
					}()
					for rest := "hello" + long + "."; rest != ""; {
						n := min(size, len(rest))
						p.say(t, rest[:n])
						rest = rest[n:]
					}
					if err := soon(t, "Preamble", got); err != nil || !strings.HasPrefix("hello"+long+".", string(seen)) {
						t.Fatalf("%v, having seen %q", err, seen)
					}
					var b buffer.Buffer
					p.say(t, "rest")
					take(t, p.c, &b, "rest")
				})
			}
		}
	}
}

func TestPreambleThatIsNone(t *testing.T) {
	p := tcpPair(t)
	p.say(t, "GET /")
	if err := p.c.Preamble(16, func([]byte) (int, bool) { return 0, true }); err != nil {
		t.Fatal(err)
	}
	var b buffer.Buffer
	take(t, p.c, &b, "GET /")
}

func TestPreambleThatEnds(t *testing.T) {
	never := func(p []byte) (int, bool) { return 0, false }
	p := tcpPair(t)
	p.peer.Close()
	if err := p.c.Preamble(16, never); !errors.Is(err, io.EOF) {
		t.Errorf("of a peer that has left: %v", err)
	}
	p = tcpPair(t)
	p.say(t, "half")
	p.c.SetTimeout(2 * Tick)
	began := time.Now()
	if err := p.c.Preamble(16, never); !errors.Is(err, os.ErrDeadlineExceeded) || !p.c.TimedOut() {
		t.Errorf("of a peer that stops: %v after %v", err, time.Since(began))
	}
	p = tcpPair(t)
	p.say(t, "half")
	p.peer.Close()
	if err := p.c.Preamble(16, func([]byte) (int, bool) { return 8, true }); !errors.Is(err, io.EOF) {
		t.Errorf("of a peer that has left in the middle: %v", err)
	}
}
