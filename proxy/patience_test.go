package proxy

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"sluice/proxy/sock"
)

func TestPatience(t *testing.T) {
	l := &ListenerConfig{BodyTimeout: time.Minute, MinBodyRate: 100}
	for _, c := range []struct {
		name  string
		p     patience
		total time.Duration
		want  time.Duration
	}{
		{"at first", patience{}, 0, rateGrace},
		{"in time", patience{waited: 4 * time.Second}, 0, time.Second},
		{"too slow", patience{waited: 7 * time.Second, moved: 199}, 0, 1},
		{"just not too slow", patience{waited: 7 * time.Second, moved: 299}, 0, 1},
		{"fast", patience{waited: 7 * time.Second, moved: 1 << 40}, 0, time.Minute},
		{"the fastest", patience{waited: 7 * time.Second, moved: 1<<63 - 1}, 0, time.Minute},
		{"near the end of its time", patience{waited: 58 * time.Second, moved: 1 << 20}, time.Minute, 2 * time.Second},
		{"at the end of its time", patience{waited: time.Hour, moved: 1 << 40}, time.Minute, 1},
	} {
		if got := c.p.begin(l, c.total); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	p := patience{waited: time.Hour}
	if got := p.begin(&ListenerConfig{BodyTimeout: time.Minute}, 0); got != time.Minute {
		t.Errorf("without a rate: %v", got)
	}
	p.began = sock.Now() - int64(time.Second)
	if p.end(7); p.waited != time.Hour+time.Second || p.moved != 7 {
		t.Errorf("%+v", p)
	}
}

// drip writes s a byte at a time until the other end has had enough, and closes
// done.
func drip(c net.Conn, s string, done chan<- struct{}) {
	defer close(done)
	for i := range len(s) {
		if _, err := io.WriteString(c, s[i:i+1]); err != nil {
			return
		}
		<-time.After(20 * time.Millisecond)
	}
}

// TestABodyThatTakesTooLong is answered 408, though each of its bytes is in
// time, and the endpoint is neither held nor blamed.
func TestABodyThatTakesTooLong(t *testing.T) {
	t.Parallel()
	for _, framing := range []string{"Content-Length: 1000", "Transfer-Encoding: chunked"} {
		b := newRecorder(t, nil)
		r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.RequestTimeout = 2 * short })
		c := r.dial()
		body := strings.Repeat("x", 1000)
		if framing == "Transfer-Encoding: chunked" {
			body = strings.Repeat("1\r\nx\r\n", 200)
		}
		io.WriteString(c, post("", framing))
		done := make(chan struct{})
		go drip(c, body, done)
		if answer := until(t, c, "\r\n\r\n"); statuses(answer) != "408" || field(answer, "Connection") != "close" {
			t.Errorf("%s: answered %q", framing, answer)
		}
		c.Close()
		<-done
		eventually(t, "the endpoint is free", func() bool { return r.clusters["v1"].InUse() == 0 })
		checkNoEjection(t, r)
		if n := r.stats.Process().Refused[408]; n != 1 {
			t.Errorf("%d counted", n)
		}
		checkOnlySentinel(t, r, b)
	}
}

// TestABodyBelowTheLeastRate is refused after the grace, over HTTP/1.1 and TLS.
func TestABodyBelowTheLeastRate(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as the grace of a rate")
	}
	t.Parallel()
	b := newRecorder(t, nil)
	server, clientTLS := tlsConfigs(t)
	for name, c := range map[string]net.Conn{
		"plain": newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.MinBodyRate = 1000 }).dial(),
		"TLS": newRig(t, map[string]string{"v1": b.addr}, func(r *rig) {
			r.listener.TLS, r.listener.MinBodyRate = server, 1000
		}).dialTLS(clientTLS),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.SetDeadline(time.Now().Add(30 * time.Second))
			io.WriteString(c, post("", "Content-Length: 100000"))
			done := make(chan struct{})
			began := time.Now()
			go drip(c, strings.Repeat("x", 1000), done)
			answer := until(t, c, "\r\n\r\n")
			if took := time.Since(began); statuses(answer) != "408" || took < rateGrace/2 {
				t.Errorf("answered %q after %v", answer, took)
			}
			c.Close()
			<-done
		})
	}
}

// TestASlowReaderBelowTheLeastRate is cut off, though it takes a little again
// and again.
func TestASlowReaderBelowTheLeastRate(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as the grace of a rate")
	}
	t.Parallel()
	b := newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 100<<20)
		io.WriteString(c, strings.Repeat("x", 100<<20))
		return false
	}
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.MinBodyRate = 10 << 20 })
	c := r.dial()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(c, get("/"))
	read := make([]byte, 4<<10)
	began := time.Now()
	for {
		if _, err := io.ReadFull(c, read); err != nil {
			break
		}
		<-time.After(5 * time.Millisecond)
		if r.clusters["v1"].InUse() == 0 && time.Since(began) > time.Second {
			break // what is left is in the kernel
		}
	}
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("cut off after %v", took)
	}
	eventually(t, "the abort is counted", func() bool { return r.stats.ServiceSnapshot("web")[0].Aborted == 1 })
}
