package proxy

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sluice/proxy/accesslog"
	"sluice/routing"
	"sluice/stats"
)

// shield turns the shield on; v1 is the baseline.
func shield(statuses ...int) option {
	return func(r *rig) { r.service.Shield = &routing.ShieldConfig{Baseline: "v1", Statuses: statuses} }
}

// assets turns the asset fallback on.
func assets(paths ...string) option {
	return func(r *rig) { r.service.AssetPaths = paths }
}

// onV2 is the line of a request whose session is pinned to v2.
const onV2 = "Cookie: sluice_web=1.94f1492df24517ec.v2"

// response writes a response with a body of its length.
func response(status int, body string, lines ...string) string {
	return fmt.Sprintf("HTTP/1.1 %d Status\r\n%sContent-Length: %d\r\n\r\n%s", status, joinLines(lines), len(body), body)
}

// of returns what a version of the rig has counted.
func (r *rig) of(version string) stats.VersionStats {
	for _, s := range r.stats.ServiceSnapshot("web") {
		if s.Version == version {
			return s
		}
	}
	return stats.VersionStats{}
}

// counted waits for the requests of a version to be counted and compares them:
// its requests, and how many came for which reason.
func (r *rig) counted(version string, requests uint64, reason string, forReason uint64) {
	r.t.Helper()
	for end := time.Now().Add(5 * time.Second); ; <-time.After(2 * time.Millisecond) {
		s := r.of(version)
		if s.Requests == requests && s.ByReason(reason) == forReason && s.InFlight == 0 {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%s counts %d requests, %d for %s, %d in flight; want %d, %d, 0", version, s.Requests, s.ByReason(reason), reason,
				s.InFlight, requests, forReason)
		}
	}
}

// TestShieldHidesEachFailure: whatever way a candidate fails, a safe request is
// answered by the baseline, and the failure is the candidate's.
func TestShieldHidesEachFailure(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(net.Conn, *message) bool // nil: nobody listens
		fails  string                        // what counts against the candidate
	}{
		"refuses connections": {nil, "connect"},
		"resets":              {func(c net.Conn, _ *message) bool { c.(*net.TCPConn).SetLinger(0); return false }, "reset"},
		"closes":              {func(net.Conn, *message) bool { return false }, "reset"},
		"breaks off its head": {last("HTTP/1.1 200 OK\r\nContent-Le"), "reset"},
		"is malformed":        {last("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"), "malformed"},
		"is no HTTP":          {last("hello\r\n\r\n"), "malformed"},
		"says 502":            {always(response(502, "bad")), ""},
		"says 503":            {always(response(503, "")), ""},
		"says 504 in chunks":  {always("HTTP/1.1 504 Late\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"), ""},
		"says 503 slowly":     {always("HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\nto come"), ""},
		"says what is listed": {always(response(500, strings.Repeat("x", 100_000))), ""},
		"is too slow":         {func(c net.Conn, _ *message) bool { io.Copy(io.Discard, c); return false }, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			good := newRecorder(t, always(response(200, "good")))
			candidate := refusing(t)
			if test.answer != nil {
				candidate = newRecorder(t, test.answer).addr
			}
			r := newRig(t, map[string]string{"v1": good.addr, "v2": candidate}, shield(500), func(r *rig) {
				r.settings = Settings{Retries: -1, ResponseTimeout: 200 * time.Millisecond}
				r.upstream.Outlier.Disabled = true
			})
			for range 2 {
				answer := r.exchangeRaw(get("/page", onV2, closing))
				if statuses(answer) != "200" || !strings.HasSuffix(answer, "good") || strings.Contains(answer, "Set-Cookie") {
					t.Errorf("answered %q", answer)
				}
				checkFields(t, good.one(), "Sluice-Version", "v1")
			}
			r.counted("v1", 2, "shield", 2)
			r.counted("v2", 2, "pin", 2)
			v1, v2 := r.of("v1"), r.of("v2")
			if v2.ByClass("5xx") != 2 || v2.Shielded != 2 || v1.ByClass("2xx") != 2 || v1.Shielded != 0 {
				t.Errorf("counted %+v and %+v", v1, v2)
			}
			if test.fails != "" && v2.UpstreamErrors[test.fails] != 2 || len(v1.UpstreamErrors) > 0 {
				t.Errorf("failures counted: %v of v2, %v of v1; want %s", v2.UpstreamErrors, v1.UpstreamErrors, test.fails)
			}
			if v1.LiveSessions != 0 || v2.LiveSessions != 1 {
				t.Errorf("%d sessions on v1, %d on v2", v1.LiveSessions, v2.LiveSessions)
			}
			if busy := r.clusters["v2"].InUse(); busy != 0 {
				t.Errorf("%d connections to v2 stay in use", busy)
			}
		})
	}
}

// TestShieldLeavesAlone: what is not safe, not a failure, not a candidate or
// chosen by a tester is answered as it came.
func TestShieldLeavesAlone(t *testing.T) {
	bad := newRecorder(t, always(response(503, "bad")))
	good := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": good.addr, "v2": bad.addr, "v3": bad.addr}, shield(), func(r *rig) {
		r.listener.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		r.service.Versions[2].Weight = 0
		r.service.Rules = []routing.RuleConfig{{Name: "dark", Match: routing.Match{Header: map[string]string{"X-Dark": "1"}}, Version: "v3", Dark: true}}
		r.upstream.Outlier.Disabled = true
	})
	for name, request := range map[string]string{
		"a POST":                post("hello", "Content-Length: 5", onV2, closing),
		"a DELETE":              "DELETE / HTTP/1.1\r\nHost: a\r\n" + onV2 + "\r\n" + closing + "\r\n\r\n",
		"a GET with a body":     "GET / HTTP/1.1\r\nHost: a\r\n" + onV2 + "\r\nTransfer-Encoding: chunked\r\n" + closing + "\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		"an override":           get("/", "Sluice-Override: web=v2", closing),
		"a rule to a dark one":  get("/", "X-Dark: 1", closing),
		"an override of a dark": get("/", "Sluice-Override: web=v3", closing),
	} {
		if answer := r.exchangeRaw(request); statuses(answer) != "503" {
			t.Errorf("%s: answered %q", name, answer)
		}
	}
	if seen, _ := good.take(); len(seen) > 0 {
		t.Errorf("the baseline was asked: %v", shorts(seen))
	}
	if n := r.of("v2").Shielded; n != 0 {
		t.Errorf("%d requests counted as shielded", n)
	}
}

// TestShieldWithoutABaseline: with the baseline down, or failing too, the
// client sees a failure, and the answer of a candidate where there is one.
func TestShieldWithoutABaseline(t *testing.T) {
	bad := newRecorder(t, always(response(503, "candidate's own")))
	r := newRig(t, map[string]string{"v1": refusing(t), "v2": bad.addr}, shield(), func(r *rig) { r.upstream.Outlier.Disabled = true })
	if answer := r.exchangeRaw(get("/", onV2, closing)); statuses(answer) != "502" {
		t.Errorf("answered %q", answer)
	}
	r.counted("v1", 1, "shield", 1)
	failingChecks(r)
	down := newRig(t, map[string]string{"v1": refusing(t), "v2": bad.addr}, shield(), failingChecks, func(r *rig) { r.upstream.Health.Path = "" })
	eventually(t, "the baseline is down", func() bool { return !down.clusters["v1"].Usable() })
	bad.take()
	if answer := down.exchangeRaw(get("/", onV2, closing)); statuses(answer) != "503" || !strings.HasSuffix(answer, "candidate's own") {
		t.Errorf("answered %q", answer)
	}
}

// TestShieldAfterAnInterimResponse: what has begun to come is not taken back.
func TestShieldAfterAnInterimResponse(t *testing.T) {
	bad := newRecorder(t, last("HTTP/1.1 103 Early Hints\r\nLink: </a.js>\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"))
	good := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": good.addr, "v2": bad.addr}, shield())
	if answer := r.exchangeRaw(get("/", onV2, closing)); statuses(answer) != "103 503" {
		t.Errorf("answered %q", answer)
	}
}

// TestShieldSetsTheCandidatesPin: the session that the split gave to the
// candidate stays there, though the baseline answered.
func TestShieldSetsTheCandidatesPin(t *testing.T) {
	bad, good := newRecorder(t, always(response(502, ""))), newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": good.addr, "v2": bad.addr}, shield(), func(r *rig) {
		r.service.Versions[1].Weight = 1000
		r.service.Expose = true
		r.upstream.Outlier.Disabled = true
	})
	answer := ""
	for !strings.Contains(answer, "Sluice-Reason: shield\r\n") {
		answer = r.exchangeRaw(get("/", closing))
	}
	if pin := pinValue.FindStringSubmatch(answer); pin == nil || pin[2] != "v2" || !strings.Contains(answer, "Sluice-Version: v1\r\n") {
		t.Errorf("answered %q", answer)
	}
}

func TestShieldInTheAccessLog(t *testing.T) {
	bad, good := newRecorder(t, always(response(502, ""))), newRecorder(t, nil)
	var j journal
	r := newRig(t, map[string]string{"v1": good.addr, "v2": bad.addr}, shield(), j.logged(AccessErrors, accesslog.Layout{}))
	r.exchangeRaw(get("/", onV2, closing))
	fields := j.one(t)
	for name, want := range map[string]any{"status": 200.0, "version": "v1", "reason": "shield", "shielded_from": "v2",
		"shielded_status": 502.0, "endpoint": good.addr} {
		if fields[name] != want {
			t.Errorf("%s: %v, want %v", name, fields[name], want)
		}
	}
}

// TestAssetFallback: an asset that the session's version lacks comes from one
// that has it; nobody's pin changes.
func TestAssetFallback(t *testing.T) {
	missing := always(response(404, "v2 has no such thing", "Cache-Control: public, max-age=60"))
	old := newRecorder(t, always(response(200, "the script", "Cache-Control: public, max-age=31536000")))
	for name, script := range map[string]func(net.Conn, *message) bool{
		"whole":     missing,
		"in chunks": always("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
		"cut off":   last("HTTP/1.1 404 Not Found\r\nContent-Length: 100\r\n\r\nto come"),
	} {
		t.Run(name, func(t *testing.T) {
			b := newRecorder(t, script)
			var j journal
			r := newRig(t, map[string]string{"v1": old.addr, "v2": b.addr}, assets("/assets"), j.logged(AccessAll, accesslog.Layout{}))
			answer := r.exchangeRaw(get("/assets/app.1234.js", onV2, closing))
			if statuses(answer) != "200" || !strings.HasSuffix(answer, "the script") || strings.Contains(answer, "Set-Cookie") {
				t.Errorf("answered %q", answer)
			}
			checkFields(t, b.one(), "Sluice-Version", "v2")
			checkFields(t, old.one(), "Sluice-Version", "v1")
			r.counted("v1", 1, "asset_fallback", 1)
			r.counted("v2", 1, "pin", 1)
			if v1, v2 := r.of("v1"), r.of("v2"); v2.ByClass("4xx") != 1 || v2.AssetFallbacks != 1 || v1.LiveSessions != 0 || v2.LiveSessions != 1 {
				t.Errorf("counted %+v and %+v", v1, v2)
			}
			fields := j.one(t)
			if fields["version"] != "v1" || fields["fallback_from"] != "v2" || fields["reason"] != "asset_fallback" {
				t.Errorf("logged %v", fields)
			}
			if answer := r.exchangeRaw(get("/page", onV2, closing)); statuses(answer) != "404" {
				t.Errorf("a page that is no asset: %q", answer)
			}
			if n := r.clusters["v2"].InUse() + r.clusters["v1"].InUse(); n != 0 {
				t.Errorf("%d connections stay in use", n)
			}
		})
	}
}

// TestAssetThatNobodyHas: the own version's answer is sent, and no cache may
// keep it.
func TestAssetThatNobodyHas(t *testing.T) {
	body := strings.Repeat("nowhere ", 10_000)
	for _, others := range []func(net.Conn, *message) bool{
		always(response(404, "other")), always(response(500, "other")), last(""), last("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
	} {
		b := newRecorder(t, always(response(404, body, "Cache-Control: public, max-age=60", "Expires: Thu, 01 Jan 2099 00:00:00 GMT", "X-Of: v2")))
		other := newRecorder(t, others)
		r := newRig(t, map[string]string{"v1": other.addr, "v2": b.addr, "v3": refusing(t)}, assets("/"), func(r *rig) {
			r.settings.Retries = -1
			r.upstream.Outlier.Disabled = true
		})
		answer := r.exchangeRaw(get("/app.js", onV2) + get("/app.js", onV2, closing))
		if statuses(answer) != "404 404" || strings.Count(answer, body) != 2 || strings.Count(answer, "\r\nX-Of: v2\r\n") != 2 {
			t.Errorf("answered %.300q", answer)
		}
		if strings.Count(answer, "\r\nCache-Control: no-store\r\n") != 2 || strings.Contains(answer, "public") || strings.Contains(answer, "Expires") {
			t.Errorf("caches may keep %.300q", answer)
		}
		r.counted("v1", 2, "asset_fallback", 2)
		r.counted("v2", 2, "pin", 2)
		r.counted("v3", 2, "asset_fallback", 2)
		if n := r.of("v2").AssetFallbacks; n != 0 {
			t.Errorf("%d fallbacks counted", n)
		}
	}
	alone := newRig(t, map[string]string{"v1": newRecorder(t, always(response(404, "none"))).addr}, assets("/"))
	if answer := alone.exchangeRaw(get("/app.js", closing)); statuses(answer) != "404" || strings.Count(answer, "Cache-Control: no-store\r\n") != 1 || strings.Contains(answer, "Cache-Control: private") {
		t.Errorf("answered %q", answer)
	}
}

// TestAssetOfATester: who chose a version by an override sees what it has.
func TestAssetOfATester(t *testing.T) {
	b, old := newRecorder(t, always(response(404, ""))), newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": old.addr, "v2": b.addr}, assets("/"), func(r *rig) { r.listener.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	answer := r.exchangeRaw(get("/app.js", "Sluice-Override: web=v2", closing))
	if statuses(answer) != "404" || strings.Contains(answer, "no-store") {
		t.Errorf("answered %q", answer)
	}
	if answer := r.exchangeRaw(post("x", "Content-Length: 1", onV2, closing)); statuses(answer) != "404" {
		t.Errorf("a POST: %q", answer)
	}
	if seen, _ := old.take(); len(seen) > 0 {
		t.Errorf("another version was asked: %v", shorts(seen))
	}
}

// TestInsteadUnderLoad keeps both features busy on connections that are used
// again and again, so that an answer that went astray would be seen.
func TestInsteadUnderLoad(t *testing.T) {
	echo := func(version string) *recorder {
		return newRecorder(t, func(c net.Conn, m *message) bool {
			status := 200
			switch {
			case version == "v2" && strings.Contains(m.target, "fail"):
				status = 503
			case version == "v2" && strings.Contains(m.target, "assets"):
				status = 404
			}
			_, err := io.WriteString(c, response(status, version+" "+m.target+";"))
			return err == nil
		})
	}
	v1, v2 := echo("v1"), echo("v2")
	r := newRig(t, map[string]string{"v1": v1.addr, "v2": v2.addr}, shield(), assets("/assets"), func(r *rig) { r.upstream.Outlier.Disabled = true })
	c := r.dial()
	for i := range 300 {
		path, want := fmt.Sprintf("/page/%d", i), "v2"
		switch i % 3 {
		case 1:
			path, want = fmt.Sprintf("/fail/%d", i), "v1"
		case 2:
			path, want = fmt.Sprintf("/assets/%d", i), "v1"
		}
		io.WriteString(c, get(path, onV2))
		if body := until(t, c, ";"); !strings.HasSuffix(body, "\r\n\r\n"+want+" "+path+";") {
			t.Fatalf("%s: %q", path, body)
		}
	}
	if v1.opened > 2 || v2.opened > 2 {
		t.Errorf("%d and %d connections for 300 requests one after the other", v1.opened, v2.opened)
	}
}
