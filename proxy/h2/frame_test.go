package h2

import (
	"bytes"
	"testing"

	"golang.org/x/net/http2"
	"pgregory.net/rapid"
)

func TestHeadersAreJudgedBeforeTheirPayload(t *testing.T) {
	for _, test := range []struct {
		h    Header
		want *Fault
	}{
		{Header{Length: 5, Type: Data, Stream: 1}, nil},
		{Header{Length: MaxPayload + 1, Type: Data, Stream: 1}, frameTooLong},
		{Header{Length: MaxPayload + 1, Type: 0x50}, frameTooLong},
		{Header{Type: Data}, needsStream},
		{Header{Type: Headers}, needsStream},
		{Header{Type: Continuation}, needsStream},
		{Header{Type: Priority, Length: 5}, needsStream},
		{Header{Type: Priority, Length: 4, Stream: 1}, prioritySize},
		{Header{Type: Priority, Length: 5, Stream: 1}, nil},
		{Header{Type: ResetStream, Length: 4}, needsStream},
		{Header{Type: ResetStream, Length: 5, Stream: 1}, frameSize},
		{Header{Type: SettingsFrame, Length: 6}, nil},
		{Header{Type: SettingsFrame, Length: 5}, frameSize},
		{Header{Type: SettingsFrame, Length: 6, Flags: Ack}, frameSize},
		{Header{Type: SettingsFrame, Stream: 1}, needsConn},
		{Header{Type: PushPromise, Stream: 1, Length: 8}, pushed},
		{Header{Type: Ping, Length: 8}, nil},
		{Header{Type: Ping, Length: 7}, frameSize},
		{Header{Type: Ping, Length: 8, Stream: 3}, needsConn},
		{Header{Type: GoAway, Length: 7}, frameSize},
		{Header{Type: GoAway, Length: 9}, nil},
		{Header{Type: GoAway, Length: 8, Stream: 1}, needsConn},
		{Header{Type: WindowUpdate, Length: 4}, nil},
		{Header{Type: WindowUpdate, Length: 3}, frameSize},
		{Header{Type: 0x50, Length: 100, Stream: 7}, nil},
	} {
		if got := test.h.Check(); got != test.want {
			t.Errorf("%+v: %v, want %v", test.h, got, test.want)
		}
	}
}

func TestPadding(t *testing.T) {
	for _, test := range []struct {
		payload, data string
		fault         *Fault
	}{
		{"\x00ab", "ab", nil},
		{"\x01ab", "a", nil},
		{"\x02ab", "", nil},
		{"\x03ab", "", badPadding},
		{"", "", frameSize},
	} {
		h := Header{Type: Data, Flags: Padded, Stream: 1}
		data, fault := h.DataPayload([]byte(test.payload))
		if string(data) != test.data || fault != test.fault {
			t.Errorf("%q: %q, %v", test.payload, data, fault)
		}
	}
}

func TestPriorityInHeaders(t *testing.T) {
	h := Header{Type: Headers, Flags: Dependency | Padded, Stream: 3}
	if p, fault := h.HeadersPayload([]byte("\x01\x80\x00\x00\x01\x10block!")); string(p) != "block" || fault != nil {
		t.Errorf("%q, %v", p, fault)
	}
	if p, fault := h.HeadersPayload([]byte("\x00\x80\x00\x00\x03\x10block")); string(p) != "block" || fault != onSelf {
		t.Errorf("%q, %v", p, fault)
	}
	if _, fault := h.HeadersPayload([]byte("\x00\x00\x00\x03")); fault != frameSize {
		t.Error(fault)
	}
}

// TestFramesAgainstATwin: what is written reads as x/net reads it.
func TestFramesAgainstATwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		block := rapid.SliceOfN(rapid.Byte(), 0, 40_000).Draw(t, "block")
		data := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data")
		end := rapid.Bool().Draw(t, "end")
		dst := []byte("before")
		mark := len(dst)
		dst = append(append(dst, make([]byte, HeaderLen)...), block...)
		dst = FinishHeaders(dst, mark, 5, end)
		dst = AppendData(dst, 5, data, !end)
		dst = AppendReset(dst, 7, EnhanceYourCalm)
		dst = AppendWindowUpdate(dst, 9, 77)
		dst = AppendPing(dst, Ack, []byte("12345678"))
		dst = AppendGoAway(dst, 11, Cancel)
		fr := http2.NewFramer(nil, bytes.NewReader(dst[mark:]))
		fr.AllowIllegalReads = true
		next := func() http2.Frame {
			f, err := fr.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		h := next().(*http2.HeadersFrame)
		got, ended := bytes.Clone(h.HeaderBlockFragment()), h.HeadersEnded()
		if h.StreamEnded() != end || h.StreamID != 5 {
			t.Fatalf("%v", h)
		}
		for !ended {
			c := next().(*http2.ContinuationFrame)
			got, ended = append(got, c.HeaderBlockFragment()...), c.HeadersEnded()
		}
		if !bytes.Equal(got, block) {
			t.Fatalf("%d bytes of a block of %d", len(got), len(block))
		}
		if d := next().(*http2.DataFrame); !bytes.Equal(d.Data(), data) || d.StreamEnded() == end {
			t.Fatalf("%v", d)
		}
		if r := next().(*http2.RSTStreamFrame); r.StreamID != 7 || r.ErrCode != http2.ErrCodeEnhanceYourCalm {
			t.Fatalf("%v", r)
		}
		if w := next().(*http2.WindowUpdateFrame); w.StreamID != 9 || w.Increment != 77 {
			t.Fatalf("%v", w)
		}
		if p := next().(*http2.PingFrame); !p.IsAck() || string(p.Data[:]) != "12345678" {
			t.Fatalf("%v", p)
		}
		if g := next().(*http2.GoAwayFrame); g.LastStreamID != 11 || g.ErrCode != http2.ErrCodeCancel {
			t.Fatalf("%v", g)
		}
	})
}

func TestSettings(t *testing.T) {
	s := DefaultSettings
	p := AppendSetting(AppendSetting(AppendSetting(nil, InitialWindowSize, 1000), HeaderTableSize, 1<<30), 0xabcd, 5)
	if fault := s.Apply(p); fault != nil || s.InitialWindow != 1000 || s.TableLowered {
		t.Errorf("%v, %+v", fault, s)
	}
	for id, bad := range map[Setting]struct {
		value uint32
		want  *Fault
	}{
		EnablePush: {2, badPush}, InitialWindowSize: {1 << 31, badWindow}, MaxFrameSize: {16383, badFrameSize}, EnableConnect: {2, badConnect},
	} {
		if fault := s.Apply(AppendSetting(nil, id, bad.value)); fault != bad.want {
			t.Errorf("setting %d of %d: %v", id, bad.value, fault)
		}
	}
	if fault := s.Apply(AppendSetting(nil, MaxFrameSize, 1<<24)); fault != badFrameSize {
		t.Error(fault)
	}
}

// FuzzFrames takes in whatever bytes as frames: no panic, and every fragment
// lies in its payload.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x00\x00\x05\x00\x09\x00\x00\x00\x01\x01ab\x00c"))
	f.Add(AppendData(nil, 1, []byte("data"), true))
	f.Add([]byte("\x00\x00\x07\x01\x2d\x00\x00\x00\x01\x00\x00\x00\x00\x01\x10x"))
	f.Add(append(AppendHeader(nil, 6, SettingsFrame, 0, 0), AppendSetting(nil, InitialWindowSize, 1<<31)...))
	f.Fuzz(func(t *testing.T, p []byte) {
		var c Conn
		c.Begin(1 << 20)
		s := Stream{ID: 1, Granted: 1 << 18, Declared: -1}
		for len(p) >= HeaderLen {
			h := ParseHeader(p)
			fault := h.Check()
			if fault != nil && fault.Conn || len(p) < HeaderLen+h.Length {
				return
			}
			payload := p[HeaderLen : HeaderLen+h.Length]
			p = p[HeaderLen+h.Length:]
			if fault != nil || c.Sequence(&h) != nil {
				continue
			}
			switch h.Type {
			case Data:
				if data, fault := h.DataPayload(payload); fault == nil {
					if len(data) > len(payload) {
						t.Fatal("more data than payload")
					}
					s.Data(len(data), h.Length, h.Flags.Has(EndStream))
				}
			case Headers:
				h.HeadersPayload(payload)
			case Priority:
				CheckPriority(h.Stream, payload)
			case SettingsFrame:
				c.Peer.Apply(payload)
			case WindowUpdate:
				c.Grow(Increment(payload))
				s.Grow(Increment(payload))
			case ResetStream:
				_ = ErrorCode(payload).String()
			}
		}
		if s.Declared >= 0 && s.Length > s.Declared {
			t.Fatal("more than declared")
		}
	})
}
