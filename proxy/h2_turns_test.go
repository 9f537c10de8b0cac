package proxy

import (
	"net/http"
	"testing"

	"golang.org/x/net/http2"
)

// TestManyStreamsShareAWindow: streams that wait for the connection's window,
// for their own and for room in the queue wake one another, whatever woke them.
// The client gives back a window when half of it is used, as nghttp does, and
// so says nothing any more when one turn is lost.
func TestManyStreamsShareAWindow(t *testing.T) {
	const size, streams, rounds = 70_000, 80, 5
	addr := backend(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, size)) })
	r := newRig(t, map[string]string{"v1": addr}, h2c)
	c := r.dial2()
	for id := uint32(1); id < 2*streams*rounds; id += 2 * streams {
		for i := range uint32(streams) {
			c.request(id+2*i, true, "GET", "/")
		}
		used, ended := map[uint32]int{}, 0
		giveBack := func(stream uint32, n int, more bool) {
			if used[stream] += n; used[stream] >= 1<<15 && more {
				c.WriteWindowUpdate(stream, uint32(used[stream]))
				used[stream] = 0
			}
		}
		for ended < streams {
			f, err := c.ReadFrame()
			if err != nil {
				t.Fatalf("%d of %d streams ended: %v", ended, streams, err)
			}
			d, ok := f.(*http2.DataFrame)
			if !ok {
				continue
			}
			giveBack(0, len(d.Data()), true)
			giveBack(d.StreamID, len(d.Data()), !d.StreamEnded())
			if d.StreamEnded() {
				ended++
			}
		}
		// What remains used of the connection's window.
		if used[0] > 0 {
			c.WriteWindowUpdate(0, uint32(used[0]))
		}
	}
	r.drop(c)
}
