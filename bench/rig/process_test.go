package rig

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProcessEndsByStop(t *testing.T) {
	p, err := Start("sleeper", t.TempDir(), AnyCore, "sleep", "60")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.AwaitReady(t.Context(), time.Second, func() error { return nil }); err != nil {
		t.Error(err)
	}
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("the second Stop: %v", err)
	}
}

func TestAwaitReadyShowsLastWords(t *testing.T) {
	p, err := Start("failing", t.TempDir(), AnyCore, "sh", "-c", "echo bad line 7; exit 3")
	if err != nil {
		t.Fatal(err)
	}
	err = p.AwaitReady(t.Context(), time.Minute, func() error { return errors.New("refused") })
	if err == nil || !strings.Contains(err.Error(), "bad line 7") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("error = %v, want the exit status and the last words", err)
	}
}

func TestAwaitReadyHasALimit(t *testing.T) {
	p, err := Start("mute", t.TempDir(), AnyCore, "sleep", "60")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	err = p.AwaitReady(t.Context(), 30*time.Millisecond, func() error { return errors.New("refused") })
	if err == nil || !strings.Contains(err.Error(), "not ready within") {
		t.Errorf("error = %v, want that it isn't ready", err)
	}
}

func TestFreeAddresses(t *testing.T) {
	free, err := FreeAddresses(3)
	if err != nil || len(free) != 3 {
		t.Fatalf("FreeAddresses = %v, %v", free, err)
	}
	if free[0] == free[1] || free[1] == free[2] {
		t.Errorf("one port twice: %v", free)
	}
	ln, err := net.Listen("tcp", free[0])
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
}

func TestEnsureToolsKnowsPresentOnes(t *testing.T) {
	if err := EnsureTools(context.Background(), "sh"); err != nil {
		t.Error(err)
	}
	if got := missingPackages([]string{"sh", "no-such-program-here"}); len(got) != 1 || got[0] != "no-such-program-here" {
		t.Errorf("missingPackages = %v", got)
	}
	if got := packageOf("nginx"); got != "nginx-light" {
		t.Errorf("packageOf(nginx) = %s", got)
	}
}

func TestClientCountsBytes(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Answered-By", "v1")
		if _, err := r.Cookie("pin"); err != nil {
			http.SetCookie(w, &http.Cookie{Name: "pin", Value: "x", HttpOnly: true})
		}
		_, _ = w.Write([]byte("hello"))
	}))
	defer srv.Close()
	c, err := Dial(srv.Listener.Addr().String(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first, err := c.Get("/", "")
	if err != nil || first.Status != 200 || first.Version != "v1" || first.Cookie != "pin=x" {
		t.Fatalf("first answer %+v, %v", first, err)
	}
	second, err := c.Get("/", first.Cookie)
	if err != nil || second.Cookie != "" {
		t.Fatalf("second answer %+v, %v", second, err)
	}
	if want := int64(len("Set-Cookie: pin=x; HttpOnly\r\n")); first.Bytes-second.Bytes != want {
		t.Errorf("the first answer is %d bytes longer than the second, want %d", first.Bytes-second.Bytes, want)
	}
}

func TestClientsSpeakTLS(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Answered-By", r.Proto)
		http.SetCookie(w, &http.Cookie{Name: "pin", Value: "x"})
	}))
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{NextProtos: []string{"h2", "http/1.1"}}
	srv.StartTLS()
	defer srv.Close()
	config := srv.Client().Transport.(*http.Transport).TLSClientConfig
	addr := srv.Listener.Addr().String()

	one, err := DialTLS(addr, time.Minute, config)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	two, err := DialHTTP2(addr, time.Minute, config)
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	for _, tc := range []struct {
		want string
		get  func(path, cookie string) (Answer, error)
	}{{"HTTP/1.1", one.Get}, {"HTTP/2.0", two.Get}} {
		a, err := tc.get("/", "pin=x")
		if err != nil || a.Status != 200 || a.Version != tc.want || a.Cookie != "pin=x" {
			t.Errorf("%s: answer %+v, %v", tc.want, a, err)
		}
	}
}

func TestServerMustSpeakTheProtocol(t *testing.T) {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	config := srv.Client().Transport.(*http.Transport).TLSClientConfig
	if c, err := DialHTTP2(srv.Listener.Addr().String(), time.Minute, config); err == nil {
		c.Close()
		t.Error("a server without HTTP/2 is taken")
	}
}
