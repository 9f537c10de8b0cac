package h2

import (
	"fmt"
	"strings"
	"testing"
)

// TestTranscripts: what a client does on a connection or a stream, step by step,
// and what the state says to it.
func TestTranscripts(t *testing.T) {
	for _, test := range []struct{ name, steps string }{
		{"numbers rise, and are odd", "open 1: ok; open 5: ok; open 3: PROTOCOL_ERROR; open 6: PROTOCOL_ERROR"},
		{"the same number again", "open 1: ok; open 1: PROTOCOL_ERROR"},
		{"frames for idle and closed streams", "open 5: ok; unknown 3: ok; unknown 7: PROTOCOL_ERROR; unknown 2: PROTOCOL_ERROR"},
		{"nothing between the frames of a block", "block 1; frame 9 1: ok; frame 0 1: PROTOCOL_ERROR; frame 9 3: PROTOCOL_ERROR; frame 6 0: PROTOCOL_ERROR"},
		{"continuation of nothing", "frame 9 1: PROTOCOL_ERROR; frame 1 1: ok"},
		{"the connection's window", "grow 0: PROTOCOL_ERROR; grow 2147418112: ok; grow 1: FLOW_CONTROL_ERROR"},
		{"what the client may send", "take 1000000: ok; take 48576: ok; take 1: FLOW_CONTROL_ERROR"},
		{"the stream's window", "sgrow 0: PROTOCOL_ERROR; sgrow 2147483647: ok; sgrow 1: FLOW_CONTROL_ERROR"},
		{"a window that becomes negative", "sgrow 10: ok; shift -100: ok; shift 2147483647: ok; shift 91: FLOW_CONTROL_ERROR"},
		{"a body of any length", "data 10: ok; data 20 end: ok; data 1: STREAM_CLOSED"},
		{"a body beyond the window", "data 1000: ok; data 1: FLOW_CONTROL_ERROR"},
		{"a body that is longer than declared", "declare 5; data 6: PROTOCOL_ERROR"},
		{"a body that is shorter than declared", "declare 5; data 4 end: PROTOCOL_ERROR"},
		{"trailers after a body that is short", "declare 5; data 4: ok; trailers end: PROTOCOL_ERROR"},
		{"trailers end the stream", "data 4: ok; trailers: PROTOCOL_ERROR; trailers end: ok; trailers end: STREAM_CLOSED; data 0: STREAM_CLOSED"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var c Conn
			c.Begin(1 << 20)
			s := Stream{ID: 1, Granted: 1000, Declared: -1}
			for step := range strings.SplitSeq(test.steps, "; ") {
				do, want, _ := strings.Cut(step, ": ")
				if got := play(&c, &s, do); got != want {
					t.Fatalf("%s: %q, want %q", do, got, want)
				}
			}
		})
	}
}

// play does a step and returns the code of its fault, "ok", or "" where there is
// nothing to say.
func play(c *Conn, s *Stream, do string) string {
	var verb, rest string
	var n, m int64
	fmt.Sscan(do, &verb, &n, &m)
	if _, rest, _ = strings.Cut(do, " "); verb == "trailers" && rest == "end" {
		rest = " end"
	}
	end := strings.HasSuffix(rest, " end")
	var f *Fault
	switch verb {
	case "open":
		f = c.Open(uint32(n))
	case "unknown":
		f = c.Unknown(uint32(n))
	case "block":
		c.Block = uint32(n)
		return ""
	case "frame":
		f = c.Sequence(&Header{Type: Type(n), Stream: uint32(m)})
	case "grow":
		f = c.Grow(uint32(n))
	case "take":
		f = c.Take(int(n))
	case "sgrow":
		f = s.Grow(uint32(n))
	case "shift":
		f = s.Shift(n)
	case "declare":
		s.Declared = n
		return ""
	case "data":
		f = s.Data(int(n), int(n), end)
	case "trailers":
		f = s.Trailers(end)
	}
	if f == nil {
		return "ok"
	}
	return f.Code.String()
}

func TestBudgets(t *testing.T) {
	var b Budget
	const second = int64(1e9)
	spend := func(a Abuse, at int64) (n int) {
		for b.Spend(a, at) == nil {
			n++
		}
		return n
	}
	burst := int(allowances[PingFlood].burst)
	if n := spend(PingFlood, 5*second); n != burst {
		t.Errorf("%d at once", n)
	}
	if n := spend(PingFlood, 5*second+second/2); n != 0 {
		t.Errorf("%d more within the second", n)
	}
	if n := spend(PingFlood, 7*second); n == 0 || n > 2*int(allowances[PingFlood].perSecond) {
		t.Errorf("%d two seconds later", n)
	}
	if n := spend(PingFlood, 1_000_000*second); n != burst {
		t.Errorf("%d after a long time", n)
	}
	spend(RapidReset, 1_000_000*second)
	b.Earn(RapidReset, 10)
	if n := spend(RapidReset, 1_000_000*second); n > 10 {
		t.Errorf("%d for 10 that were earned", n)
	}
	for a := range numAbuses {
		if f := Calm(a); !f.Conn || f.Code != EnhanceYourCalm || f.Abuse != a || !strings.Contains(f.Error(), a.String()) {
			t.Errorf("%v: %+v", a, f)
		}
	}
}
