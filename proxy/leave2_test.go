package proxy

import (
	"io"
	"net/http"
	"testing"

	"golang.org/x/net/http2"
)

// TestLeaveTellsAnHTTP2ConnectionThatComesLate: SETTINGS first, then GOAWAY, and
// the request that came with the preface is answered.
func TestLeaveTellsAnHTTP2ConnectionThatComesLate(t *testing.T) {
	addr := backend(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	r := newRig(t, map[string]string{"v1": addr}, func(r *rig) { r.listener.H2C = true })
	r.srv.Leave()
	c := r.dial()
	io.WriteString(c, http2.ClientPreface)
	f := http2.NewFramer(c, c)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	// :method GET, :scheme http, :path /, :authority a (RFC 7541, appendix A)
	if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, EndHeaders: true,
		BlockFragment: []byte{0x82, 0x86, 0x84, 0x41, 0x01, 'a'}}); err != nil {
		t.Fatal(err)
	}
	goAway, answered := false, false
	for i := 0; !goAway || !answered; i++ {
		frame, err := f.ReadFrame()
		if err != nil {
			t.Fatalf("GOAWAY %v, answered %v: %v", goAway, answered, err)
		}
		if _, ok := frame.(*http2.SettingsFrame); i == 0 && !ok {
			t.Fatalf("the first frame is %v", frame)
		}
		switch frame := frame.(type) {
		case *http2.GoAwayFrame:
			goAway = true
		case *http2.PingFrame:
			if err := f.WritePing(true, frame.Data); err != nil {
				t.Fatal(err)
			}
		case *http2.DataFrame:
			answered = answered || frame.StreamEnded()
		case *http2.RSTStreamFrame:
			t.Fatalf("the request was refused: %v", frame)
		}
	}
}
