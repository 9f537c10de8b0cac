package routing

import (
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func token(t testing.TB, key Key, wanted map[string]string, exp time.Time) string {
	t.Helper()
	text, err := SignToken(key, "tester", wanted, exp)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var (
	soon    = time.Unix(0, now).Add(time.Hour)
	wantsV3 = map[string]string{"web": "v3", "api": "v9"}
)

func TestOverrideHeader(t *testing.T) {
	for _, test := range []struct {
		name, header string
		untrusted    bool
		want         string
		token        TokenOutcome
		upstream     string
	}{
		{"dark version", "web=v3", false, "v3 override none", OverrideValid, "web=v3"},
		{"a string", `web="v3", api="2.0";p=1`, false, "v3 override none", OverrideValid, `api="2.0", web=v3`},
		{"other services alone", "api=v3", false, "v1 split make", OverrideValid, "api=v3"},
		{"untrusted", "web=v3", true, "v1 split make", OverrideUntrusted, ""},
		{"unknown version", "web=v9, api=v1", false, "v1 split make", OverrideUnknownVersion, "api=v1"},
		{"a number", "web=1.10", false, "v1 split make", OverrideBad, ""},
		{"no dictionary", "web=v3,", false, "v1 split make", OverrideBad, ""},
		{"a list", "web=(v3)", false, "v1 split make", OverrideBad, ""},
		{"a flag", "web", false, "v1 split make", OverrideBad, ""},
		{"a name that is none", `web="v 3"`, false, "v1 split make", OverrideBad, ""},
		{"a service that is none", `*web=v3`, false, "v1 split make", OverrideBad, ""},
		{"too long", "web=v3, api=v" + strings.Repeat("3", maxOverrides), false, "v1 split make", OverrideBad, ""},
		{"empty", "", false, "v1 split make", OverrideValid, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := ask("Sluice-Override: " + test.header)
			req.Trusted = !test.untrusted
			d := build(t, web()).Decide(req)
			want(t, d, test.want)
			if d.Token != test.token || d.Overrides != test.upstream {
				t.Errorf("outcome %v, upstream %q", d.Token, d.Overrides)
			}
		})
	}
}

func TestOverrideDoesNotFailOver(t *testing.T) {
	req := ask("Sluice-Override: web=v2")
	req.Trusted, req.Health = true, sick{2: true}
	want(t, build(t, web()).Decide(req), "none(v2) override none")
}

func TestTokenSources(t *testing.T) {
	s := build(t, web())
	good := token(t, testKey, wantsV3, soon)
	other := token(t, testKey, map[string]string{"web": "v2"}, soon)
	for _, test := range []struct {
		name, method string
		lines        []string
		query, want  string
		token        TokenOutcome
		redirect     bool
	}{
		{"header", "GET", []string{"Sluice-Token: " + good}, "", "v3 override none", TokenValid, false},
		{"cookie", "GET", []string{"Cookie: a=b; sluice_token=" + good}, "", "v3 override none", TokenValid, false},
		{"query", "GET", nil, "a=b&sluice-token=" + good, "v3 override none", TokenValid, true},
		{"query of a POST", "POST", nil, "sluice%2dtoken=" + good, "v3 override none", TokenValid, false},
		{"header before query", "GET", []string{"Sluice-Token: " + good}, "sluice-token=" + other, "v3 override none", TokenValid, false},
		{"query before cookie", "GET", []string{"Cookie: sluice_token=" + other}, "sluice-token=" + good, "v3 override none", TokenValid, true},
		{"valid cookie after bad query", "GET", []string{"Cookie: sluice_token=" + good}, "sluice-token=junk", "v3 override none", TokenValid, false},
		{"valid token after an untrusted header", "GET", []string{"Sluice-Override: web=v2", "Sluice-Token: " + good}, "", "v3 override none", TokenValid, false},
		{"first failure counts", "GET", []string{"Sluice-Override: web=v2", "Sluice-Token: junk"}, "", "v1 split make", OverrideUntrusted, false},
		{"empty query token", "GET", nil, "sluice-token", "v1 split make", TokenBad, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := ask(test.lines...)
			req.Method, req.Query = test.method, test.query
			d := s.Decide(req)
			want(t, d, test.want)
			if d.Token != test.token || d.Redirect != test.redirect {
				t.Errorf("outcome %v, redirect %v", d.Token, d.Redirect)
			}
			if (d.TokenExpires == soon.Unix()) != (d.Token == TokenValid) {
				t.Errorf("expires %d", d.TokenExpires)
			}
		})
	}
}

func TestTokenThatDoesNotHold(t *testing.T) {
	sign := func(method jwt.SigningMethod, kid string, secret any, c jwt.MapClaims) string {
		tok := jwt.NewWithClaims(method, c)
		tok.Header["kid"] = kid
		text, err := tok.SignedString(secret)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	web3 := map[string]string{"web": "v3"}
	good := token(t, testKey, web3, soon)
	for _, test := range []struct {
		name, token string
		outcome     TokenOutcome
	}{
		{"expired this moment", token(t, testKey, web3, time.Unix(0, now)), TokenExpired},
		{"no exp", sign(jwt.SigningMethodHS256, "k1", testKey.Secret, jwt.MapClaims{"sluice": web3}), TokenBad},
		{"no claim", sign(jwt.SigningMethodHS256, "k1", testKey.Secret, jwt.MapClaims{"exp": soon.Unix()}), TokenBad},
		{"claim of another form", sign(jwt.SigningMethodHS256, "k1", testKey.Secret, jwt.MapClaims{"exp": soon.Unix(), "sluice": "web=v3"}), TokenBad},
		{"claim with a bad name", sign(jwt.SigningMethodHS256, "k1", testKey.Secret, jwt.MapClaims{"exp": soon.Unix(), "sluice": map[string]string{"web": "v3\r\nX: y"}}), TokenBad},
		{"not yet", sign(jwt.SigningMethodHS256, "k1", testKey.Secret, jwt.MapClaims{"exp": soon.Unix(), "nbf": soon.Unix() - 1, "sluice": web3}), TokenBad},
		{"HS384", sign(jwt.SigningMethodHS384, "k1", testKey.Secret, jwt.MapClaims{"exp": soon.Unix(), "sluice": web3}), TokenBad},
		{"none", sign(jwt.SigningMethodNone, "k1", jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"exp": soon.Unix(), "sluice": web3}), TokenBad},
		{"unknown key", sign(jwt.SigningMethodHS256, "k2", testKey.Secret, jwt.MapClaims{"exp": soon.Unix(), "sluice": web3}), TokenBad},
		{"no key id", sign(jwt.SigningMethodHS256, "", testKey.Secret, jwt.MapClaims{"exp": soon.Unix(), "sluice": web3}), TokenBad},
		{"another secret", sign(jwt.SigningMethodHS256, "k1", []byte(strings.Repeat("x", 32)), jwt.MapClaims{"exp": soon.Unix(), "sluice": web3}), TokenBad},
		{"cut", good[:len(good)-1], TokenBad},
		{"too long", good + strings.Repeat("a", maxOverrides), TokenBad},
		{"unknown version", token(t, testKey, map[string]string{"web": "v9"}, soon), OverrideUnknownVersion},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := build(t, web()).Decide(ask("Sluice-Token: " + test.token))
			want(t, d, "v1 split make")
			if d.Token != test.outcome || d.Overrides != "" || d.Redirect {
				t.Errorf("outcome %v, upstream %q", d.Token, d.Overrides)
			}
		})
	}
}

func TestWithoutKeysEveryTokenIsRefused(t *testing.T) {
	cfg := web()
	cfg.Keys = nil
	d := build(t, cfg).Decide(ask("Sluice-Token: " + token(t, testKey, wantsV3, soon)))
	if d.Token != TokenBad {
		t.Errorf("outcome %v", d.Token)
	}
}

func TestSignTokenRefuses(t *testing.T) {
	for _, test := range []struct {
		key    Key
		wanted map[string]string
		err    string
	}{
		{Key{ID: "k1", Secret: make([]byte, 31)}, wantsV3, "key k1: its secret has 31 bytes; HS256 needs at least 32 (RFC 7518, section 3.2)"},
		{Key{ID: "", Secret: make([]byte, 32)}, wantsV3, `key id "": ` + nameRule},
		{testKey, nil, "a token must name a version of at least one service, such as web=v2"},
		{testKey, map[string]string{"Web": "v1"}, `signing a token: it names the service "Web": ` + serviceRule},
		{testKey, map[string]string{"web": ""}, `signing a token: it names the version "" for web: ` + nameRule},
	} {
		if _, err := SignToken(test.key, "", test.wanted, soon); err == nil || err.Error() != test.err {
			t.Errorf("got %v, want %s", err, test.err)
		}
	}
}

func TestCleanQuery(t *testing.T) {
	for _, test := range []struct{ query, clean, token string }{
		{"", "", "-"},
		{"a=b&&c", "a=b&&c", "-"},
		{"sluice-token=x", "", "x"},
		{"a=1&sluice-token=x&b=2&sluice-token=y", "a=1&b=2", "x"},
		{"sluice%2Dtoken=x&%73luice-token=y&c", "c", "x"},
		{"xsluice-token=x", "xsluice-token=x", "-"},
		{"sluice-token", "", ""},
	} {
		clean, token, found := CleanQuery(test.query)
		if !found {
			token += "-"
		}
		if clean != test.clean || token != test.token {
			t.Errorf("%s: clean %q, token %q", test.query, clean, token)
		}
	}
}

func TestCookieWithout(t *testing.T) {
	for _, test := range []struct{ field, without string }{
		{"", ""},
		{"a=b", "a=b"},
		{"sluice_token=x", ""},
		{"a=b;sluice_token=x;  c=d ; sluice_web=1; e", "a=b; c=d; e"},
		{" sluice_token =x; sluice_token", ""},
		{"a=sluice_token=x;;=v;", "a=sluice_token=x; =v"},
	} {
		if got := string(CookieWithout([]byte("Cookie: "), test.field, "sluice_web")); got != "Cookie: "+test.without {
			t.Errorf("%q: %q", test.field, got)
		}
	}
}
