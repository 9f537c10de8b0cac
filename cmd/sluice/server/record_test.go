package server

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"sluice/synthetic/record"
)

// market is a shop whose every answer has something that the next request needs
// and that is another each time.
type market struct {
	mu     sync.Mutex
	csrf   map[string]string // by session
	tokens map[string]string // by session
	orders map[string]bool
}

func serveMarket(t *testing.T) *httptest.Server {
	m := &market{csrf: map[string]string{}, tokens: map[string]string{}, orders: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", m.home)
	mux.HandleFunc("POST /login", m.login)
	mux.HandleFunc("GET /welcome/{id}", m.welcome)
	mux.HandleFunc("POST /api/v1/carts", m.addCart)
	mux.HandleFunc("PUT /api/v1/carts/{id}/lines", m.addLine)
	mux.HandleFunc("POST /upload", m.upload)
	mux.HandleFunc("POST /orders/{id}/confirm", m.confirm)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/css") })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func session(r *http.Request) string {
	if c, err := r.Cookie("sid"); err == nil {
		return c.Value
	}
	return ""
}

func (m *market) home(w http.ResponseWriter, _ *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sid, csrf := rand.Text(), "a+b/"+rand.Text()+"=="
	m.csrf[sid] = csrf
	http.SetCookie(w, &http.Cookie{Name: "sid", Value: sid, Path: "/", HttpOnly: true})
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<html><link rel=stylesheet href="/style.css"><p>{{ mustache }} costs ${PRICE}</p><form method=post action=/login>`+
		`<input type="hidden" name="csrf_token" value=%q><input name=user></form>`, csrf)
}

func (m *market) login(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sid := session(r)
	if r.FormValue("csrf_token") != m.csrf[sid] || m.csrf[sid] == "" || r.FormValue("password") != "open sesame" || r.FormValue("user") != "ada" || r.FormValue("note") != "${HOME} {{user}}" || r.Header.Get("Origin") == "" {
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	m.tokens[sid] = rand.Text()
	w.Header().Set("Location", "/welcome/7"+strings.ToLower(rand.Text()))
	w.WriteHeader(303)
}

func (m *market) welcome(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sid, id := session(r), r.PathValue("id")
	if m.tokens[sid] == "" || m.orders[id] || len(id) != 27 {
		http.Error(w, "no", 404)
		return
	}
	m.orders[id] = true // each is shown once: it can't be asked for again
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprintf(w, "<script>window.config = {apiToken: \"%s\", debug: false};</script>", m.tokens[sid])
}

func (m *market) api(w http.ResponseWriter, r *http.Request, into any) (ok bool) {
	if token := m.tokens[session(r)]; token == "" || r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("X-Requested-With") != "fetch" {
		http.Error(w, `{"error": "who are you?"}`, http.StatusUnauthorized)
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewDecoder(r.Body).Decode(into); err != nil || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, fmt.Sprintf(`{"error": %q}`, err), 400)
		return false
	}
	return true
}

func (m *market) addCart(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var asked struct{ Currency string }
	if m.api(w, r, &asked) {
		id := 1000 + len(m.tokens)*13
		m.csrf[fmt.Sprint("cart", id)] = "x"
		w.WriteHeader(201)
		fmt.Fprintf(w, `{"cart": {"id": %d, "lines": []}, "products": [{"sku": "p-1", "price": 9.5}, {"sku": "%s", "price": 12}]}`, id, "p-"+strings.ToLower(rand.Text()))
	}
}

func (m *market) addLine(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var asked struct {
		CartID   int    `json:"cartId"`
		Sku      string `json:"sku"`
		Quantity int    `json:"quantity"`
	}
	if !m.api(w, r, &asked) {
		return
	}
	if m.csrf["cart"+r.PathValue("id")] == "" || fmt.Sprint(asked.CartID) != r.PathValue("id") || len(asked.Sku) != 28 || asked.Quantity != 2 {
		http.Error(w, `{"error": "no such cart"}`, 404)
		return
	}
	w.Header().Set("X-Order-Key", "order-"+rand.Text())
	m.orders["key"] = true
	fmt.Fprint(w, `{"ok": true}`)
	m.csrf["key"] = w.Header().Get("X-Order-Key")
}

func (m *market) upload(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r.FormValue("order_key") != m.csrf["key"] || r.FormValue("text") != "hello\r\nworld" {
		http.Error(w, "no", 400)
		return
	}
	w.Header().Set("Location", "http://"+r.Host+"/orders/11?from=upload") // whole, as some frameworks write it
	w.WriteHeader(201)
	fmt.Fprint(w, `<a href="/orders/`+strings.ToLower(rand.Text())+`/confirm">go on</a>`)
}

func (m *market) confirm(w http.ResponseWriter, r *http.Request) {
	if len(r.PathValue("id")) != 26 {
		http.Error(w, "no", 404)
		return
	}
	w.WriteHeader(204)
}

// browser is a client that writes down what it does as Chromium's developer tools
// export it.
type browser struct {
	t       *testing.T
	http    *http.Client
	site    string
	entries []map[string]any
	began   time.Time
}

func newBrowser(t *testing.T, site string) *browser {
	jar, _ := cookiejar.New(nil)
	transport := &http.Transport{DisableKeepAlives: true}
	return &browser{t: t, site: site, began: time.Now(), http: &http.Client{Jar: jar, Transport: transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// do sends a request and returns the answer's head and body.
func (b *browser) do(kind, method, path, contentType, body string, fields ...string) (http.Header, string) {
	b.t.Helper()
	r, err := http.NewRequest(method, b.site+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0.0.0")
	r.Header.Set("sec-ch-ua-platform", `"Linux"`)
	r.Header.Set("Accept", map[bool]string{true: "text/html,application/xhtml+xml,*/*;q=0.8", false: "*/*"}[kind == "document"])
	r.Header.Set("Referer", b.site+"/")
	if method != "GET" {
		r.Header.Set("Origin", b.site)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	u, _ := url.Parse(b.site)
	cookies := b.http.Jar.Cookies(u)
	resp, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= 400 {
		b.t.Fatalf("%s %s: %v, %d %s", method, path, err, resp.StatusCode, text)
	}
	for _, c := range cookies {
		r.Header.Add("Cookie", c.Name+"="+c.Value)
	}
	b.write(kind, r, body, resp, text)
	return resp.Header, string(text)
}

func harFields(h http.Header) []map[string]any {
	all := []map[string]any{{"name": ":authority", "value": "shop"}}
	for name, values := range h {
		for _, v := range values {
			all = append(all, map[string]any{"name": strings.ToLower(name), "value": v})
		}
	}
	return all
}

func (b *browser) write(kind string, r *http.Request, body string, resp *http.Response, text []byte) {
	mime, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	content := map[string]any{"size": len(text), "mimeType": mime, "text": string(text)}
	if !utf8.Valid(text) || len(b.entries)%2 == 1 {
		content["text"], content["encoding"] = base64.StdEncoding.EncodeToString(text), "base64"
	}
	if len(text) == 0 {
		content = map[string]any{"size": 0, "mimeType": "x-unknown"}
	}
	request := map[string]any{"method": r.Method, "url": r.URL.String(), "httpVersion": "http/2.0", "headers": harFields(r.Header), "queryString": []any{}, "cookies": []any{}, "headersSize": -1, "bodySize": len(body)}
	if body != "" {
		request["postData"] = map[string]any{"mimeType": r.Header.Get("Content-Type"), "text": body}
	}
	b.entries = append(b.entries, map[string]any{
		"_connectionId": "174", "_initiator": map[string]any{"type": "other"}, "_priority": "VeryHigh", "_resourceType": kind, "cache": map[string]any{}, "connection": "443", "pageref": "page_1",
		"request": request,
		"response": map[string]any{"status": resp.StatusCode, "statusText": "", "httpVersion": "http/2.0", "headers": harFields(resp.Header), "cookies": []any{}, "content": content,
			"redirectURL": resp.Header.Get("Location"), "headersSize": -1, "bodySize": -1, "_transferSize": 1234, "_error": nil, "_fetchedViaServiceWorker": false},
		"serverIPAddress": "127.0.0.1", "startedDateTime": b.began.Add(time.Duration(len(b.entries)) * time.Second).UTC().Format("2006-01-02T15:04:05.000Z"), "time": 9.9,
		"timings": map[string]any{"blocked": 1.1, "dns": -1, "ssl": -1, "connect": -1, "send": 0.1, "wait": 8.1, "receive": 0.6, "_blocked_queueing": 0.9, "_workerStart": -1},
	})
}

func (b *browser) har() []byte {
	text, err := json.MarshalIndent(map[string]any{"log": map[string]any{
		"version": "1.2", "creator": map[string]any{"name": "WebInspector", "version": "537.36"},
		"pages":   []any{map[string]any{"startedDateTime": b.began.Format(time.RFC3339Nano), "id": "page_1", "title": b.site + "/", "pageTimings": map[string]any{"onContentLoad": 99.1, "onLoad": 120.5}}},
		"entries": b.entries,
	}}, "", "  ")
	if err != nil {
		b.t.Fatal(err)
	}
	return text
}

// between returns what stands in a text behind one mark and before another.
func between(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	text, _, _ = strings.Cut(text, after)
	return text
}

// shopOn does what a customer does in a shop.
func (b *browser) shop() {
	_, page := b.do("document", "GET", "/", "", "")
	b.do("stylesheet", "GET", "/style.css", "", "")
	csrf := between(page, `csrf_token" value="`, `"`)
	head, _ := b.do("document", "POST", "/login", "application/x-www-form-urlencoded",
		url.Values{"user": {"ada"}, "password": {"open sesame"}, "csrf_token": {csrf}, "note": {"${HOME} {{user}}"}}.Encode())
	_, page = b.do("document", "GET", head.Get("Location"), "", "")
	api := []string{"Authorization", "Bearer " + between(page, `apiToken: "`, `"`), "X-Requested-With", "fetch"}
	_, cart := b.do("fetch", "POST", "/api/v1/carts", "application/json", `{"currency": "EUR"}`, api...)
	id, sku := between(cart, `"id": `, ","), between(cart, `9.5}, {"sku": "`, `"`)
	head, _ = b.do("xhr", "PUT", "/api/v1/carts/"+id+"/lines", "application/json", fmt.Sprintf(`{"cartId": %s, "sku": %q, "quantity": 2}`, id, sku), api...)
	boundary := "----WebKitFormBoundaryx9"
	_, page = b.do("fetch", "POST", "/upload", "multipart/form-data; boundary="+boundary, "--"+boundary+"\r\nContent-Disposition: form-data; name=\"order_key\"\r\n\r\n"+head.Get("X-Order-Key")+
		"\r\n--"+boundary+"\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nhello\r\nworld\r\n--"+boundary+"--\r\n")
	b.do("fetch", "POST", between(page, `href="`, `"`), "", "")
}

// A journey that was recorded passes against the server that it was recorded
// from, though nothing in it is the same the second time.
func TestRecordedJourneyPasses(t *testing.T) {
	site := serveMarket(t)
	b := newBrowser(t, site.URL)
	b.shop()
	r := record.New(record.Options{Name: "shopping"})
	if err := r.ReadHAR(bytes.NewReader(b.har())); err != nil {
		t.Fatal(err)
	}
	j, err := r.Journey()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := j.WriteYAML(&text, "shop.har"); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SHOPPING_PASSWORD", "open sesame")
	for _, secret := range []string{"sesame", "sid=", "Bearer ey"} {
		if strings.Contains(text.String(), secret) {
			t.Errorf("%q is written in clear", secret)
		}
	}
	s := run(t, fmt.Sprintf(oneVersion, strings.TrimPrefix(site.URL, "http://")), text.String())
	for range 2 {
		p, err := s.admin.Probe(t.Context(), "web", "v1", []string{"shopping"})
		if err != nil {
			t.Fatal(err)
		}
		if last := lastOf(p.Runs[0].Steps); !p.Passed || len(p.Runs[0].Steps) != 7 {
			t.Fatalf("step %s: %s\n%s\n%s\n%s", last.Name, last.Failure, last.Request, last.Response, text.String())
		}
	}
	if testing.Verbose() {
		t.Log("\n" + text.String())
	}
}
