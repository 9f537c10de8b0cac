package h2

import "encoding/binary"

// Setting is the identifier of a setting.
type Setting uint16

// The settings (RFC 9113, section 6.5.2; RFC 8441, section 3; RFC 9218).
const (
	HeaderTableSize      Setting = 1
	EnablePush           Setting = 2
	MaxConcurrentStreams Setting = 3
	InitialWindowSize    Setting = 4
	MaxFrameSize         Setting = 5
	MaxHeaderListSize    Setting = 6
	EnableConnect        Setting = 8
	NoPriorities         Setting = 9
)

// defaultTable is the size of the table of header fields, in bytes, before any
// SETTINGS.
const defaultTable = 4096

// settingLen is the length of a setting in a frame, in bytes.
const settingLen = 6

// AppendSetting appends a setting to the payload of a SETTINGS frame.
func AppendSetting(dst []byte, s Setting, value uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(s))
	return binary.BigEndian.AppendUint32(dst, value)
}

// Settings are those of a client that mean something to a server. The largest
// frame does not: this server's are of the size that all peers take.
type Settings struct {
	InitialWindow int64 // of each stream, in bytes
	// TableLowered is set when the client's table of header fields became
	// smaller than that which an encoder has at first. This server's has none, but
	// must say so (RFC 7541, section 4.2).
	TableLowered bool
}

// DefaultSettings are a client's settings until it sends others.
var DefaultSettings = Settings{InitialWindow: DefaultWindow}

// Apply takes in the payload of a SETTINGS frame, whose length was checked.
func (s *Settings) Apply(p []byte) *Fault {
	for ; len(p) >= settingLen; p = p[settingLen:] {
		value := binary.BigEndian.Uint32(p[2:])
		switch Setting(binary.BigEndian.Uint16(p)) {
		case HeaderTableSize:
			s.TableLowered = s.TableLowered || value < defaultTable
		case EnablePush:
			if value > 1 {
				return badPush
			}
		case InitialWindowSize:
			if value > MaxWindow {
				return badWindow
			}
			s.InitialWindow = int64(value)
		case MaxFrameSize:
			if value < MaxPayload || value > 1<<24-1 {
				return badFrameSize
			}
		case EnableConnect:
			if value > 1 {
				return badConnect
			}
		}
	}
	return nil
}
