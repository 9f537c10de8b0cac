package proxy

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"sluice/proxy/head"
)

// trusting makes the test's own address a trusted proxy.
func trusting(r *rig) {
	r.listener.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
}

// forwarded sends a GET with these field lines and returns what the backend
// sees.
func forwarded(r *rig, b *recorder, lines ...string) message {
	r.t.Helper()
	answer := r.exchangeRaw(get("/", append(lines, closing)...))
	if statuses(answer) != "200" {
		r.t.Fatalf("answered %q", answer)
	}
	return b.one()
}

// checkFields checks values of a message; "-" stands for no such field.
func checkFields(t *testing.T, m message, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		got := m.get(pairs[i])
		if !m.has(pairs[i]) {
			got = "-"
		}
		if got != pairs[i+1] {
			t.Errorf("%s: %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

func TestFieldsOfTheConnectionEndHere(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	m := forwarded(r, b, "Connection: keep-alive, X-Hop , ,x-second", "X-Hop: 1", "X-Second: 2", "X-Third: 3",
		"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Proxy-Authorization: Basic x", "TE: gzip", "Upgrade: h2c")
	checkFields(t, m, "Connection", "-", "X-Hop", "-", "X-Second", "-", "X-Third", "3", "Keep-Alive", "-",
		"Proxy-Connection", "-", "Proxy-Authorization", "-", "TE", "-", "Upgrade", "-")
}

// TestConnectionCantNameAway: a client that could remove these would hide who
// it is, or make the endpoint read another request.
func TestConnectionCantNameAway(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	raw := "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nAuthorization: Bearer x\r\nCookie: a=b\r\nX-Request-Id: id\r\n" +
		"Connection: close, Host, Content-Length, Authorization, Cookie, X-Request-Id, Via\r\n" +
		"Connection: x-forwarded-for, X-Forwarded-Proto, X-Forwarded-Host, sluice-version, Sluice-Shape, Sluice-Rule\r\n\r\nhello"
	if answer := r.exchangeRaw(raw); statuses(answer) != "200" {
		t.Fatalf("answered %q", answer)
	}
	m := b.one()
	checkFields(t, m, "Host", "a.example", "Content-Length", "5", "Authorization", "Bearer x", "Cookie", "a=b", "X-Request-Id", "id",
		"Via", "1.1 sluice", "X-Forwarded-For", "127.0.0.1", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "a.example", "Sluice-Version", "v1")
	if m.body != "hello" {
		t.Errorf("body %q", m.body)
	}
}

func TestForwardedFieldsOfStrangersAreReplaced(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	m := forwarded(r, b, "X-Forwarded-For: 6.6.6.6", "x-forwarded-for: 7.7.7.7", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil",
		"X-Forwarded-Port: 1", "X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6")
	checkFields(t, m, "X-Forwarded-For", "127.0.0.1", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "a.example",
		"X-Forwarded-Port", "-", "X-Real-IP", "-", "Forwarded", "-")
}

func TestForwardedFieldsOfTrustedPeersAreExtended(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, trusting)
	m := forwarded(r, b, "X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 10.1.1.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example",
		"X-Forwarded-Port: 443", "X-Real-IP: 6.6.6.6", "Forwarded: for=6.6.6.6;proto=https", "Forwarded: for=10.1.1.1")
	checkFields(t, m, "X-Forwarded-For", "6.6.6.6, 10.1.1.1, 127.0.0.1", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "shop.example",
		"X-Forwarded-Port", "443", "X-Real-IP", "6.6.6.6",
		"Forwarded", `for=6.6.6.6;proto=https, for=10.1.1.1, for="127.0.0.1";proto=http`)
	m = forwarded(r, b)
	checkFields(t, m, "X-Forwarded-For", "127.0.0.1", "X-Forwarded-Proto", "http", "X-Forwarded-Host", "a.example", "Forwarded", "-")
}

// TestClientBehindTrustedPeers: the client is the last stranger on the list,
// and what stands before it is that stranger's word.
func TestClientBehindTrustedPeers(t *testing.T) {
	p := peer{listener: &ListenerConfig{}, trusted: true, addr: netip.MustParseAddrPort("10.0.0.1:1")}
	p.listener.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for value, want := range map[string]string{
		"":                              "10.0.0.1",
		"6.6.6.6":                       "6.6.6.6",
		"7.7.7.7, 6.6.6.6":              "6.6.6.6",
		"7.7.7.7, 6.6.6.6, 10.2.2.2":    "6.6.6.6",
		"6.6.6.6:1234,10.2.2.2":         "6.6.6.6",
		"[2001:db8::1]:443, fd00::2":    "2001:db8::1",
		"::ffff:6.6.6.6":                "6.6.6.6",
		"10.3.3.3, 10.2.2.2":            "10.3.3.3",
		"6.6.6.6, unknown, 10.2.2.2":    "10.2.2.2",
		"6.6.6.6, , 10.2.2.2":           "10.2.2.2",
		"6.6.6.6, '; drop, 10.2.2.2":    "10.2.2.2",
		"fe80::1%eth0, 10.2.2.2":        "fe80::1",
		"6.6.6.6 , \t10.2.2.2 ,10.3.3.": "10.0.0.1",
	} {
		m := requestWith("X-Forwarded-For", value)
		if got := p.clientOf(m).String(); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
	p.trusted = false
	if got := p.clientOf(requestWith("X-Forwarded-For", "6.6.6.6")).String(); got != "10.0.0.1" {
		t.Errorf("a stranger was believed: %s", got)
	}
}

func TestSluiceFieldsOfStrangersAreStripped(t *testing.T) {
	b := newRecorder(t, nil)
	lines := []string{"Sluice-Version: v9", "sluice-shape: 9", "Sluice-Rule: r", "Sluice-Session-Moved: x", "SLUICE-Anything: y",
		"Sluice-Override: web=v2", "Sluice-Token: abc"}
	stripped := []string{"Sluice-Version", "v1", "Sluice-Shape", "-", "Sluice-Rule", "-", "Sluice-Override", "-", "Sluice-Token", "-", "Sluice-Session-Moved", "-"}
	r := newRig(t, map[string]string{"v1": b.addr})
	m := forwarded(r, b, lines...)
	checkFields(t, m, append(stripped, "Sluice-Anything", "-")...)
	trusted := newRig(t, map[string]string{"v1": b.addr}, trusting)
	m = forwarded(trusted, b, lines...)
	checkFields(t, m, append(stripped, "Sluice-Anything", "y")...)
}

func TestFieldsThatPassThrough(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	m := forwarded(r, b, "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate: a=b", "X-Request-Id: mine",
		"Via: 1.1 other", "User-Agent: test", "aCcEpT: */*", "X-Twice: 1", "X-Twice: 2", "Baggage: k=v")
	checkFields(t, m, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate", "a=b", "X-Request-Id", "mine",
		"Via", "1.1 other|1.1 sluice", "User-Agent", "test", "Accept", "*/*", "X-Twice", "1|2", "Baggage", "k=v")
	one, two := forwarded(r, b), forwarded(r, b)
	id := regexp.MustCompile(`^[0-9a-f]{32}$`)
	if a, b := one.get("X-Request-Id"), two.get("X-Request-Id"); !id.MatchString(a) || !id.MatchString(b) || a == b {
		t.Errorf("X-Request-Id %q and %q", a, b)
	}
}

func TestHostOfAnAbsoluteTargetWins(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr})
	r.exchangeRaw("GET http://Shop.example:8080/x HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
	m := b.one()
	checkFields(t, m, "Host", "Shop.example:8080", "X-Forwarded-Host", "Shop.example:8080")
}

func TestHostOfTheEndpoint(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.settings.HostOfEndpoint = true })
	m := forwarded(r, b)
	checkFields(t, m, "Host", b.addr, "X-Forwarded-Host", "a.example")
}

func TestFieldsOfTheResponse(t *testing.T) {
	b := newRecorder(t, always("HTTP/1.1 200 Fine\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n"+
		"TE: x\r\nUpgrade: h2c\r\nServer: s\r\nX-Twice: 1\r\nX-Twice: 2\r\nDate: then\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nok"))
	r := newRig(t, map[string]string{"v1": b.addr})
	answer := r.exchangeRaw(get("/", closing))
	head, body, _ := strings.Cut(answer, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	if lines[0] != "HTTP/1.1 200 Fine" || body != "ok" {
		t.Errorf("got %q", answer)
	}
	fields, err := strictFields(lines[1:])
	if err != nil {
		t.Fatal(err)
	}
	m := message{fields: fields}
	checkFields(t, m, "Connection", "close", "X-Hop", "-", "Keep-Alive", "-", "Proxy-Connection", "-", "TE", "-", "Upgrade", "-",
		"Server", "s", "X-Twice", "1|2", "Date", "then", "Content-Length", "2", "Sluice-Version", "-")
	if c := m.get("Set-Cookie"); !strings.HasPrefix(c, "a=b|sluice_web=") {
		t.Errorf("Set-Cookie %q", c)
	}
}

func TestExposedDecision(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.service.Expose = true })
	answer := r.exchangeRaw(get("/", closing))
	if !strings.Contains(answer, "\r\nSluice-Version: v1\r\n") || !strings.Contains(answer, "\r\nSluice-Reason: split\r\n") {
		t.Errorf("answered %q", answer)
	}
}

// requestWith is a request with one field.
func requestWith(name, value string) *head.Request {
	return &head.Request{Fields: []head.Field{{ID: head.Identify(name), Name: name, Value: value}}}
}
