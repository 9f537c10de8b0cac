package proxy

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"sluice/proxy/h2"
)

// unwilling is an HTTP/2 endpoint that looks at no request.
type unwilling struct {
	address string
	refuse  func(c *http2.Framer, id uint32)
	asked   atomic.Int32
}

// newUnwilling starts an endpoint that refuses in its way.
func newUnwilling(t *testing.T, refuse func(c *http2.Framer, id uint32)) *unwilling {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &unwilling{address: l.Addr().String(), refuse: refuse}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go u.serve(nc) // ends with the proxy's connections
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return u
}

func (u *unwilling) serve(nc net.Conn) {
	defer nc.Close()
	if _, err := io.ReadFull(nc, make([]byte, len(h2.Preface))); err != nil {
		return
	}
	c := http2.NewFramer(nc, nc)
	c.WriteSettings()
	for {
		f, err := c.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.WriteSettingsAck()
			}
		case *http2.PingFrame:
			c.WritePing(true, f.Data)
		case *http2.HeadersFrame:
			u.asked.Add(1)
			u.refuse(c, f.StreamID)
		}
	}
}

// unprocessing are the ways to say that a request was not looked at.
var unprocessing = map[string]func(c *http2.Framer, id uint32){
	"REFUSED_STREAM": func(c *http2.Framer, id uint32) { c.WriteRSTStream(id, http2.ErrCodeRefusedStream) },
	"GOAWAY":         func(c *http2.Framer, id uint32) { c.WriteGoAway(0, http2.ErrCodeNo, nil) },
}

// What an endpoint did not look at goes to another, whatever its method, and is
// none of the tries; nor does it count against the endpoint.
func TestUnprocessedRequestsGoElsewhere(t *testing.T) {
	for name, refuse := range unprocessing {
		t.Run(name, func(t *testing.T) {
			u := newUnwilling(t, refuse)
			good := backend2(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
			r := newRig(t, map[string]string{"v1": u.address + "," + good}, speaksHTTP2, func(r *rig) {
				r.settings.Retries, r.settings.RetryBudget, r.settings.RetryFloor = -1, -1, -1
			})
			c := client(t)
			for i := 0; i < 1000 && u.asked.Load() < 10; i++ {
				req, err := http.NewRequest("POST", "http://"+r.addr+"/", strings.NewReader("once"))
				if err != nil {
					t.Fatal(err)
				}
				if res, body := r.do(c, req); res.StatusCode != 200 || body != "once" {
					t.Fatalf("%d %q", res.StatusCode, body)
				}
			}
			if n := u.asked.Load(); n < 10 {
				t.Errorf("the unwilling endpoint was asked %d times", n)
			}
			if st := r.clusters["v1"].Status(); st[0].Failures > 0 || !st[0].EjectedUntil.IsZero() {
				t.Errorf("counted against it: %+v", st[0])
			}
		})
	}
}

// A client that is still sending is told in HTTP/2 that it may send all again;
// and any client gets an answer where no endpoint is willing.
func TestUnprocessedEverywhere(t *testing.T) {
	for name, refuse := range unprocessing {
		t.Run(name, func(t *testing.T) {
			u := newUnwilling(t, refuse)
			r := newRig(t, map[string]string{"v1": u.address}, h2c, speaksHTTP2)
			c := r.dial2()
			c.request(1, false, "POST", "/")
			c.expect("RST_STREAM 1 REFUSED_STREAM")
			if n := u.asked.Load(); n != 1 {
				t.Errorf("asked %d times for what can't be sent again", n)
			}
			c.request(3, true, "POST", "/")
			c.expect("HEADERS 3 :status=502")
			if n := u.asked.Load(); n != 1+1+maxUnprocessed {
				t.Errorf("asked %d times", n-1)
			}
			if answer := r.exchangeRaw(post("5\r\nhello\r\n", "Transfer-Encoding: chunked")); statuses(answer) != "502" {
				t.Errorf("answered %q", answer)
			}
			r.drop(c)
		})
	}
}
