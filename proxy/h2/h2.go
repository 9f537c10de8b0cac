// Package h2 is the HTTP/2 wire format (RFC 9113) as a server speaks it: frames
// and their rules, settings, flow control, the states of a stream, the rules
// that turn header fields into a request, and the budgets that bound what a
// client may cost. It knows nothing of sockets and clocks.
//
// It is strict: what RFC 9113 calls malformed is refused, and so is what
// HTTP/1.1, in which a request may be sent on, could not say without a second
// meaning.
package h2

import "strconv"

// Preface is what a client sends first (RFC 9113, section 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Sizes in bytes.
const (
	HeaderLen  = 9       // of a frame's header
	MaxPayload = 1 << 14 // of a frame, either way: the least that every peer takes, and all that this server announces
	MaxWindow  = 1<<31 - 1
)

// DefaultWindow is the flow-control window, in bytes, of a connection at its
// start, and of streams until SETTINGS say otherwise.
const DefaultWindow = 65535

// Type is the type of a frame.
type Type uint8

// The types of frames (RFC 9113, section 6).
const (
	Data Type = iota
	Headers
	Priority
	ResetStream
	SettingsFrame
	PushPromise
	Ping
	GoAway
	WindowUpdate
	Continuation
)

// Flags are the flags of a frame. Their meaning depends on its type.
type Flags uint8

// The flags.
const (
	Ack        Flags = 0x1 // SETTINGS, PING
	EndStream  Flags = 0x1 // DATA, HEADERS
	EndHeaders Flags = 0x4 // HEADERS, CONTINUATION
	Padded     Flags = 0x8 // DATA, HEADERS
	Dependency Flags = 0x20
)

// Has reports whether all flags of x are set.
func (f Flags) Has(x Flags) bool { return f&x == x }

// Code is an error code (RFC 9113, section 7).
type Code uint32

// The error codes.
const (
	NoError Code = iota
	ProtocolError
	InternalError
	FlowControlError
	SettingsTimeout
	StreamClosed
	FrameSizeError
	RefusedStream
	Cancel
	CompressionError
	ConnectError
	EnhanceYourCalm
	InadequateSecurity
	HTTP11Required
)

var codeNames = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
	"FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
	"INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

// String returns the code's name in RFC 9113, or its number.
func (c Code) String() string {
	if int(c) < len(codeNames) {
		return codeNames[c]
	}
	return "error code " + strconv.FormatUint(uint64(c), 10)
}

// Fault is a rule that a client has broken. The faults are made beforehand, so
// that refusing what an attacker sends all day allocates nothing.
type Fault struct {
	Conn   bool // ends the connection (GOAWAY); else its stream alone (RST_STREAM)
	Code   Code
	Reason string // in plain words
	Abuse  Abuse  // what was overdone, where Code is EnhanceYourCalm; else NoAbuse
}

// Error returns the reason and the code.
func (f *Fault) Error() string { return f.Reason + " (" + f.Code.String() + ")" }

func connFault(c Code, reason string) *Fault { return &Fault{Conn: true, Code: c, Reason: reason} }

func streamFault(c Code, reason string) *Fault { return &Fault{Code: c, Reason: reason} }

// The faults of a connection that is not HTTP/2, or not this side's turn.
var (
	BadPreface     = connFault(ProtocolError, "the connection preface is not that of HTTP/2")
	FirstSettings  = connFault(ProtocolError, "the first frame is not SETTINGS")
	ClosedConn     = connFault(StreamClosed, "a header block for a stream that is closed")
	Compression    = connFault(CompressionError, "a header block that cannot be decompressed")
	Inadequate     = connFault(InadequateSecurity, "a cipher suite that HTTP/2 must not be used with")
	blockBroken    = connFault(ProtocolError, "a frame between those of a header block")
	blockMissing   = connFault(ProtocolError, "CONTINUATION without a header block before it")
	pushed         = connFault(ProtocolError, "PUSH_PROMISE from a client")
	streamNumber   = connFault(ProtocolError, "a new stream with an even number, or one below the last")
	onIdle         = connFault(ProtocolError, "a frame for a stream that was never opened")
	frameTooLong   = connFault(FrameSizeError, "a frame longer than 16384 bytes")
	frameSize      = connFault(FrameSizeError, "a frame whose length is not that of its type")
	needsStream    = connFault(ProtocolError, "a frame on stream 0 that belongs to a stream")
	needsConn      = connFault(ProtocolError, "a frame on a stream that belongs to the connection")
	badPadding     = connFault(ProtocolError, "padding as long as the frame, or longer")
	badPush        = connFault(ProtocolError, "SETTINGS_ENABLE_PUSH is neither 0 nor 1")
	badWindow      = connFault(FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE is above 2^31-1")
	badFrameSize   = connFault(ProtocolError, "SETTINGS_MAX_FRAME_SIZE is not from 16384 to 16777215")
	badConnect     = connFault(ProtocolError, "SETTINGS_ENABLE_CONNECT_PROTOCOL is neither 0 nor 1")
	zeroIncrement  = connFault(ProtocolError, "WINDOW_UPDATE of 0 for the connection")
	windowOverflow = connFault(FlowControlError, "WINDOW_UPDATE takes the connection's window above 2^31-1")
	settingsWindow = connFault(FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE takes a stream's window above 2^31-1")
	overConnWindow = connFault(FlowControlError, "DATA beyond the connection's window")
)

// The faults of a stream.
var (
	Closed      = streamFault(StreamClosed, "a frame for a stream that is closed")
	BadRequest  = streamFault(ProtocolError, "a malformed request")
	BadTrailers = streamFault(ProtocolError, "malformed trailers")

	afterEnd         = streamFault(StreamClosed, "a frame behind the end of the stream")
	onSelf           = streamFault(ProtocolError, "a stream that depends on itself")
	prioritySize     = streamFault(FrameSizeError, "PRIORITY that is not 5 bytes long")
	streamZero       = streamFault(ProtocolError, "WINDOW_UPDATE of 0")
	streamOverflow   = streamFault(FlowControlError, "WINDOW_UPDATE takes the stream's window above 2^31-1")
	overStreamWindow = streamFault(FlowControlError, "DATA beyond the stream's window")
	lengthExceeded   = streamFault(ProtocolError, "more DATA than Content-Length says")
	lengthMissed     = streamFault(ProtocolError, "less DATA than Content-Length says")
	trailersOpen     = streamFault(ProtocolError, "trailers that do not end the stream")
)
