package proxy

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"sluice/proxy/h2"
)

// frames2 is an HTTP/2 client that sends whatever frames a test wants.
type frames2 struct {
	*http2.Framer
	t   testing.TB
	nc  net.Conn
	enc *hpack.Encoder
	buf bytes.Buffer
	dec *hpack.Decoder
}

// dial2 connects, and exchanges SETTINGS.
func (r *rig) dial2(settings ...http2.Setting) *frames2 {
	r.t.Helper()
	return speak2(r.t, r.dial(), settings...)
}

// speak2 begins HTTP/2 on a connection.
func speak2(t testing.TB, nc net.Conn, settings ...http2.Setting) *frames2 {
	t.Helper()
	c := &frames2{Framer: http2.NewFramer(nc, nc), t: t, nc: nc, dec: hpack.NewDecoder(4096, nil)}
	c.AllowIllegalWrites, c.AllowIllegalReads = true, true
	c.enc = hpack.NewEncoder(&c.buf)
	io.WriteString(nc, h2.Preface)
	c.WriteSettings(settings...)
	c.expect("SETTINGS")
	c.expect("WINDOW_UPDATE 0 983041")
	c.expect("SETTINGS ACK")
	c.WriteSettingsAck()
	return c
}

// block encodes fields, given as names and values.
func (c *frames2) block(fields ...string) []byte {
	c.buf.Reset()
	for i := 0; i < len(fields); i += 2 {
		c.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(c.buf.Bytes())
}

// request opens a stream.
func (c *frames2) request(id uint32, end bool, method, path string, fields ...string) {
	c.t.Helper()
	all := append([]string{":method", method, ":scheme", "http", ":authority", "a.example", ":path", path}, fields...)
	c.headers(id, end, all...)
}

// headers sends a HEADERS frame.
func (c *frames2) headers(id uint32, end bool, fields ...string) {
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: c.block(fields...), EndStream: end, EndHeaders: true})
}

// next reads a frame and tells what it is in a line.
func (c *frames2) next() string {
	f, err := c.ReadFrame()
	if err != nil {
		return "end: " + err.Error()
	}
	h := f.Header()
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return "SETTINGS ACK"
		}
		return "SETTINGS"
	case *http2.HeadersFrame:
		return fmt.Sprintf("HEADERS %d%s %s", h.StreamID, ended(f.StreamEnded()), c.fields(f.HeaderBlockFragment()))
	case *http2.DataFrame:
		return fmt.Sprintf("DATA %d%s %d", h.StreamID, ended(f.StreamEnded()), len(f.Data()))
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("RST_STREAM %d %v", h.StreamID, f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %v", f.LastStreamID, f.ErrCode)
	case *http2.WindowUpdateFrame:
		return fmt.Sprintf("WINDOW_UPDATE %d %d", h.StreamID, f.Increment)
	case *http2.PingFrame:
		return fmt.Sprintf("PING %v %s", f.IsAck(), f.Data)
	}
	return h.String()
}

func ended(end bool) string {
	if end {
		return " END"
	}
	return ""
}

// fields are those of a header block but the ones that vary, in a line.
func (c *frames2) fields(block []byte) string {
	all, err := c.dec.DecodeFull(block)
	if err != nil {
		return err.Error()
	}
	var list []string
	for _, f := range all {
		switch f.Name {
		case "date", "set-cookie", "cache-control":
		default:
			list = append(list, f.Name+"="+f.Value)
		}
	}
	return strings.Join(list, " ")
}

// expect reads frames, passing over what gives windows back, and fails unless
// the next begins as wanted.
func (c *frames2) expect(want string) string {
	c.t.Helper()
	for {
		got := c.next()
		if strings.HasPrefix(got, "WINDOW_UPDATE") && !strings.HasPrefix(want, "WINDOW_UPDATE") {
			continue
		}
		if !strings.HasPrefix(got, want) {
			c.t.Fatalf("got %q, want %q", got, want)
		}
		return got
	}
}

// expectCalm reads until the connection is ended for abuse.
func (c *frames2) expectCalm() {
	c.t.Helper()
	for {
		got := c.next()
		if strings.HasPrefix(got, "GOAWAY") {
			if !strings.HasSuffix(got, "ENHANCE_YOUR_CALM") {
				c.t.Fatalf("got %q", got)
			}
			return
		}
		if strings.HasPrefix(got, "end") {
			c.t.Fatalf("no GOAWAY: %s", got)
		}
	}
}

// expectAnswer reads a whole answer with a body of this length.
func (c *frames2) expectAnswer(id uint32, status, length int) {
	c.t.Helper()
	c.expect(fmt.Sprintf("HEADERS %d :status=%d", id, status))
	for got := 0; got < length; {
		var n int
		line := c.expect(fmt.Sprintf("DATA %d", id))
		fmt.Sscan(line[strings.LastIndexByte(line, ' ')+1:], &n)
		if got += n; got >= length && (got > length || !strings.Contains(line, "END")) {
			c.t.Fatalf("%q after %d of %d bytes", line, got, length)
		}
	}
}

// alive checks that the connection still serves.
func (c *frames2) alive(id uint32) {
	c.t.Helper()
	c.request(id, true, "GET", "/alive")
	for {
		if got := c.next(); strings.HasPrefix(got, fmt.Sprintf("HEADERS %d :status=200", id)) {
			return
		} else if strings.HasPrefix(got, "GOAWAY") || strings.HasPrefix(got, "end") {
			c.t.Fatalf("got %q", got)
		}
	}
}

// abuses is how many connections were ended for what their client overdid.
func (r *rig) abuses(kind string) uint64 { return r.stats.Process().H2Abuse[kind] }

// drop closes the connection and waits until nothing of it is left.
func (r *rig) drop(c *frames2) {
	c.nc.Close()
	eventually(r.t.(*testing.T), "the connection is forgotten", func() bool {
		r.srv.mu.Lock()
		defer r.srv.mu.Unlock()
		return len(r.srv.conns) == 0
	})
	eventually(r.t.(*testing.T), "the endpoint is free", func() bool { return r.clusters["v1"].InUse() == 0 })
}
