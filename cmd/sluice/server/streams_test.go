package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"sluice/admin/api"
)

// chat starts an endpoint that answers WebSockets, each message with its own
// name and the message, until they end.
func chat(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, message, err := c.Read(r.Context())
			if err != nil || c.Write(r.Context(), kind, []byte(name+" "+string(message))) != nil {
				return
			}
		}
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// talk opens a WebSocket to a version and says something.
func (s *sluice) talk(pin string) (*websocket.Conn, string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	header := http.Header{}
	if pin != "" {
		header.Set("Cookie", pin)
	}
	c, _, err := websocket.Dial(ctx, s.url("", "/"), &websocket.DialOptions{HTTPHeader: header})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.CloseNow() })
	return c, say(s.t, c)
}

// say says something on a WebSocket and returns who answered.
func say(t testing.TB, c *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	_, answer, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// TestStreamsAtAFlip: a flip leaves WebSockets alone, unless it says that they
// are to be closed; then their clients are told to come again, and find the
// other version.
func TestStreamsAtAFlip(t *testing.T) {
	s := run(t, fmt.Sprintf(`services:
  web:
    streams_jitter: 100ms
    versions:
      v1: {endpoints: [%q], weight: 100}
      v2: {endpoints: [%q], weight: 0}`, chat(t, "v1"), chat(t, "v2")))
	old, said := s.talk("")
	if said != "v1 hello" {
		t.Fatalf("%q", said)
	}
	s.flip("web", "move", all("v2"))
	if said := say(t, old); said != "v1 hello" {
		t.Errorf("after a flip that lets streams finish: %q", said)
	}
	anew, said := s.talk("")
	if said != "v2 hello" {
		t.Fatalf("%q", said)
	}
	change, err := s.admin.Rollback(t.Context(), "web", api.Rollback{To: "v1", Streams: "close"})
	if err != nil || change.Streams != "close" {
		t.Fatalf("%+v %v", change, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, _, err = anew.Read(ctx)
	if code := websocket.CloseStatus(err); code != websocket.StatusServiceRestart {
		t.Errorf("the client is told %d: %v", code, err)
	}
	if _, said := s.talk(""); said != "v1 hello" {
		t.Errorf("who comes again finds %q", said)
	}
	if said := say(t, old); said != "v1 hello" {
		t.Errorf("the version that won: %q", said)
	}
	history, err := s.admin.History(t.Context(), "web")
	if err != nil || history.Flips[0].Streams != "close" || history.Flips[1].Streams != "finish" {
		t.Errorf("history %+v, %v", history, err)
	}
	if _, err := s.admin.SetWeights(t.Context(), "web", api.Weights{Weights: all("v1"), Streams: "cut"}, 0); err == nil {
		t.Error("streams: cut was taken")
	} else if p := (*api.Problem)(nil); !errors.As(err, &p) {
		t.Error(err)
	}
}

// TestShieldAndAssetsFromTheFile: both reach the data path, and the numbers.
func TestShieldAndAssetsFromTheFile(t *testing.T) {
	answer := func(name string) string {
		b := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case name == "v2" && strings.HasPrefix(r.URL.Path, "/assets/"):
				http.NotFound(w, r)
			case name == "v2":
				w.WriteHeader(500)
			default:
				fmt.Fprint(w, name)
			}
		}))
		t.Cleanup(b.Close)
		return strings.TrimPrefix(b.URL, "http://")
	}
	s := run(t, fmt.Sprintf(`services:
  web:
    shield: {statuses: [500]}
    asset_fallback: {paths: ["/assets"]}
    expose: true
    pin: {by: "header:X-Session"}
    versions:
      v1: {endpoints: [%q], weight: 60}
      v2: {endpoints: [%q], weight: 40}`, answer("v1"), answer("v2")))
	shielded, fellBack := 0, 0
	for i := range 100 {
		for path, n := range map[string]*int{"/": &shielded, "/assets/a.js": &fellBack} {
			req, _ := http.NewRequest("GET", s.url("", path), nil)
			req.Header.Set("X-Session", fmt.Sprint(i))
			res, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != 200 || res.Header.Get("Sluice-Version") != "v1" {
				t.Fatalf("%s: %d by %s", path, res.StatusCode, res.Header.Get("Sluice-Version"))
			}
			switch res.Header.Get("Sluice-Reason") {
			case "shield", "asset_fallback":
				*n++
			}
		}
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if shielded == 0 || shielded != fellBack {
		t.Errorf("%d shielded, %d from another version", shielded, fellBack)
	}
	numbers := live{s.Server}.Numbers("web")["web"]
	if n := numbers["v2"]; n.Shielded != uint64(shielded) || n.AssetFallbacks != uint64(fellBack) || n.Errors != uint64(shielded) {
		t.Errorf("v2 counts %+v; want %d and %d", n, shielded, fellBack)
	}
}
