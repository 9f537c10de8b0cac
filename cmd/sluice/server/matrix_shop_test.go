package server

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"sluice/admin/api"
)

// boutique is a site behind a login, whose tokens are drawn anew for each session, so
// that only who takes them from its answers gets through. One step of it may be
// broken, each in another way.
type boutique struct {
	broken string

	mu       sync.Mutex
	sessions map[string]*customer // by the session's cookie
	tokens   []string             // ever given out
}

type customer struct {
	csrf, token, order string
	items              []string
}

// openBoutique serves a boutique and returns its address.
func openBoutique(t *testing.T, broken string) (*boutique, string) {
	p := &boutique{broken: broken, sessions: map[string]*customer{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.front)
	mux.HandleFunc("POST /login", p.login)
	mux.HandleFunc("POST /cart/items", p.put)
	mux.HandleFunc("GET /cart", p.cart)
	mux.HandleFunc("POST /checkout", p.checkout)
	mux.HandleFunc("GET /orders/{id}", p.order)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return p, strings.TrimPrefix(server.URL, "http://")
}

func (p *boutique) token() string {
	text := rand.Text()
	p.tokens = append(p.tokens, text)
	return text
}

// of returns the session of a request that has logged in.
func (p *boutique) of(w http.ResponseWriter, r *http.Request) *customer {
	c, err := r.Cookie("sid")
	if err == nil {
		if s := p.sessions[c.Value]; s != nil && s.token != "" && r.Header.Get("Authorization") == "Bearer "+s.token {
			return s
		}
	}
	http.Error(w, "log in first", http.StatusForbidden)
	return nil
}

func (p *boutique) front(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sid, s := p.token(), &customer{csrf: p.token()}
	p.sessions[sid] = s
	http.SetCookie(w, &http.Cookie{Name: "sid", Value: sid, Path: "/", HttpOnly: true, Secure: true})
	if p.broken == "front" {
		io.WriteString(w, "<form action=/login></form>")
		return
	}
	fmt.Fprintf(w, `<form action=/login><input name=csrf value="%s"></form>`, s.csrf)
}

func (p *boutique) login(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, err := r.Cookie("sid")
	if err != nil || p.sessions[c.Value] == nil || r.FormValue("csrf") != p.sessions[c.Value].csrf || r.FormValue("password") != "open sesame" {
		http.Error(w, "who is "+r.FormValue("password")+"?", http.StatusUnauthorized)
		return
	}
	s := p.sessions[c.Value]
	s.token = p.token()
	if p.broken == "login" {
		fmt.Fprintf(w, `{"jwt": %q}`, s.token)
		return
	}
	fmt.Fprintf(w, `{"token": %q, "user": {"name": %q}}`, s.token, r.FormValue("user"))
}

func (p *boutique) put(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.of(w, r)
	if s == nil {
		return
	}
	var item struct{ SKU string }
	if json.NewDecoder(r.Body).Decode(&item) != nil || p.broken == "put" {
		panic(http.ErrAbortHandler) // the connection breaks
	}
	s.items = append(s.items, item.SKU)
	w.WriteHeader(http.StatusCreated)
}

func (p *boutique) cart(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.of(w, r); s != nil {
		price := "19.9"
		if p.broken == "cart" {
			price = `"19.90"`
		}
		s.order = p.token()
		fmt.Fprintf(w, `{"order": %q, "items": [{"sku": %q, "price": %s}]}`, s.order, strings.Join(s.items, ","), price)
	}
}

func (p *boutique) checkout(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.of(w, r)
	if s == nil {
		return
	}
	if r.FormValue("order") != s.order || p.broken == "checkout" {
		io.WriteString(w, "<p>Sorry, something went wrong") // with status 200
		return
	}
	w.Header().Set("Location", "/orders/"+s.order)
	w.WriteHeader(http.StatusSeeOther)
}

func (p *boutique) order(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.of(w, r); s != nil && (r.PathValue("id") != s.order || p.broken == "order") {
		http.NotFound(w, r)
	}
}

const shopFile = `journeys:
  visit:
    steps: [{name: front, path: /, expect: {status: [200]}}]
  login:
    variables: {user: ada}
    secrets: {password: open sesame}
    steps:
      - {name: front, path: /, capture: {csrf: {regex: 'name=csrf value="([^"]+)"'}}}
      - {name: login, method: POST, path: /login, body: {form: {user: "{{user}}", password: "{{password}}", csrf: "{{csrf}}"}},
         expect: {json: {$.user.name: "{{user}}"}}, capture: {token: {json: $.token}}}
  buy:
    secrets: {password: open sesame}
    steps:
      - {name: front, path: /, capture: {csrf: {regex: 'name=csrf value="([^"]+)"'}}}
      - {name: login, method: POST, path: /login, body: {form: {password: "{{password}}", csrf: "{{csrf}}"}}, capture: {token: {json: $.token}}}
      - {name: put, method: POST, path: /cart/items, headers: {Authorization: "Bearer {{token}}"}, body: {json: '{"sku": "b-7"}'}, expect: {status: [201]}}
      - {name: cart, path: /cart, headers: {Authorization: "Bearer {{token}}"}, expect: {json: {"$.items[?(@.price < 20)].sku": b-7}}, capture: {order: {json: $.order}}}
      - {name: checkout, method: POST, path: /checkout, headers: {Authorization: "Bearer {{token}}"}, body: {form: {order: "{{order}}"}},
         expect: {status: [303], header: {Location: "/orders/{{order}}"}}}
      - {name: order, path: "/orders/{{order}}", headers: {Authorization: "Bearer {{token}}"}, expect: {status: [200]}}
`

// Versions of a shop break one step each. The matrix shows exactly these cells, no
// customer could be led to one of them, and no password, cookie or token is kept.
func TestShopMatrix(t *testing.T) {
	broken := []string{"none", "front", "login", "put", "cart", "checkout", "order"}
	var all []*boutique
	declared := ""
	for i, step := range broken {
		p, address := openBoutique(t, step)
		all = append(all, p)
		declared += fmt.Sprintf("v%d: {endpoints: [%q], weight: %d}, ", i, address, 1-min(i, 1))
	}
	s := run(t, "services: {web: {journeys: [visit, login, buy], versions: {"+declared+"}}}", shopFile)
	s.draws("visit v0+ v1+ v2+ v3+ v4+ v5+ v6+\n" +
		"login v0+ v1x@front v2x@login v3+ v4+ v5+ v6+\n" +
		"buy v0+ v1x@front v2x@login v3x@put v4x@cart v5x@checkout v6x@order")
	for i := range broken[1:] {
		if err := s.shift(fmt.Sprintf("v%d", i+1), false); err == nil || !strings.Contains(err.Error(), "fails at step "+broken[i+1]) {
			t.Errorf("v%d: %v", i+1, err)
		}
	}
	var kept strings.Builder
	for _, c := range s.history.Cells("", 99) {
		h, err := s.admin.Cell(t.Context(), c.Service, c.Version, c.Journey)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := json.Marshal(h)
		kept.Write(text)
	}
	for _, p := range all {
		p.mu.Lock()
		for _, secret := range append(p.tokens, "open sesame", "open+sesame", "open%20sesame") {
			if strings.Contains(kept.String(), secret) {
				t.Errorf("%q is kept", secret)
			}
		}
		p.mu.Unlock()
	}
	if kept.Len() == 0 {
		t.Error("nothing is kept")
	}
}

// hostileBackend answers with what fills memories.
func hostileBackend(t *testing.T, kind string) string {
	chunk := bytes.Repeat([]byte("[{\"a\":"), 10_000)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	for range 64 {
		z.Write(make([]byte, 1<<20))
	}
	z.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch kind {
		case "bomb":
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb.Bytes())
			return
		case "deep":
			w.Write(bytes.Repeat([]byte("["), 1<<20))
			return
		case "fields":
			for i := range 100 {
				w.Header().Set(fmt.Sprintf("X-Field-%d", i), strings.Repeat("x", 500))
			}
			w.WriteHeader(500)
			return
		case "sized":
			w.Header().Set("Content-Length", fmt.Sprint(1<<30))
		}
		for range (1 << 30) / len(chunk) { // "endless" goes on for a GB
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// Whatever a version answers: its runs end, and what is kept of them is bounded.
func TestHostileMatrix(t *testing.T) {
	kinds := []string{"bomb", "deep", "endless", "fields", "sized"}
	declared := ""
	for _, kind := range kinds {
		declared += fmt.Sprintf("%s: {endpoints: [%q]}, ", kind, hostileBackend(t, kind))
	}
	s := run(t, "services: {web: {journeys: [look], probe: {every: 0s}, versions: {"+declared+"v1: {endpoints: [\""+backend(t, "v1")+"\"], weight: 1}}}}",
		"journeys: {look: {steps: [{name: page, path: /, expect: {json: {$.a: 1}}}]}}")
	for _, kind := range kinds {
		for range 8 {
			if p, err := s.admin.Probe(t.Context(), "web", kind, nil); err != nil || p.Passed {
				t.Fatalf("%s: %+v %v", kind, p, err)
			}
		}
		h, err := s.admin.Cell(t.Context(), "web", kind, "look")
		if err != nil || h.State != api.CellFailed || len(h.Runs) != 8 {
			t.Fatalf("%s: %+v %v", kind, h, err)
		}
		whole := 0
		for _, run := range h.Runs {
			step := run.Steps[0]
			if n := len(step.Request) + len(step.Response); n > 48<<10 || len(run.Failure) > 2<<10 {
				t.Errorf("%s: %d bytes of a run are kept", kind, n)
			}
			if step.Response != "" {
				whole++
			}
		}
		if whole != 5 {
			t.Errorf("%s: %d failures are kept with what was exchanged", kind, whole)
		}
	}
}
