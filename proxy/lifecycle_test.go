package proxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// heldBackend answers a request when it is let go.
func heldBackend(t *testing.T) (b *recorder, letGo chan struct{}) {
	letGo = make(chan struct{})
	b = newRecorder(t, nil)
	b.answer = func(c net.Conn, m *message) bool {
		if m.target == "/held" {
			<-letGo
		}
		_, err := io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		return err == nil
	}
	return b, letGo
}

// shutdown stops a rig in the background and returns its result.
func (r *rig) shutdown(timeout time.Duration) chan error {
	result := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		result <- r.srv.Shutdown(ctx)
	}()
	return result
}

func TestShutdownLetsRequestsFinish(t *testing.T) {
	b, letGo := heldBackend(t)
	r := newRig(t, map[string]string{"v1": b.addr})
	busy, idle, fresh := r.dial(), r.dial(), r.dial()
	io.WriteString(idle, get("/"))
	until(t, idle, "\r\n\r\nok")
	io.WriteString(busy, get("/held"))
	eventually(t, "the request is under way", func() bool { return r.clusters["v1"].InUse() == 1 })

	result := r.shutdown(10 * time.Second)
	if rest := readAll(t, idle); rest != "" {
		t.Errorf("the idle connection got %q", rest)
	}
	if _, err := net.Dial("tcp", r.addr); err == nil {
		t.Error("a new connection was accepted")
	}
	// A connection that was there before may still ask.
	io.WriteString(fresh, get("/"))
	if answer := readAll(t, fresh); statuses(answer) != "200" || !strings.Contains(answer, "\r\nConnection: close\r\n") {
		t.Errorf("the fresh connection got %q", answer)
	}
	select {
	case err := <-result:
		t.Fatalf("the server stopped under a request: %v", err)
	default:
	}
	close(letGo)
	if answer := readAll(t, busy); statuses(answer) != "200" || !strings.Contains(answer, "\r\nConnection: close\r\n") {
		t.Errorf("the busy connection got %q", answer)
	}
	if err := <-result; err != nil {
		t.Error(err)
	}
	if err := r.srv.Listen([]ListenerConfig{r.listener}); err == nil {
		t.Error("a stopped server listens again")
	}
}

// TestShutdownLosesNoRequest stops a server under clients that send as fast as
// they can: each request is answered whole, or its connection ends without a
// byte of an answer before the request was read, which tells the client that
// it may send it again.
func TestShutdownLosesNoRequest(t *testing.T) {
	for range 5 {
		b := newRecorder(t, nil)
		r := newRig(t, map[string]string{"v1": b.addr})
		var clients sync.WaitGroup
		var mu sync.Mutex
		sent, answered := 0, 0
		for range 8 {
			c := r.dial()
			clients.Go(func() {
				for {
					n, err := io.WriteString(c, get("/"))
					if err != nil && n == 0 {
						return
					}
					head := make([]byte, 0, 1024)
					one := make([]byte, 1)
					for !bytes.HasSuffix(head, []byte("\r\n\r\nok")) {
						if _, err := io.ReadFull(c, one); err != nil {
							if len(head) > 0 {
								t.Errorf("an answer was cut off: %q, %v", head, err)
							}
							return
						}
						head = append(head, one[0])
					}
					mu.Lock()
					answered++
					mu.Unlock()
					if bytes.Contains(head, []byte("Connection: close")) {
						return
					}
				}
			})
		}
		eventually(t, "requests flow", func() bool { mu.Lock(); defer mu.Unlock(); return answered > 100 })
		if err := <-r.shutdown(10 * time.Second); err != nil {
			t.Error(err)
		}
		clients.Wait()
		seen, partial := b.take()
		if sent = len(seen); sent != answered || partial > 0 {
			t.Errorf("the backend saw %d requests and %d broken off, the clients %d answers", sent, partial, answered)
		}
	}
}

// TestARequestSentAsTheServerStops is answered: it had come before its client
// could know.
func TestARequestSentAsTheServerStops(t *testing.T) {
	for range 20 {
		b := newRecorder(t, nil)
		r := newRig(t, map[string]string{"v1": b.addr})
		c := r.dial()
		io.WriteString(c, get("/"))
		until(t, c, "\r\n\r\nok")
		io.WriteString(c, get("/last"))
		result := r.shutdown(10 * time.Second)
		if answer := readAll(t, c); statuses(answer) != "200" {
			t.Errorf("answered %q", answer)
		}
		if err := <-result; err != nil {
			t.Error(err)
		}
	}
}

func TestShutdownCutsOffWhatIsLeft(t *testing.T) {
	b, letGo := heldBackend(t)
	r := newRig(t, map[string]string{"v1": b.addr})
	c, d := r.dial(), r.dial()
	io.WriteString(c, get("/held"))
	io.WriteString(d, post("hell", "Content-Length: 5"))
	eventually(t, "the requests are under way", func() bool { return r.clusters["v1"].InUse() == 2 })
	var cut *CutOffError
	if err := <-r.shutdown(short); !errors.As(err, &cut) || cut.Connections != 2 {
		t.Errorf("Shutdown: %v", err)
	}
	if answer := readAll(t, d); answer != "" && answer != "(reset)" {
		t.Errorf("a request without its end was answered %q", answer)
	}
	close(letGo)
	readAll(t, c)
}

// TestListenChanges adds, keeps, changes and drops listeners: connections that
// are open finish what they are at.
func TestListenChanges(t *testing.T) {
	b, letGo := heldBackend(t)
	dir := t.TempDir()
	unix := func(name string) ListenerConfig {
		return ListenerConfig{Name: name, Address: "unix:" + filepath.Join(dir, name)}
	}
	dial := func(name string) net.Conn {
		t.Helper()
		c, err := net.Dial("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		t.Cleanup(func() { c.Close() })
		return c
	}
	r := newRig(t, map[string]string{"v1": b.addr})
	listen := func(names ...ListenerConfig) {
		t.Helper()
		if err := r.srv.Listen(append(names, r.listener)); err != nil {
			t.Fatal(err)
		}
	}
	listen(unix("kept"), unix("dropped"))
	kept, dropped, busy := dial("kept"), dial("dropped"), dial("dropped")
	for _, c := range []net.Conn{kept, dropped} {
		io.WriteString(c, get("/"))
		until(t, c, "\r\n\r\nok")
	}
	io.WriteString(busy, get("/held"))
	eventually(t, "the request is under way", func() bool { return r.clusters["v1"].InUse() == 1 })

	changed := unix("kept")
	changed.BodyBytes = 1
	listen(changed, unix("added"))
	if rest := readAll(t, dropped); rest != "" {
		t.Errorf("the idle connection of the dropped listener got %q", rest)
	}
	eventually(t, "the dropped listener is closed", func() bool {
		c, err := net.Dial("unix", filepath.Join(dir, "dropped"))
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	close(letGo)
	if answer := readAll(t, busy); statuses(answer) != "200" || !strings.Contains(answer, "Connection: close") {
		t.Errorf("the busy connection of the dropped listener got %q", answer)
	}
	io.WriteString(kept, post("hello", "Content-Length: 5"))
	if answer := until(t, kept, "\r\n\r\nok"); statuses(answer) != "200" {
		t.Errorf("an open connection has new limits: %q", answer)
	}
	anew := dial("kept")
	io.WriteString(anew, post("hello", "Content-Length: 5", closing))
	if answer := readAll(t, anew); statuses(answer) != "413" {
		t.Errorf("a new connection has old limits: %q", answer)
	}
	added := dial("added")
	io.WriteString(added, get("/", closing))
	if answer := readAll(t, added); statuses(answer) != "200" {
		t.Errorf("the added listener answered %q", answer)
	}
	if len(r.srv.Addrs()) != 3 {
		t.Errorf("listeners: %v", r.srv.Addrs())
	}
}

// TestListenChangesNothingOnAnError: one address that can't be had leaves all as
// it was.
func TestListenChangesNothingOnAnError(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	err := r.srv.Listen([]ListenerConfig{
		{Name: "new", Address: "unix:" + filepath.Join(t.TempDir(), "new")},
		{Name: "taken", Address: b.addr},
	})
	if err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("Listen: %v", err)
	}
	if a := r.srv.Addrs(); len(a) != 1 || a["test"] == nil {
		t.Errorf("listeners: %v", a)
	}
	if answer := r.exchangeRaw(get("/", closing)); statuses(answer) != "200" {
		t.Errorf("answered %q", answer)
	}
}

// TestASwapDuringARequest: a request ends under the table that it began under,
// the next one sees the new table.
func TestASwapDuringARequest(t *testing.T) {
	b, letGo := heldBackend(t)
	r := newRig(t, map[string]string{"v1": b.addr, "v2": b.addr}, weights(map[string]int{"v1": 1}))
	c := r.dial()
	io.WriteString(c, get("/held"))
	eventually(t, "the request is under way", func() bool { return r.clusters["v1"].InUse() == 1 })
	weights(map[string]int{"v2": 1})(r)
	r.srv.Swap(r.table())
	close(letGo)
	until(t, c, "\r\n\r\nok")
	io.WriteString(c, get("/next"))
	until(t, c, "\r\n\r\nok")
	seen, _ := b.take()
	if len(seen) != 2 || seen[0].get("Sluice-Version") != "v1" || seen[1].get("Sluice-Version") != "v2" {
		t.Errorf("the backend saw %v", seen)
	}
}

// TestFlipsLoseNoRequest swaps tables all the time under load.
func TestFlipsLoseNoRequest(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr, "v2": b.addr})
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			c := r.dial()
			for range 300 {
				io.WriteString(c, get("/"))
				until(t, c, "\r\n\r\nok")
			}
		})
	}
	go func() { clients.Wait(); close(done) }()
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
			weights(map[string]int{"v1": i % 2, "v2": 1 - i%2})(r)
			r.srv.Swap(r.table())
		}
	}
}

func TestTLSListenerEndToEnd(t *testing.T) {
	server, tlsClient := tlsConfigs(t)
	addr := echoBackend(t)
	r := newRig(t, map[string]string{"v1": addr}, func(r *rig) { r.listener.TLS = server })
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: tlsClient}, Timeout: 10 * time.Second}
	t.Cleanup(c.CloseIdleConnections)
	for _, size := range []int{0, 1, 4 << 10, 16 << 10, 33 << 10, 100_000, 3 << 20} {
		for _, chunked := range []bool{false, true} {
			checkEcho(t, c, "https://"+r.addr, size, chunked)
		}
	}
	// Who speaks plain HTTP, or nonsense, gets no answer and harms no one.
	if answer := r.exchangeRaw(get("/")); statuses(answer) == "200" {
		t.Errorf("plain HTTP was answered %q", answer)
	}
	var many strings.Builder
	for range 100 {
		many.WriteString(get("/"))
	}
	tc := r.dialTLS(tlsClient)
	io.WriteString(tc, many.String()+get("/", closing))
	if answer := readAll(t, tc); len(strings.Fields(statuses(answer))) != 101 {
		t.Errorf("%d answers to 101 pipelined requests", len(strings.Fields(statuses(answer))))
	}
}

func TestUnixListenerAndEndpoint(t *testing.T) {
	dir := t.TempDir()
	ln, err := net.Listen("unix", filepath.Join(dir, "endpoint"))
	if err != nil {
		t.Fatal(err)
	}
	b := serveRecorder(t, ln, nil)
	r := newRig(t, map[string]string{"v1": "unix:" + filepath.Join(dir, "endpoint")}, func(r *rig) {
		r.listener.Address = "unix:" + filepath.Join(dir, "listener")
	})
	for _, body := range []string{"", "hello", strings.Repeat("x", 200_000)} {
		c, err := net.Dial("unix", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(c, post(body, fmt.Sprintf("Content-Length: %d", len(body)), "X-Forwarded-For: 6.6.6.6", closing))
		if answer := readAll(t, c); statuses(answer) != "200" {
			t.Errorf("answered %q", answer)
		}
		c.Close()
		m := b.one()
		checkFields(t, m, "X-Forwarded-For", "-", "X-Forwarded-Proto", "http")
		if m.body != body {
			t.Errorf("a body of %d bytes became one of %d", len(body), len(m.body))
		}
	}
}

// echoBackend sends the body of a request back.
func echoBackend(t *testing.T) string {
	return backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("backend: %v", err)
		}
		if r.Header.Get("X-Length") != "" {
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		}
		w.Write(body)
	})
}

// checkEcho sends a random body to echoBackend and checks what comes back by
// its hash.
func checkEcho(t *testing.T, c *http.Client, url string, size int, chunked bool) {
	body := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size), byte(size >> 8)}).Read(body)
	var in io.Reader = bytes.NewReader(body)
	if chunked {
		in = io.MultiReader(in)
	}
	req, _ := http.NewRequest("POST", url, in)
	if !chunked {
		req.Header.Set("X-Length", "yes")
	}
	res, err := c.Do(req)
	if err != nil {
		t.Errorf("%d bytes: %v", size, err)
		return
	}
	defer res.Body.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, res.Body)
	if want := sha256.Sum256(body); err != nil || !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Errorf("%d bytes, chunked %v: %d other bytes came back, %v", size, chunked, n, err)
	}
}

// TestManyClientsAtOnce: nobody gets another's bytes.
func TestManyClientsAtOnce(t *testing.T) {
	addr := echoBackend(t)
	r := newRig(t, map[string]string{"v1": addr, "v2": addr})
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 200}, Timeout: 30 * time.Second}
	t.Cleanup(c.CloseIdleConnections)
	var clients sync.WaitGroup
	for i := range 200 {
		clients.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for range 5 {
				checkEcho(t, c, "http://"+r.addr, random.IntN(1<<random.IntN(17)), random.IntN(2) == 0)
			}
		})
	}
	clients.Wait()
}

func TestTenThousandPipelinedRequests(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	const n = 10_000
	c := r.dial()
	go func() {
		batch := strings.Repeat(get("/"), 100)
		for range n/100 - 1 {
			io.WriteString(c, batch)
		}
		io.WriteString(c, strings.Repeat(get("/"), 99)+get("/", closing))
	}()
	c.SetDeadline(time.Now().Add(30 * time.Second))
	answer := readAll(t, c)
	if got := strings.Count(answer, "\r\n\r\nok"); got != n {
		t.Errorf("%d answers", got)
	}
	if seen, _ := b.take(); len(seen) != n {
		t.Errorf("the backend saw %d", len(seen))
	}
}
