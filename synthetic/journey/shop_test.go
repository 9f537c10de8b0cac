package journey

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shop is a site of two pages behind a login. What is broken in it is named:
// "login", "cart" or "checkout".
func shop(t *testing.T, broken string) Target {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		var who struct{ User, Password string }
		if json.NewDecoder(r.Body).Decode(&who) != nil || who.User != `ada "the first"` || who.Password != "open/sesame" || broken == "login" {
			http.Error(w, "who? "+who.Password, http.StatusUnauthorized)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "session-77", Secure: true, HttpOnly: true, Path: "/"})
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		io.WriteString(w, `{"user": {"name": "ada", "age": 36}, "token": "tok/en+1", "cart": "/cart/7"}`)
	})
	mux.HandleFunc("GET /cart/7", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("sid"); err != nil || c.Value != "session-77" || r.Header.Get("Authorization") != "Bearer tok/en+1" {
			http.Error(w, "no session", http.StatusForbidden)
			return
		}
		price := "9.5"
		if broken == "cart" {
			price = `"9.5"`
		}
		fmt.Fprintf(w, `{"items": [{"id": 1, "price": %s}], "next": "order-4711"}`, price)
	})
	mux.HandleFunc("POST /checkout", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("token") != "tok/en+1" || r.FormValue("order") != "4711" {
			http.Error(w, "not yours", http.StatusForbidden)
			return
		}
		if broken == "checkout" {
			io.WriteString(w, "<p>Something went wrong</p>")
			return
		}
		w.Header().Set("Location", "/thanks")
		w.WriteHeader(http.StatusSeeOther)
		io.WriteString(w, "<p>Thank you</p>")
	})
	return serve(t, mux)
}

// serve serves a handler and returns how it is asked.
func serve(t *testing.T, h http.Handler) Target {
	s := httptest.NewServer(h)
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	t.Cleanup(func() { s.Close(); transport.CloseIdleConnections() })
	u, _ := url.Parse(s.URL)
	return Target{Host: "shop.example.com", Send: func(r *http.Request) (*http.Response, error) {
		r.URL.Host = u.Host
		r.Host = "shop.example.com"
		return transport.RoundTrip(r)
	}}
}

// checkout is the journey through the shop.
func checkout() Spec {
	ok := []Statuses{{200, 299}}
	return Spec{
		Name: "checkout", Timeout: 20 * time.Second,
		Values: map[string]string{"user": `ada "the first"`}, Secrets: map[string]string{"password": "open/sesame"},
		Steps: []Step{
			{Name: "login", Method: "POST", Path: "/login", Timeout: 10 * time.Second,
				Body:   Body{JSON: `{"user": "{{user}}", "password": "{{password}}"}`},
				Expect: Expect{Status: ok, Header: map[string]string{"Content-Type": "application/json*"}, JSON: map[string]string{"$.user.age": "36", "$.user.name": "ada", "$.token": "*"}},
				Capture: []Capture{{Name: "token", JSON: "$.token"}, {Name: "cart", JSON: "$.cart", Show: true},
					{Name: "sid", Cookie: "sid"}, {Name: "kind", Header: "Content-Type", Show: true}}},
			{Name: "cart", Method: "GET", Path: "{{cart}}", Timeout: 10 * time.Second,
				Headers: map[string]string{"Authorization": "Bearer {{token}}", "X-Token": "{{token}}"},
				Expect: Expect{Status: ok, JSON: map[string]string{"$.items[?(@.price > 9)].id": "1"}, Regex: []string{`order-\d+`},
					Schema: []byte(`{"type": "object", "properties": {"items": {"items": {"properties": {"price": {"type": "number"}}}}}}`)},
				Capture: []Capture{{Name: "order", Regex: `order-(\d+)`, Show: true}}},
			{Name: "checkout", Method: "POST", Path: "/checkout", Timeout: 10 * time.Second,
				Body:   Body{Form: map[string]string{"token": "{{token}}", "order": "{{order}}"}},
				Expect: Expect{Status: []Statuses{{200, 200}, {303, 303}}, Contains: []string{"Thank you"}, Latency: 10 * time.Second}},
		},
	}
}

func compiled(t *testing.T, spec Spec) *Journey {
	t.Helper()
	j, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// Each version that breaks one step fails at that step and no other.
func TestShop(t *testing.T) {
	j := compiled(t, checkout())
	for _, c := range []struct{ broken, why string }{
		{"", ""},
		{"login", "status 401, not 200-299"},
		{"cart", "$.items[?(@.price > 9)].id is not in the body; the body breaks the schema: at '/items/0/price': got string, want number"},
		{"checkout", `the body does not contain "Thank you"`},
	} {
		res := j.Run(t.Context(), shop(t, c.broken))
		if c.broken == "" {
			if res.Err != nil || len(res.Steps) != 3 {
				t.Errorf("%v after %d steps: %+v", res.Err, len(res.Steps), res.Steps)
			}
			continue
		}
		last := res.Steps[len(res.Steps)-1]
		if res.Err == nil || last.Name != c.broken || last.Err.Error() != c.why {
			t.Errorf("%s is broken: %v", c.broken, res.Err)
		}
		for _, s := range res.Steps[:len(res.Steps)-1] {
			if s.Err != nil {
				t.Errorf("%s is broken, and %s fails", c.broken, s.Name)
			}
		}
	}
}

// Nothing that is kept of a run shows a secret, in whatever form it was sent.
func TestSecretsAreMasked(t *testing.T) {
	for _, broken := range []string{"", "login", "cart", "checkout"} {
		res := compiled(t, checkout()).Run(t.Context(), shop(t, broken))
		text := fmt.Sprintf("%+v %v", res.Steps, res.Err)
		for _, secret := range []string{"open/sesame", "open%2Fsesame", `open\/sesame`, "tok/en", "tok%2Fen", "session-77"} {
			if strings.Contains(text, secret) {
				t.Errorf("%q is shown in %s", secret, text)
			}
		}
	}
	res := compiled(t, checkout()).Run(t.Context(), shop(t, "checkout"))
	last := res.Steps[len(res.Steps)-1]
	if !strings.HasPrefix(last.Request, "POST /checkout\nHost: shop.example.com\nContent-Type: ") {
		t.Errorf("request %q", last.Request)
	}
	if !strings.HasSuffix(last.Request, "\n\norder=4711&token=***") || !strings.Contains(last.Request, "Cookie: ***\n") {
		t.Errorf("request %q", last.Request)
	}
	if !strings.HasPrefix(last.Response, "200 OK\n") || !strings.HasSuffix(last.Response, "\n\n<p>Something went wrong</p>") {
		t.Errorf("response %q", last.Response)
	}
}

// Runs at the same time have cookies and values of their own.
func TestRunsAtTheSameTime(t *testing.T) {
	j, target := compiled(t, checkout()), shop(t, "")
	done := make(chan error, 8)
	for range cap(done) {
		go func() { done <- j.Run(t.Context(), target).Err }()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
