package proxy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sluice/routing"
	"sluice/stats"
)

// TestCopyIsTheCustomersRequest: of random requests, both endpoints see the same,
// but for the fields that must differ.
func TestCopyIsTheCustomersRequest(t *testing.T) {
	for _, traced := range []bool{false, true} {
		v1, v2 := newRecorder(t, nil), newRecorder(t, nil)
		k := new(told)
		methods := []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH"}
		r := newRig(t, map[string]string{"v1": v1.addr, "v2": v2.addr}, shadowsV1(k, func(s *Shadow) { s.Methods = methods }), func(r *rig) {
			r.listener.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("::1/128")}
			r.settings.RetryBuffer = 100
			r.service.Versions[0].Writes, r.service.Versions[1].Writes = "11", "12"
			r.service.Rules = []routing.RuleConfig{{Name: "staff", Match: routing.Match{Header: map[string]string{"X-Staff": "1"}}, Version: "v1"}}
			if traced {
				r.options.Trace = Tracing{Record: func(*Span) {}, Sample: 0.5}
			}
		})
		fields := []string{"X-A: 1", "X-A: 2", "X-B:", "Accept: */*", "Cookie: a=b; sluice_token=x; c=d", "Cookie: sluice_web=1.94f1492df24517ec.v1", "Cookie: e=f",
			"Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5", "TE: trailers", "Via: 1.0 other", "X-Forwarded-For: 9.9.9.9", "X-Forwarded-Proto: ftp",
			"Forwarded: for=9.9.9.9", "Sluice-Version: v9", "Sluice-Shadow: 1", "Sluice-Synthetic: x", "Sluice-Other: 1", "X-Request-Id: mine", "X-Staff: 1",
			"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate: a=b", "Baggage: k=v", "Authorization: Basic eDp5", "User-Agent: test", "Content-Type: text/plain"}
		rapid.Check(t, func(rt *rapid.T) {
			method := rapid.SampledFrom(methods).Draw(rt, "method")
			target := rapid.SampledFrom([]string{"/", "/a/b?c=d", "//x", "/?", "/%2f..;x=y?sluice_token=1&z=2", "http://b.example/abs?q"}).Draw(rt, "target")
			lines := rapid.SliceOfDistinct(rapid.SampledFrom(fields), func(s string) string { return s }).Draw(rt, "fields")
			proto := rapid.SampledFrom([]string{"1.0", "1.1"}).Draw(rt, "version")
			body := ""
			if method[0] == 'P' {
				body = strings.Repeat("0123456789", rapid.SampledFrom([]int{0, 1, 9, 20, 2000, 5000}).Draw(rt, "body"))
				if chunked := rapid.Bool().Draw(rt, "chunked"); chunked && proto == "1.1" {
					lines = append(lines, "Transfer-Encoding: chunked")
					if body != "" {
						body = fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
					}
					body += "0\r\n\r\n"
				} else {
					lines = append(lines, fmt.Sprint("Content-Length: ", len(body)))
				}
			}
			answer := r.exchangeRaw(fmt.Sprintf("%s %s HTTP/%s\r\nHost: a.example\r\nConnection: close\r\n%s\r\n%s", method, target, proto, joinLines(lines), body))
			if statuses(answer) == "302" {
				return // the token is taken out of the URL first
			}
			if statuses(answer) != "200" {
				rt.Fatalf("the customer got %q", answer)
			}
			k.one(t)
			want, got := v1.one(), v2.one()
			if got.method != want.method || got.target != want.target || got.body != want.body {
				rt.Fatalf("copied as %v, want %v", got, want)
			}
			if got.get("sluice-shadow") != "1" || got.get("sluice-version") != "v2" || got.get("sluice-shape") != "12" || got.has("traceparent") || got.has("tracestate") {
				rt.Fatalf("the copy's fields are %q", got.fields)
			}
			if a, b := shared(want), shared(got); !slices.Equal(a, b) {
				rt.Fatalf("the copy's fields are %q, want %q", b, a)
			}
		})
		r.awaitIdle(t)
		if got := r.fates("v2"); len(got) != 1 || got[stats.ShadowAnswered.String()] == 0 {
			t.Errorf("copies came to %v", got)
		}
	}
}

// shared returns the fields that a copy has in common with the customer's
// request, in order.
func shared(m message) (list []string) {
	for _, f := range m.fields {
		switch strings.ToLower(f[0]) {
		case "sluice-version", "sluice-shape", "sluice-shadow", "traceparent", "tracestate", "transfer-encoding", "content-length":
		default:
			list = append(list, f[0]+": "+f[1])
		}
	}
	return list
}
