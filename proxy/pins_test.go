package proxy

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/routing"
)

// pinValue finds the pin in a response.
var pinValue = regexp.MustCompile(`(?m)^Set-Cookie: (sluice_web=[0-9a-f]+\.[0-9a-f]+\.([a-z0-9]+)); Path=/; Max-Age=86400; HttpOnly; SameSite=Lax\r$`)

// weights gives the versions of a rig their weights; those left out are dark.
func weights(w map[string]int) option {
	return func(r *rig) {
		for i := range r.service.Versions {
			r.service.Versions[i].Weight = w[r.service.Versions[i].Name]
		}
	}
}

func TestPinIsSetOnceAndKept(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr, "v2": b.addr})
	for range 20 {
		pin := pinValue.FindStringSubmatch(r.exchangeRaw(get("/", closing)))
		if pin == nil {
			t.Fatal("no pin")
		}
		first := b.one()
		for range 5 {
			answer := r.exchangeRaw(get("/", "Cookie: a=b; "+pin[1]+"; c=d", closing))
			if strings.Contains(answer, "Set-Cookie") || strings.Contains(answer, "private") {
				t.Fatalf("the pin was not taken: %q", answer)
			}
			m := b.one()
			checkFields(t, m, "Sluice-Version", pin[2])
			if m.get("Sluice-Version") != first.get("Sluice-Version") {
				t.Errorf("moved from %s to %s", first.get("Sluice-Version"), m.get("Sluice-Version"))
			}
		}
	}
}

func TestForgedPinsReachLiveVersionsAlone(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr, "v2": b.addr, "v9": b.addr}, weights(map[string]int{"v1": 1, "v2": 1}))
	for _, value := range []string{
		"1.94f1492df24517ec.v9", "1.0.v9", "ffffffffffffffff.94f1492df24517ec.v9", "1.94f1492df24517ec.", "..", "v9", "",
		"1.94f1492df24517ec.v7", "1.94f1492df24517ec.v9.v1", "1.94f1492df24517ec.../v1", strings.Repeat("9", 4000), "\"1.94f1492df24517ec.v9\"",
	} {
		answer := r.exchangeRaw(get("/", "Cookie: sluice_web="+value, closing))
		m := b.one()
		if v := m.get("Sluice-Version"); v != "v1" && v != "v2" {
			t.Errorf("%q led to %q", value, v)
		}
		if pinValue.FindString(answer) == "" {
			t.Errorf("%q: no new pin in %q", value, answer)
		}
	}
	answer := r.exchangeRaw(get("/", "Cookie: sluice_web=1.94f1492df24517ec.v2", closing))
	m := b.one()
	checkFields(t, m, "Sluice-Version", "v2")
	if strings.Contains(answer, "Set-Cookie") {
		t.Errorf("a choice among live versions is the client's: %q", answer)
	}
}

// TestPinsAndSharedCaches: no shared cache may hand one person's pin to another.
func TestPinsAndSharedCaches(t *testing.T) {
	for _, test := range []struct {
		control      string
		pin, private bool
	}{
		{"", true, true},
		{"Cache-Control: max-age=60\r\n", true, true},
		{"Cache-Control: no-cache\r\n", true, true},
		{"Cache-Control: private\r\n", true, false},
		{"cache-control: max-age=1, PRIVATE\r\n", true, false},
		{"Cache-Control: no-store\r\n", true, false},
		{"Cache-Control: public\r\n", false, false},
		{"Cache-Control: Public, max-age=60\r\n", false, false},
		{"Cache-Control: max-age=1,s-maxage=60\r\n", false, false},
		{"Cache-Control: s-maxage = 60\r\n", false, false},
		{"Cache-Control: max-age=60\r\nCache-Control: public\r\n", false, false},
		{"Cache-Control: no-cache\r\nCache-Control: private\r\n", true, false},
		{"Cache-Control: x-public=1\r\n", true, true},
	} {
		b := newRecorder(t, always("HTTP/1.1 200 OK\r\n"+test.control+"Content-Length: 2\r\n\r\nok"))
		r := newRig(t, map[string]string{"v1": b.addr})
		answer := r.exchangeRaw(get("/", closing))
		if got := pinValue.MatchString(answer); got != test.pin {
			t.Errorf("%q: a pin: %v, want %v", test.control, got, test.pin)
		}
		if got := strings.Contains(answer, "\r\nCache-Control: private\r\n") && !strings.Contains(test.control, ": private"); got != test.private {
			t.Errorf("%q: marked private: %v, want %v: %q", test.control, got, test.private, answer)
		}
	}
}

func TestPinOverTLSIsSecure(t *testing.T) {
	server, tlsClient := tlsConfigs(t)
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, func(r *rig) { r.listener.TLS = server })
	c := r.dialTLS(tlsClient)
	fmt.Fprint(c, get("/", closing))
	if answer := readAll(t, c); !strings.Contains(answer, "; Secure\r\n") {
		t.Errorf("answered %q", answer)
	}
	m := b.one()
	checkFields(t, m, "X-Forwarded-Proto", "https")
}

// TestMovedSessions: a session whose pin is void hears of the shape that it
// comes from, once.
func TestMovedSessions(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr, "v2": b.addr}, func(r *rig) {
		weights(map[string]int{"v2": 1})(r)
		r.service.Epoch = 5
		r.service.Versions[0].LeastEpoch = 5
		r.service.Versions[0].Writes, r.service.Versions[0].Reads = "11", []string{"11", "12"}
		r.service.Versions[1].Writes, r.service.Versions[1].Reads = "12", []string{"11", "12"}
	})
	answer := r.exchangeRaw(get("/", "Cookie: sluice_web=1.94f1492df24517ec.v1", closing))
	m := b.one()
	checkFields(t, m, "Sluice-Version", "v2", "Sluice-Shape", "12", "Sluice-Session-Moved", "from=v1;shape=11")
	pin := pinValue.FindStringSubmatch(answer)
	if pin == nil {
		t.Fatalf("no pin in %q", answer)
	}
	r.exchangeRaw(get("/", "Cookie: "+pin[1], closing))
	m = b.one()
	checkFields(t, m, "Sluice-Version", "v2", "Sluice-Session-Moved", "-")
}

// TestMovedSessionsByKey is TestMovedSessions where the application's key tells the
// session, and the old version has no shape.
func TestMovedSessionsByKey(t *testing.T) {
	b := newRecorder(t, nil)
	table := routing.NewPinTable(10)
	r := newRig(t, map[string]string{"v1": b.addr, "v2": b.addr}, func(r *rig) {
		weights(map[string]int{"v1": 1})(r)
		r.service.Pin, r.service.Pins = routing.PinConfig{By: routing.PinHeader, Name: "X-Session"}, table
		r.service.Versions[1].Writes = "12"
	})
	ask := func(version, moved string) {
		t.Helper()
		r.exchangeRaw(get("/", "X-Session: a", closing))
		checkFields(t, b.one(), "Sluice-Version", version, "Sluice-Session-Moved", moved)
	}
	ask("v1", "-")
	weights(map[string]int{"v2": 1})(r)
	r.service.Epoch = 2
	r.srv.Swap(r.table())
	ask("v2", "from=v1")
	ask("v2", "-")
}

// testKey signs the override tokens of these tests.
var testKey = routing.Key{ID: "k1", Secret: bytes.Repeat([]byte("s"), routing.MinSecret)}

// signing gives a rig a key for override tokens.
func signing(r *rig) { r.keys = []routing.Key{testKey} }

func token(t *testing.T, wanted map[string]string) string {
	t.Helper()
	token, err := routing.SignToken(testKey, "tester", wanted, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestOverridesReachDarkVersionsAndTokensGoNoFurther(t *testing.T) {
	b := newRecorder(t, nil)
	versions := map[string]string{"v1": b.addr, "v2": b.addr}
	dark := weights(map[string]int{"v1": 1})
	r := newRig(t, versions, signing, dark)
	good := token(t, map[string]string{"web": "v2", "api": "v3"})
	for _, lines := range [][]string{
		{"Sluice-Token: " + good},
		{"Cookie: a=b; sluice_token=" + good + "; c=d"},
		{"Cookie: sluice_token=" + good},
		{"Cookie: a=b", "Cookie: sluice_token=" + good},
	} {
		m := forwarded(r, b, lines...)
		checkFields(t, m, "Sluice-Version", "v2", "Sluice-Token", "-", "Sluice-Override", "api=v3, web=v2")
		if !strings.Contains(m.get("Baggage"), "sluice-override=") {
			t.Errorf("Baggage %q", m.get("Baggage"))
		}
		checkNoToken(t, m)
	}
	bad := good[:len(good)-2] + "xx"
	for _, lines := range [][]string{
		{"Sluice-Token: " + bad}, {"Cookie: a=b; sluice_token=" + bad}, {"Sluice-Override: web=v2"}, {"Sluice-Token: "}, {"Cookie: sluice_token=" + bad},
	} {
		m := forwarded(r, b, lines...)
		checkFields(t, m, "Sluice-Version", "v1", "Sluice-Token", "-", "Sluice-Override", "-")
		checkNoToken(t, m)
	}
	if n := r.stats.Process().OverrideIgnored; len(n) == 0 {
		t.Error("nothing was counted")
	}
	trusted := newRig(t, versions, trusting, dark)
	m := forwarded(trusted, b, "Sluice-Override: web=v2")
	checkFields(t, m, "Sluice-Version", "v2", "Sluice-Override", "web=v2")
}

// checkNoToken checks that no part of a request shows an override token.
func checkNoToken(t *testing.T, m message) {
	t.Helper()
	if all := fmt.Sprint(m.target, m.fields); strings.Contains(all, "sluice_token") || strings.Contains(all, "sluice-token") || strings.Contains(all, "eyJ") {
		t.Errorf("the backend sees a token: %s", all)
	}
}

func TestTokenInTheQueryBecomesACookie(t *testing.T) {
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr, "v2": b.addr}, signing, weights(map[string]int{"v1": 1}))
	good := token(t, map[string]string{"web": "v2"})
	for target, location := range map[string]string{
		"/a?sluice-token=" + good:                                 "/a",
		"/a?b=c&sluice-token=" + good + "&d=%20":                  "/a?b=c&d=%20",
		"/?%73luice-token=" + good:                                "/",
		"//evil.example/?sluice-token=" + good:                    "/.//evil.example/",
		"///evil.example?sluice-token=" + good:                    "/.///evil.example",
		"/\\evil.example/?sluice-token=" + good:                   "/./\\evil.example/",
		"http://a.example//evil.example/?sluice-token=" + good:    "/.//evil.example/",
		"http://a.example?sluice-token=" + good + "&x=//evil":     "/?x=//evil",
		"/a?sluice-token=" + good + "&sluice-token=" + good + "&": "/a",
	} {
		answer := r.exchangeRaw("GET " + target + " HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
		if statuses(answer) != "302" {
			t.Errorf("%.40s: answered %q", target, answer)
			continue
		}
		if !strings.Contains(answer, "\r\nLocation: "+location+"\r\n") {
			t.Errorf("%.40s: want Location %s in %q", target, location, answer)
		}
		for _, want := range []string{"\r\nSet-Cookie: sluice_token=" + good + ";", "HttpOnly", "\r\nCache-Control: no-store\r\n", "\r\nReferrer-Policy: no-referrer\r\n"} {
			if !strings.Contains(answer, want) {
				t.Errorf("%.40s: no %q in %q", target, want, answer)
			}
		}
	}
	if seen, _ := b.take(); len(seen) > 0 {
		t.Errorf("the backend saw %v", shorts(seen))
	}
	// A body would be lost in a redirect; a token that is not valid is removed.
	bad := good[:len(good)-2] + "xx"
	for raw, version := range map[string]string{
		"POST /a?sluice-token=" + good + "&x=y HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi": "v2",
		"GET /a?sluice-token=" + bad + "&x=y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":                          "v1",
		"GET /a?x=y&sluice-token= HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":                                     "v1",
	} {
		r.exchangeRaw(raw)
		m := b.one()
		checkFields(t, m, "Sluice-Version", version)
		if m.target != "/a?x=y" {
			t.Errorf("target %q", m.target)
		}
		checkNoToken(t, m)
	}
}
