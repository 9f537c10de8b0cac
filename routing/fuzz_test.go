package routing

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func FuzzParsePin(f *testing.F) {
	for _, seed := range []string{"7.0123456789abcdef.v1", "0.0000000000000001.a.b-c_d", "18446744073709551615.ffffffffffffffff.v",
		"18446744073709551616.ffffffffffffffff.v", "07.0123456789abcdef.v1", "7.0123456789ABCDEF.v1", "7.0000000000000000.v1", "..", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		version, epoch, session, ok := ParsePin(value)
		plain, plainOK := plainPin(value)
		if ok != plainOK || ok && plain != (pin{version, epoch, session}) {
			t.Fatalf("%q: %s %d %x %v, plainly %+v %v", value, version, epoch, session, ok, plain, plainOK)
		}
	})
}

// Whatever the Cookie field holds, a forged pin never reaches a dark version,
// and the cookies found are those of the plain way.
func FuzzCookieField(f *testing.F) {
	for _, seed := range []string{"sluice_web=7.0123456789abcdef.v3", "a=b; sluice_web=1; c", ";;=;\t sluice_web \t= x", "xsluice_web=1;sluice_webx=2;sluice_web sluice_web=3", `"sluice_web=1`} {
		f.Add(seed)
	}
	s, err := Build(web())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, field string) {
		req := ask()
		req.Fields = fields{"cookie": field}
		d := s.Decide(req)
		if d.Version == nil || d.Version.Mode(now) == Dark {
			t.Fatalf("%q leads to %v", field, d.Version)
		}
		if d.Pin == PinMake {
			value, _, _ := strings.Cut(string(AppendPinCookie(nil, &d, d.Service, false)), ";")
			req.Fields = fields{"cookie": value}
			if again := s.Decide(req); again.Pin != PinHeld || again.Version != d.Version || again.Session != d.Session {
				t.Fatalf("%s does not hold: %+v", value, again)
			}
		}
		w := twin{req: &Request{Fields: fields{"cookie": field}}}
		plain := w.cookies("sluice_web")
		var found []string
		for rest := field; ; {
			value, more, ok := nextCookie(rest, "sluice_web")
			if !ok {
				break
			}
			found, rest = append(found, value), more
		}
		if !slices.Equal(found, plain) {
			t.Fatalf("%q: found %q, plainly %q", field, found, plain)
		}
		left := twin{req: &Request{Fields: fields{"cookie": string(CookieWithout(nil, field, "sluice_web"))}}}
		if len(left.cookies("sluice_web"))+len(left.cookies("sluice_token")) > 0 {
			t.Fatalf("%q keeps what it must not", field)
		}
		if a, b := w.cookies("a"), left.cookies("a"); !slices.Equal(a, b) {
			t.Fatalf("%q: cookies a %q become %q", field, a, b)
		}
	})
}

// An override that is accepted comes out as a dictionary that is accepted
// again, to the same effect, and holds nothing that a header must not.
func FuzzOverrideHeader(f *testing.F) {
	for _, seed := range []string{"web=v2, api=v3", `web="v3";p=?1`, "web=1.1", "web=(v1 v2)", "*a=b", "web=\"\\\"\"", "web=v1,web=v3", " web=v2", "web=:YQ==:"} {
		f.Add(seed)
	}
	s, err := Build(web())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		req := ask()
		req.Fields, req.Trusted = fields{"sluice-override": header}, true
		d := s.Decide(req)
		if d.Version == nil || (d.Reason == Override) != (d.Token == OverrideValid && strings.Contains(" "+d.Overrides, " web=")) {
			t.Fatalf("%q: %+v", header, d)
		}
		if hasControl(d.Overrides) || d.Token == OverrideBad && d.Overrides != "" {
			t.Fatalf("%q goes on as %q", header, d.Overrides)
		}
		req.Fields = fields{"sluice-override": d.Overrides}
		if again := s.Decide(req); d.Overrides != "" && (again.Overrides != d.Overrides || again.Token != OverrideValid) {
			t.Fatalf("%q, then %q", d.Overrides, again.Overrides)
		}
		req.Trusted = false
		if d := s.Decide(req); d.Reason == Override || d.Overrides != "" {
			t.Fatalf("%q is believed without trust", header)
		}
	})
}

// A cleaned query decodes to the parameters of the original without the token.
func FuzzCleanQuery(f *testing.F) {
	for _, seed := range []string{"a=b&sluice-token=x&c", "sluice%2Dtoken=x", "sluice-token", "%73luice-token=%&a=%zz", "a=b&&", "sluice-token=a&sluice-token=b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		clean, _, found := CleanQuery(query)
		if again, _, still := CleanQuery(clean); still || again != clean {
			t.Fatalf("%q leaves %q", query, clean)
		}
		if !found && clean != query {
			t.Fatalf("%q without a token becomes %q", query, clean)
		}
		// url.ParseQuery drops what is malformed; ours lets it through.
		was, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		if was.Has("sluice-token") != found {
			t.Fatalf("%q: found %v", query, found)
		}
		was.Del("sluice-token")
		is, err := url.ParseQuery(clean)
		if err != nil || fmt.Sprint(is) != fmt.Sprint(was) {
			t.Fatalf("%q becomes %q", query, clean)
		}
	})
}
