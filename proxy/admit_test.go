package proxy

import (
	"io"
	"net/netip"
	"strings"
	"testing"

	"sluice/proxy/limit"
)

// field returns the value of a field of a raw response, "" if it has none.
func field(raw, name string) string {
	head, _, _ := strings.Cut(raw, "\r\n\r\n")
	for line := range strings.SplitSeq(head, "\r\n") {
		if n, value, ok := strings.Cut(line, ": "); ok && n == name {
			return value
		}
	}
	return ""
}

func trust(network string) option {
	return func(r *rig) { r.listener.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(network)} }
}

// TestRatesRefuseWithoutAskingAnEndpoint: what is over a rate is answered here,
// tells when to come again, and its connection goes on.
func TestRatesRefuseWithoutAskingAnEndpoint(t *testing.T) {
	t.Parallel()
	two := limit.Rate{PerSecond: 0.1, Burst: 2}
	for name, set := range map[string]option{
		"a listener's client": func(r *rig) { r.listener.ClientRate = two },
		"a service":           func(r *rig) { r.settings.Rates = NewRates(two, limit.Rate{}) },
		"a service's client":  func(r *rig) { r.settings.Rates = NewRates(limit.Rate{}, two) },
	} {
		b := newRecorder(t, nil)
		r := newRig(t, map[string]string{"v1": b.addr}, set)
		answer := r.exchangeRaw(get("/1") + get("/2") + get("/3") + post("hello", "Content-Length: 5", closing))
		if s := statuses(answer); s != "200 200 429 429" {
			t.Errorf("%s: answered %s", name, s)
		}
		refused := answer[strings.Index(answer, "HTTP/1.1 429"):]
		if after := field(refused, "Retry-After"); after != "10" || field(refused, "Cache-Control") != "no-store" {
			t.Errorf("%s: refused by %q", name, refused)
		}
		if seen, _ := b.take(); len(seen) != 2 {
			t.Errorf("%s: the endpoint saw %d requests", name, len(seen))
		}
		if e := r.stats.Edge(); e.LimitedByListener["test"]+e.LimitedByService["web"] != 2 {
			t.Errorf("%s: counted %+v", name, e)
		}
	}
}

// TestRatesAreTheClients and not those of the proxies that they come by.
func TestRatesAreTheClients(t *testing.T) {
	t.Parallel()
	once := limit.Rate{PerSecond: 0.001}
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, trust("127.0.0.0/8"), func(r *rig) {
		r.listener.ClientRate, r.settings.Rates = once, NewRates(limit.Rate{}, once)
	})
	from := func(client string) string { return get("/", "X-Forwarded-For: "+client) }
	answer := r.exchangeRaw(from("192.0.2.1") + from("192.0.2.2") + from("192.0.2.1") + get("/") + get("/") +
		from("2001:db8::1") + from("2001:db8::2") + get("/", closing))
	if s := statuses(answer); s != "200 200 429 200 200 200 429 200" {
		t.Errorf("answered %s", s)
	}
}

func TestRatesOutliveAReload(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.ClientRate = limit.Rate{PerSecond: 0.001} })
	reload := func() {
		if err := r.srv.Listen([]ListenerConfig{r.listener}); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(want string) {
		t.Helper()
		if s := statuses(r.exchangeRaw(get("/", closing))); s != want {
			t.Errorf("answered %s, want %s", s, want)
		}
	}
	ask("200")
	reload()
	ask("429")
	r.listener.ClientRate.Burst = 1
	reload()
	ask("200")
	r.listener.ClientRate = limit.Rate{}
	reload()
	ask("200")
	ask("200")
}

func TestRedirectToHTTPS(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	for _, c := range []struct {
		port     int
		request  string
		location string
	}{
		{443, get("/a?b=c", closing), "https://a.example/a?b=c"},
		{8443, "GET /a HTTP/1.1\r\nHost: shop.example:8080\r\nConnection: close\r\n\r\n", "https://shop.example:8443/a"},
		{443, "GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\nConnection: close\r\n\r\n", "https://[2001:db8::1]/"},
		{444, "GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\nConnection: close\r\n\r\n", "https://[2001:db8::1]:444/"},
		{443, "POST //evil.example/ HTTP/1.1\r\nHost: a:\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi", "https://a//evil.example/"},
		{443, "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "https://a"},
		{443, "GET http://b/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "https://b/x"},
		{443, "GET / HTTP/1.0\r\nX-Forwarded-Proto: https\r\nHost: a\r\n\r\n", "https://a/"},
	} {
		r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.RedirectHTTPS, r.listener.HSTS = c.port, "max-age=1" })
		answer := r.exchangeRaw(c.request)
		if statuses(answer) != "308" || field(answer, "Location") != c.location {
			t.Errorf("%q: answered %q, want %s", c.request, answer, c.location)
		}
		if field(answer, "Strict-Transport-Security") != "" {
			t.Error("HSTS over plain HTTP")
		}
	}
	if seen, _ := b.take(); len(seen) > 0 {
		t.Errorf("an endpoint saw %v", shorts(seen))
	}
}

func TestNoRedirect(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	challenge := func(host, path string) (string, bool) {
		return "answer for " + host, path == challengePath+"known" && host == "shop.example"
	}
	r := newRig(t, map[string]string{"v1": b.addr}, trust("127.0.0.0/8"), func(r *rig) {
		r.listener.RedirectHTTPS, r.listener.Challenge = 443, challenge
	})
	answer := r.exchangeRaw("GET /.well-known/acme-challenge/known HTTP/1.1\r\nHost: shop.example:80\r\n\r\n" +
		"GET /.well-known/acme-challenge/other HTTP/1.1\r\nHost: shop.example\r\n\r\n" +
		"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" +
		get("/unwrapped", "X-Forwarded-Proto: HTTPS") + get("/plain", "X-Forwarded-Proto: http", closing))
	if s := statuses(answer); s != "200 308 400 200 308" || !strings.Contains(answer, "\r\n\r\nanswer for shop.example") {
		t.Errorf("answered %s: %q", s, answer)
	}
	if seen, _ := b.take(); len(seen) != 1 {
		t.Errorf("the endpoint saw %v", shorts(seen))
	}
}

func TestHSTS(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, always("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	own := newRecorder(t, always("HTTP/1.1 200 OK\r\nStrict-transport-security: max-age=5\r\nContent-Length: 0\r\n\r\n"))
	server, clientTLS := tlsConfigs(t)
	for backend, want := range map[*recorder]string{b: "Strict-Transport-Security: max-age=31536000", own: "Strict-transport-security: max-age=5"} {
		r := newRig(t, map[string]string{"v1": backend.addr}, func(r *rig) {
			r.listener.TLS, r.listener.HSTS, r.listener.BodyBytes = server, "max-age=31536000", 3
		})
		c := r.dialTLS(clientTLS)
		io.WriteString(c, get("/")+post("hello", "Content-Length: 5", closing))
		answer := readAll(t, c)
		if statuses(answer) != "200 413" || strings.Count(strings.ToLower(answer), "strict-transport") != 2 || !strings.Contains(answer, want) {
			t.Errorf("answered %q", answer)
		}
	}
}
