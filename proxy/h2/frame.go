package h2

import "encoding/binary"

// Header is the header of a frame (RFC 9113, section 4.1).
type Header struct {
	Length int // of the payload, in bytes
	Type   Type
	Flags  Flags
	Stream uint32 // 0: the connection
}

// ParseHeader reads the header at the start of p, which has at least HeaderLen
// bytes.
func ParseHeader(p []byte) Header {
	return Header{
		Length: int(p[0])<<16 | int(p[1])<<8 | int(p[2]),
		Type:   Type(p[3]),
		Flags:  Flags(p[4]),
		Stream: binary.BigEndian.Uint32(p[5:]) & MaxWindow, // the reserved bit is ignored
	}
}

// Check judges what a header tells before the payload has come: a frame that
// is too long is refused and not awaited.
func (h *Header) Check() *Fault {
	if h.Length > MaxPayload {
		return frameTooLong
	}
	switch h.Type {
	case Data, Headers, Continuation:
		return h.onStream(true, true)
	case Priority:
		if f := h.onStream(true, true); f != nil || h.Length == 5 {
			return f
		}
		return prioritySize
	case ResetStream:
		return h.onStream(true, h.Length == 4)
	case SettingsFrame:
		return h.onStream(false, h.Length%6 == 0 && (h.Length == 0 || !h.Flags.Has(Ack)))
	case PushPromise:
		return pushed
	case Ping:
		return h.onStream(false, h.Length == 8)
	case GoAway:
		return h.onStream(false, h.Length >= 8)
	case WindowUpdate:
		if h.Length != 4 {
			return frameSize
		}
	}
	return nil
}

// onStream judges whether the frame is where it belongs, on a stream or on the
// connection, and as long as it should be.
func (h *Header) onStream(want, size bool) *Fault {
	switch {
	case want && h.Stream == 0:
		return needsStream
	case !want && h.Stream != 0:
		return needsConn
	case !size:
		return frameSize
	}
	return nil
}

// DataPayload returns the data in a DATA frame's payload without its padding.
func (h *Header) DataPayload(p []byte) ([]byte, *Fault) {
	if !h.Flags.Has(Padded) {
		return p, nil
	}
	return cutPadding(p)
}

func cutPadding(p []byte) ([]byte, *Fault) {
	if len(p) == 0 {
		return nil, frameSize
	}
	pad := int(p[0])
	if pad > len(p)-1 {
		return nil, badPadding
	}
	return p[1 : len(p)-pad], nil
}

// HeadersPayload returns the fragment of a header block in a HEADERS frame's
// payload, without padding and priority. A stream that depends on itself is a
// fault of the stream, for which the fragment is returned all the same: each
// block must be decoded, or the table of the decoder is no longer the client's.
func (h *Header) HeadersPayload(p []byte) (fragment []byte, f *Fault) {
	if h.Flags.Has(Padded) {
		if p, f = cutPadding(p); f != nil {
			return nil, f
		}
	}
	if !h.Flags.Has(Dependency) {
		return p, nil
	}
	if len(p) < 5 {
		return nil, frameSize
	}
	return p[5:], CheckPriority(h.Stream, p)
}

// CheckPriority judges the priority at the start of p (RFC 9113, section 6.3).
// Priorities have no other effect.
func CheckPriority(stream uint32, p []byte) *Fault {
	if binary.BigEndian.Uint32(p)&MaxWindow == stream {
		return onSelf
	}
	return nil
}

// Increment returns the increment in a WINDOW_UPDATE's payload.
func Increment(p []byte) uint32 { return binary.BigEndian.Uint32(p) & MaxWindow }

// ErrorCode returns the code in a RST_STREAM's payload.
func ErrorCode(p []byte) Code { return Code(binary.BigEndian.Uint32(p)) }

// AppendHeader appends a frame header.
func AppendHeader(dst []byte, length int, t Type, f Flags, stream uint32) []byte {
	return append(dst, byte(length>>16), byte(length>>8), byte(length), byte(t), byte(f),
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

// AppendData appends a DATA frame; p is at most MaxPayload bytes long.
func AppendData(dst []byte, stream uint32, p []byte, end bool) []byte {
	f := Flags(0)
	if end {
		f = EndStream
	}
	return append(AppendHeader(dst, len(p), Data, f, stream), p...)
}

// AppendReset appends a RST_STREAM frame.
func AppendReset(dst []byte, stream uint32, c Code) []byte {
	dst = AppendHeader(dst, 4, ResetStream, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(c))
}

// AppendWindowUpdate appends a WINDOW_UPDATE frame.
func AppendWindowUpdate(dst []byte, stream uint32, n int) []byte {
	dst = AppendHeader(dst, 4, WindowUpdate, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// AppendPing appends a PING frame with these 8 bytes.
func AppendPing(dst []byte, f Flags, data []byte) []byte {
	return append(AppendHeader(dst, 8, Ping, f, 0), data...)
}

// AppendGoAway appends a GOAWAY frame: last is the highest stream that was or
// will be served.
func AppendGoAway(dst []byte, last uint32, c Code) []byte {
	dst = AppendHeader(dst, 8, GoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, last)
	return binary.BigEndian.AppendUint32(dst, uint32(c))
}

// FinishHeaders makes frames of a header block: dst holds, from mark on, room
// of HeaderLen bytes and the block behind it, which CONTINUATION frames divide
// where it is longer than one frame may be.
func FinishHeaders(dst []byte, mark int, stream uint32, end bool) []byte {
	f := Flags(0)
	if end {
		f = EndStream
	}
	t := Headers
	for at := mark; ; {
		n := len(dst) - at - HeaderLen
		if n <= MaxPayload {
			AppendHeader(dst[:at], n, t, f|EndHeaders, stream)
			return dst
		}
		AppendHeader(dst[:at], MaxPayload, t, f, stream)
		at += HeaderLen + MaxPayload
		dst = append(dst, make([]byte, HeaderLen)...)
		copy(dst[at+HeaderLen:], dst[at:])
		t, f = Continuation, 0
	}
}
