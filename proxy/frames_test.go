package proxy

import (
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// TestFramesAreFollowed: however a stream of frames is cut into pieces, the
// ends that are seen are those of the frames, as a reader of whole frames has
// them.
func TestFramesAreFollowed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var raw []byte
		ends, closed := map[int]bool{0: true}, map[int]bool{}
		for range rapid.IntRange(0, 6).Draw(t, "frames") {
			op := rapid.SampledFrom([]byte{0, 1, 2, 8, 9, 10}).Draw(t, "op")
			size := rapid.SampledFrom([]int{0, 1, 2, 125, 126, 127, 300, 65535, 65536, 70000}).Draw(t, "size")
			raw = append(raw, frame(op, make([]byte, size), rapid.Bool().Draw(t, "masked"))...)
			ends[len(raw)], closed[len(raw)] = true, op == 8
		}
		var f frames
		sawClose := false
		for at := 0; at < len(raw); {
			n := min(rapid.SampledFrom([]int{1, 2, 3, 7, 100, 5000, 1 << 20}).Draw(t, "piece"), len(raw)-at)
			if rapid.Bool().Draw(t, "rest") && !f.boundary() {
				n = f.passRest(raw[at : at+n])
			} else {
				f.pass(raw[at : at+n])
			}
			at += n
			if f.boundary() != ends[at] {
				t.Fatalf("after %d of %d bytes: at a boundary: %v", at, len(raw), f.boundary())
			}
			for end := range closed {
				sawClose = sawClose || closed[end] && end <= at
			}
			if f.boundary() && f.closed != sawClose {
				t.Fatalf("after %d bytes: closed %v", at, f.closed)
			}
		}
	})
}

func TestCloseFrames(t *testing.T) {
	if got := string(closeFrame(serviceRestart, false)); got != "\x88\x02\x03\xf4" {
		t.Errorf("%x", got)
	}
	for range 10 {
		f := closeFrame(goingAway, true)
		if len(f) != 8 || f[0] != 0x88 || f[1] != 0x82 {
			t.Fatalf("%x", f)
		}
		if code := binary.BigEndian.Uint16(f[6:]) ^ binary.BigEndian.Uint16(f[2:]); code != 1001 {
			t.Errorf("code %d", code)
		}
	}
}

// FuzzFrames: whatever passes, nothing panics, and the same bytes in two pieces
// come to the same.
func FuzzFrames(f *testing.F) {
	f.Add(frame(1, []byte("hello"), true), 3)
	f.Add([]byte{0x82, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 4)
	f.Fuzz(func(t *testing.T, p []byte, at int) {
		var whole, pieces frames
		whole.pass(p)
		at = min(max(at, 0), len(p))
		pieces.pass(p[:at])
		pieces.pass(p[at:])
		if whole.left != pieces.left || whole.n != pieces.n || whole.closed != pieces.closed {
			t.Fatalf("%+v and %+v", whole, pieces)
		}
	})
}
