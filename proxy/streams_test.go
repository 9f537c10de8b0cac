package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"sluice/proxy/upstream"
)

// closeAll closes what lasts on v1 and began under the tables so far.
func (r *rig) closeAll(jitter time.Duration) {
	r.srv.CloseStreams([]*upstream.Cluster{r.clusters["v1"]}, 1, jitter)
}

// listed returns how many streams last.
func (r *rig) listed() int {
	return len(r.srv.streams.find(func(*stream) bool { return true }))
}

// connect opens a WebSocket through the proxy.
func (r *rig) connect() net.Conn {
	r.t.Helper()
	c := r.dial()
	io.WriteString(c, upgradeTo)
	head := make([]byte, 0, 512)
	for one := make([]byte, 1); !strings.HasSuffix(string(head), "\r\n\r\n"); head = append(head, one[0]) {
		if _, err := io.ReadFull(c, one); err != nil {
			r.t.Fatalf("%v after %q", err, head)
		}
	}
	if statuses(string(head)) != "101" {
		r.t.Fatalf("answered %q", head)
	}
	return c
}

// sent keeps what a backend of a tunnel got.
func sent(got chan []byte, first string) func(net.Conn) {
	return func(c net.Conn) {
		io.WriteString(c, first)
		all, _ := io.ReadAll(c)
		got <- all
	}
}

// TestWebSocketsAreClosedAtAFlip: both ends are told, each in its way, and the
// tunnel is counted as gone.
func TestWebSocketsAreClosedAtAFlip(t *testing.T) {
	t.Parallel()
	got := make(chan []byte, 1)
	b := webSocketBackend(t, func(c net.Conn) {
		readFrame(c)
		sent(got, string(frame(1, []byte("hi"), false)))(c)
	})
	r := newRig(t, map[string]string{"v1": b.addr})
	c := r.connect()
	c.Write(frame(1, []byte("hello"), true))
	expect(t, c, string(frame(1, []byte("hi"), false)))
	eventually(t, "the tunnel lasts", func() bool { return r.listed() == 1 })
	r.closeAll(0)
	expect(t, c, "\x88\x02\x03\xf4")
	c.Write(frame(8, []byte{3, 0xf4}, true))
	if rest := readAll(t, c); rest != "" {
		t.Errorf("%q after the Close frame", rest)
	}
	all := <-got
	_, payload, err := readFrame(strings.NewReader(string(all)))
	if err != nil || string(payload) != "\x03\xe9" {
		t.Errorf("the endpoint got %q at the end (%v), want 1001", payload, err)
	}
	eventually(t, "the tunnel is gone", func() bool {
		s := r.of("v1")
		return s.TunnelsActive == 0 && s.StreamsClosed == 1 && s.InFlight == 0 && r.clusters["v1"].InUse() == 0 && r.listed() == 0
	})
}

// TestAFrameUnderWayComesFirst: the Close frame waits for the end of a frame,
// either way, and nothing after it gets through.
func TestAFrameUnderWayComesFirst(t *testing.T) {
	got, more := make(chan []byte, 1), make(chan bool)
	down := frame(2, []byte(strings.Repeat("d", 1000)), false)
	up := frame(2, []byte(strings.Repeat("u", 1000)), true)
	b := webSocketBackend(t, func(c net.Conn) {
		half := make([]byte, 700)
		io.ReadFull(c, half)
		c.Write(down[:500])
		<-more
		c.Write(append(down[500:], frame(1, []byte("late"), false)...))
		all, _ := io.ReadAll(c)
		got <- append(half, all...)
	})
	r := newRig(t, map[string]string{"v1": b.addr})
	c := r.connect()
	c.Write(up[:700])
	expect(t, c, string(down[:500]))
	eventually(t, "half a frame is there", func() bool { return r.listed() == 1 })
	r.closeAll(0)
	eventually(t, "it is closing", func() bool { return r.of("v1").StreamsClosed == 1 })
	close(more)
	c.Write(append(up[700:], frame(1, []byte("late"), true)...))
	expect(t, c, string(down[500:])+"\x88\x02\x03\xf4")
	if rest := readAll(t, c); rest != "" {
		t.Errorf("%q after the Close frame", rest)
	}
	all := string(<-got)
	if !strings.HasPrefix(all, string(up)) || len(all) != len(up)+8 {
		t.Errorf("the endpoint got %d bytes", len(all))
	}
}

// TestASilentFrameDoesNotHoldUpTheEnd: who stops in the midst of a frame, or
// never answers the Close frame, is cut off after the grace.
func TestASilentFrameDoesNotHoldUpTheEnd(t *testing.T) {
	got := make(chan []byte, 1)
	b := webSocketBackend(t, sent(got, "\x82\x7e\x10\x00half"))
	r := newRig(t, map[string]string{"v1": b.addr})
	c := r.connect()
	expect(t, c, "\x82\x7e\x10\x00half")
	r.closeAll(0)
	if rest := readAll(t, c); strings.Contains(rest, "\x88") {
		t.Errorf("%q within a frame", rest)
	}
	<-got
	eventually(t, "the tunnel is gone", func() bool { return r.of("v1").TunnelsActive == 0 && r.of("v1").InFlight == 0 })
}

// TestOtherTunnelsAreCut: what is no WebSocket has no end that one could tell.
func TestOtherTunnelsAreCut(t *testing.T) {
	got := make(chan []byte, 1)
	b := newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n")
		sent(got, "hi")(c)
		return false
	}
	r := newRig(t, map[string]string{"v1": b.addr})
	c := r.dial()
	io.WriteString(c, strings.Replace(upgradeTo, "websocket", "other", 1))
	until(t, c, "\r\n\r\nhi")
	r.closeAll(0)
	if rest := strings.TrimSuffix(readAll(t, c), "(reset)"); rest != "" {
		t.Errorf("%q came at the end", rest)
	}
	if all := <-got; len(all) > 0 {
		t.Errorf("the endpoint got %q", all)
	}
}

// TestResponsesThatLastAreCut: events stop in a way that no client takes for a
// whole response; what has a length is finished.
func TestResponsesThatLastAreCut(t *testing.T) {
	t.Parallel()
	finish := make(chan bool)
	b := newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		if m.target == "/events" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n")
			io.Copy(io.Discard, c)
			return false
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"+strings.Repeat("x", 50000))
		<-finish
		io.WriteString(c, strings.Repeat("x", 50000))
		return true
	}
	r := newRig(t, map[string]string{"v1": b.addr})
	events, file := r.dial(), r.dial()
	io.WriteString(events, get("/events"))
	until(t, events, "data: a\n\n\r\n")
	io.WriteString(file, get("/file", closing))
	until(t, file, "\r\n\r\n")
	eventually(t, "the events last", func() bool { return r.listed() == 1 })
	r.closeAll(0) // it is too young now, and is found again after the grace
	if rest := readAll(t, events); rest != "(reset)" {
		t.Errorf("the events end by %q", rest)
	}
	close(finish)
	if rest := readAll(t, file); len(rest) != 100000 {
		t.Errorf("%d bytes of the file", len(rest))
	}
	s := r.of("v1")
	if s.StreamsClosed != 1 || len(s.UpstreamErrors) > 0 || r.listed() != 0 {
		t.Errorf("counted %+v, %d listed", s, r.listed())
	}
}

// TestWhatBeganLaterStays: what a session opens after the flip is not meant,
// nor is another version.
func TestWhatBeganLaterStays(t *testing.T) {
	b := webSocketBackend(t, echoFrames)
	r := newRig(t, map[string]string{"v1": b.addr})
	c := r.connect()
	eventually(t, "the tunnel lasts", func() bool { return r.listed() == 1 })
	r.srv.CloseStreams([]*upstream.Cluster{r.clusters["v1"]}, 0, 0)
	r.srv.CloseStreams(nil, 1, 0)
	c.Write(frame(1, []byte("still"), true))
	expect(t, c, string(frame(1, []byte("still"), false)))
	if n := r.of("v1").StreamsClosed; n != 0 {
		t.Errorf("%d closed", n)
	}
}

// TestJitterSpreadsTheClosing: clients are not all sent away at once.
func TestJitterSpreadsTheClosing(t *testing.T) {
	t.Parallel()
	b := webSocketBackend(t, echoFrames)
	r := newRig(t, map[string]string{"v1": b.addr})
	const n, jitter = 20, 400 * time.Millisecond
	ended := make(chan time.Time, n)
	var begun time.Time
	for range n {
		c := r.connect()
		go func() {
			io.Copy(io.Discard, c)
			ended <- time.Now()
			c.Close()
		}()
	}
	eventually(t, "all last", func() bool { return r.listed() == n })
	begun = time.Now()
	r.closeAll(jitter)
	first, last := <-ended, time.Time{}
	for range n - 1 {
		last = <-ended
	}
	// 20 draws lie within a tenth of the time about once in 10^18.
	if spread := last.Sub(first); spread < jitter/10 || last.Sub(begun) < jitter/10 {
		t.Errorf("all within %v", spread)
	}
}

func TestTunnelLimits(t *testing.T) {
	t.Parallel()
	b := webSocketBackend(t, echoFrames)
	for name, settings := range map[string]Settings{
		"idle":  {TunnelIdle: 200 * time.Millisecond},
		"total": {TunnelTotal: 200 * time.Millisecond},
	} {
		r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.settings = settings })
		c := r.connect()
		begun := time.Now()
		rest := strings.TrimSuffix(readAll(t, c), "(reset)")
		if want := map[string]string{"idle": "", "total": "\x88\x02\x03\xf4"}[name]; rest != want {
			t.Errorf("%s: %q at the end", name, rest)
		}
		if took := time.Since(begun); took < 100*time.Millisecond {
			t.Errorf("%s: ended after %v", name, took)
		}
		eventually(t, name+": the tunnel is gone", func() bool { return r.of("v1").TunnelsActive == 0 })
	}
}

// TestABusyTunnelIsNotIdle: bytes in one direction keep both.
func TestABusyTunnelIsNotIdle(t *testing.T) {
	b := webSocketBackend(t, func(c net.Conn) {
		for i := range 20 {
			if _, err := c.Write(frame(1, fmt.Append(nil, i), false)); err != nil {
				return
			}
			<-time.After(20 * time.Millisecond)
		}
	})
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.settings.TunnelIdle = 200 * time.Millisecond })
	c := r.connect()
	for i := range 20 {
		if _, payload, err := readFrame(c); string(payload) != fmt.Sprint(i) {
			t.Fatalf("%q (%v) for the frame %d", payload, err, i)
		}
	}
}

// TestClosingRacesWithTheEnd: tunnels that end by themselves while they are
// closed, and exchanges that are used again meanwhile, confuse nobody.
func TestClosingRacesWithTheEnd(t *testing.T) {
	b := webSocketBackend(t, echoFrames)
	r := newRig(t, map[string]string{"v1": b.addr})
	done := make(chan bool)
	for range 4 {
		go func() {
			defer func() { done <- true }()
			for range 50 {
				c, err := net.Dial("tcp", r.addr)
				if err != nil {
					return
				}
				c.SetDeadline(time.Now().Add(10 * time.Second))
				io.WriteString(c, upgradeTo+string(frame(8, nil, true)))
				io.Copy(io.Discard, c)
				c.Close()
			}
		}()
	}
	for left := 4; left > 0; {
		select {
		case <-done:
			left--
		default:
			r.closeAll(2 * time.Millisecond)
			<-time.After(time.Millisecond)
		}
	}
	eventually(t, "all are gone", func() bool { return r.listed() == 0 && r.of("v1").TunnelsActive == 0 && r.clusters["v1"].InUse() == 0 })
	if answer := r.exchangeRaw(get("/", closing)); statuses(answer) != "426" {
		t.Errorf("answered %q", answer)
	}
}

// TestStreamsOverHTTP2: a client whose stream is closed is told to open another
// connection.
func TestStreamsOverHTTP2(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		if m.target != "/events" {
			_, err := io.WriteString(c, response(200, "ok"))
			return err == nil
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n")
		io.Copy(io.Discard, c)
		return false
	}
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	c := client2(t, nil)
	res, err := c.Get("http://" + r.addr + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	expect(t, res.Body, "data: a\n\n")
	eventually(t, "the events last", func() bool { return r.listed() == 1 })
	r.closeAll(0)
	if rest, err := io.ReadAll(res.Body); err == nil || len(rest) > 0 {
		t.Errorf("the events end by %q, %v", rest, err)
	}
	reused := true
	trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
	req, _ := http.NewRequestWithContext(trace, "GET", "http://"+r.addr+"/", nil)
	if res, body := r.do(c, req); res.StatusCode != 200 || body != "ok" || reused {
		t.Errorf("the next request: %d %q, on the old connection: %v", res.StatusCode, body, reused)
	}
	if s := r.of("v1"); s.StreamsClosed != 1 || len(s.UpstreamErrors) > 0 {
		t.Errorf("counted %+v", s)
	}
}

// TestInsteadOverHTTP2: the shield and the asset fallback are the same for every
// protocol, and a client that leaves meanwhile leaves nothing behind.
func TestInsteadOverHTTP2(t *testing.T) {
	asked := make(chan bool, 1)
	v1 := newRecorder(t, nil)
	v1.answer = func(c net.Conn, m *message) bool {
		if m.target == "/assets/slow" {
			asked <- true
			io.Copy(io.Discard, c)
			return false
		}
		_, err := io.WriteString(c, response(200, "v1"))
		return err == nil
	}
	v2 := newRecorder(t, func(c net.Conn, m *message) bool {
		status := 503
		if strings.HasPrefix(m.target, "/assets") {
			status = 404
		}
		_, err := io.WriteString(c, response(status, "v2"))
		return err == nil
	})
	r := newRig(t, map[string]string{"v1": v1.addr, "v2": v2.addr}, shield(), assets("/assets"), h2c, func(r *rig) { r.upstream.Outlier.Disabled = true })
	c := client2(t, nil)
	for _, path := range []string{"/page", "/assets/a.js"} {
		if res, body := r.get(c, path, "Cookie", strings.TrimPrefix(onV2, "Cookie: ")); res.StatusCode != 200 || body != "v1" {
			t.Errorf("%s: %d %q", path, res.StatusCode, body)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://"+r.addr+"/assets/slow", nil)
	req.Header.Set("Cookie", strings.TrimPrefix(onV2, "Cookie: "))
	go func() { <-asked; cancel() }()
	if _, err := c.Do(req); err == nil {
		t.Error("a request that was cancelled was answered")
	}
	r.counted("v1", 3, "asset_fallback", 2)
	r.counted("v2", 3, "pin", 3)
	if n := r.of("v1").Aborted; n != 1 {
		t.Errorf("%d counted as aborted", n)
	}
	eventually(t, "no connection stays in use", func() bool { return r.clusters["v1"].InUse()+r.clusters["v2"].InUse() == 0 })
}

// TestTunnelsEndBeforeTheServer: a server that stops closes in good order what
// would not end by itself, and nothing is left to be cut off.
func TestTunnelsEndBeforeTheServer(t *testing.T) {
	t.Parallel()
	b := webSocketBackend(t, echoFrames)
	r := newRig(t, map[string]string{"v1": b.addr})
	var all []net.Conn
	for range 5 {
		all = append(all, r.connect())
	}
	eventually(t, "all last", func() bool { return r.listed() == len(all) })
	ended := r.shutdown(4 * time.Second)
	for _, c := range all {
		if _, payload, err := readFrame(c); string(payload) != "\x03\xf4" {
			t.Errorf("%q, %v", payload, err)
		}
		c.Write(frame(8, []byte{3, 0xf4}, true))
		c.Close()
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
