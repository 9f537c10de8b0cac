package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// hanging starts an endpoint that reads a request, says something and then
// waits for the connection's end, which is told.
func hanging(t *testing.T, says string) (b *recorder, asked, ended chan bool) {
	asked, ended = make(chan bool, 10), make(chan bool, 10)
	b = newRecorder(t, func(c net.Conn, m *message) bool {
		io.WriteString(c, says)
		asked <- true
		io.Copy(io.Discard, c)
		ended <- true
		return false
	})
	return b, asked, ended
}

// soon waits for what must come within a few of the sweeper's looks.
func soon(t *testing.T, what string, c chan bool) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(8 * time.Second):
		t.Fatalf("still not so: %s", what)
	}
}

// TestAClientThatLeavesIsNoticed: whether it waits for the head of an answer or
// for more of a body, over TLS too, the endpoint hears of it.
func TestAClientThatLeavesIsNoticed(t *testing.T) {
	t.Parallel()
	events := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
	for name, test := range map[string]struct {
		says, request string
		tls, reset    bool
	}{
		"before the head":           {request: get("/")},
		"before the head, by reset": {request: get("/"), reset: true},
		"before the head of a POST": {request: post("hello", "Content-Length: 5")},
		"in a body":                 {says: events, request: get("/")},
		"over TLS":                  {request: get("/"), tls: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, asked, ended := hanging(t, test.says)
			r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) {
				if test.tls {
					r.listener.TLS, _ = tlsConfigs(t)
				}
			})
			c := r.dial()
			if test.tls {
				c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
			}
			io.WriteString(c, test.request)
			soon(t, "the endpoint is asked", asked)
			if test.reset {
				c.(*net.TCPConn).SetLinger(0)
			}
			c.Close()
			soon(t, "the endpoint hears of it", ended)
			eventually(t, "it is counted", func() bool {
				s := r.of("v1")
				return s.Aborted == 1 && s.InFlight == 0 && s.Retries == 0 && len(s.UpstreamErrors) == 0
			})
		})
	}
}

// TestAClientThatStaysIsLeftAlone: an answer that takes its time, a request that
// waits behind it, and a body that came with the end of the stream.
func TestAClientThatStaysIsLeftAlone(t *testing.T) {
	t.Parallel()
	const late = 2500 * time.Millisecond // two looks, and half a second
	b := newRecorder(t, func(c net.Conn, m *message) bool {
		<-time.After(late)
		_, err := io.WriteString(c, response(200, "late"))
		return err == nil
	})
	r := newRig(t, map[string]string{"v1": b.addr})
	for name, requests := range map[string][]string{
		"one request":         {get("/", closing)},
		"a request behind it": {get("/") + get("/", closing)},
		"a body, then an end": {"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n0\r\n\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := r.dial()
			want := strings.Count(strings.Join(requests, ""), "HTTP/1.1\r\n")
			for _, part := range requests {
				if part == "" {
					closeWrite(c)
				}
				io.WriteString(c, part)
			}
			if answer := readAll(t, c); strings.Count(answer, "late") < 1 || want == 1 && strings.Contains(answer, "reset") {
				t.Errorf("answered %q", answer)
			}
		})
	}
}

// TestATunnelHalfClosedIsNoClientThatLeft: in a tunnel each direction ends by
// itself.
func TestATunnelHalfClosedIsNoClientThatLeft(t *testing.T) {
	t.Parallel()
	b := webSocketBackend(t, func(c net.Conn) {
		io.Copy(io.Discard, c)
		<-time.After(2500 * time.Millisecond)
		io.WriteString(c, "late")
	})
	r := newRig(t, map[string]string{"v1": b.addr})
	c := r.connect()
	closeWrite(c)
	if got := readAll(t, c); got != "late" {
		t.Errorf("got %q", got)
	}
}

// TestWhoLeftIsNotWhoAsked: a pooled connection that an HTTP/1.1 client's request
// went over before serves one over HTTP/2, whatever becomes of that client.
func TestWhoLeftIsNotWhoAsked(t *testing.T) {
	t.Parallel()
	release, gone := make(chan bool), make(chan bool)
	r := newRig(t, map[string]string{"v1": backend(t, func(_ http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/held":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/left":
			<-r.Context().Done()
			close(gone)
		}
	})}, h2c)
	first := r.dial()
	io.WriteString(first, get("/"))
	until(t, first, "\r\n\r\n")
	eventually(t, "its connection is idle", func() bool { return r.clusters["v1"].Status()[0].Idle == 1 })
	answered := make(chan string, 1)
	second := client2(t, nil)
	go func() {
		res, err := second.Get("http://" + r.addr + "/held")
		if err != nil {
			answered <- err.Error()
			return
		}
		res.Body.Close()
		answered <- res.Status
	}()
	eventually(t, "it is used again", func() bool { return r.clusters["v1"].InUse() == 1 })
	io.WriteString(first, get("/left"))
	eventually(t, "the first client asks again", func() bool { return r.clusters["v1"].InUse() == 2 })
	first.Close()
	<-gone
	eventually(t, "it was let go", func() bool { return r.clusters["v1"].InUse() == 1 })
	<-time.After(1200 * time.Millisecond) // another look of the sweeper
	close(release)
	if status := <-answered; status != "200 OK" {
		t.Errorf("answered %s", status)
	}
}
