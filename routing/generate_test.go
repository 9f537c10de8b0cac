package routing

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"pgregory.net/rapid"
)

// The generators of the property tests draw from few values, so that what they
// draw often meets.

var versionNames = []string{"v1", "v2", "v3", "v4", "v5"}

func drawService(t *rapid.T, name string, slot int) ServiceConfig {
	svc := ServiceConfig{Name: name, Epoch: rapid.Uint64Range(0, 5).Draw(t, "epoch"), Salt: rapid.SampledFrom([]string{"", "s"}).Draw(t, "salt")}
	svc.Pin.By = rapid.SampledFrom([]PinBy{PinCookie, PinCookie, PinHeader, PinNone}).Draw(t, "by")
	if svc.Pin.By == PinHeader {
		svc.Pin.Name = "X-Session"
	}
	svc.Pin.First = First(rapid.IntRange(0, 1).Draw(t, "first"))
	for i, v := range versionNames[:rapid.IntRange(1, 5).Draw(t, "versions")] {
		svc.Versions = append(svc.Versions, VersionConfig{
			Name: v, Slot: slot + i,
			Weight:     rapid.SampledFrom([]int{0, 0, 1, 5, 100, MaxWeight}).Draw(t, "weight"),
			Draining:   rapid.Bool().Draw(t, "draining"),
			DrainUntil: rapid.SampledFrom([]int64{0, now, now + 1}).Draw(t, "until"),
			LeastEpoch: rapid.Uint64Range(0, 5).Draw(t, "least"),
			Writes:     rapid.SampledFrom([]string{"", "", "12"}).Draw(t, "writes"),
		})
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "rules") {
		svc.Rules = append(svc.Rules, drawRule(t, &svc, i))
	}
	return svc
}

func drawRule(t *rapid.T, svc *ServiceConfig, i int) RuleConfig {
	r := RuleConfig{Name: fmt.Sprintf("r%d", i), Dark: rapid.Bool().Draw(t, "dark")}
	pick := func() string {
		return svc.Versions[rapid.IntRange(0, len(svc.Versions)-1).Draw(t, "of")].Name
	}
	value := rapid.SampledFrom([]string{"a", "ab", "a*", "*", "b c"})
	switch rapid.IntRange(0, 5).Draw(t, "kind") {
	case 0:
		r.Match.Header = map[string]string{"X-Tenant": value.Draw(t, "value")}
	case 1:
		r.Match.Cookie = map[string]string{"c": value.Draw(t, "value")}
	case 2:
		r.Match.Query = map[string]string{"q": value.Draw(t, "value")}
	case 3:
		r.Match.Client = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/29")}
	case 4:
		r.Match.Path = rapid.SampledFrom([]string{"/a", "/a/b", "/ab"}).Draw(t, "path")
	}
	if rapid.Bool().Draw(t, "version") {
		r.Version = pick()
		return r
	}
	r.Split = &SplitConfig{Weights: map[string]int{pick(): 1, pick(): 3}}
	if rapid.Bool().Draw(t, "keyed") {
		r.Split.By = "header:X-Tenant"
	} else {
		r.Dark = false
	}
	return r
}

func drawConfig(t *rapid.T) Config {
	cfg := Config{Keys: []Key{testKey}, Services: []ServiceConfig{drawService(t, "web", 0), drawService(t, "api", 10)}}
	host := rapid.SampledFrom([]string{"web.test", "*.test", "*.web.test", "api.test"})
	path := rapid.SampledFrom([]string{"/", "/a", "/a/b", "/ab"})
	drawSet(t, &cfg)
	for range rapid.IntRange(0, 5).Draw(t, "routes") {
		cfg.Routes = append(cfg.Routes, Route{
			Hosts:   rapid.SliceOfN(host, 0, 2).Draw(t, "hosts"),
			Paths:   rapid.SliceOfN(path, 0, 2).Draw(t, "paths"),
			Service: rapid.SampledFrom([]string{"web", "api"}).Draw(t, "service"),
		})
	}
	cfg.Routes = append(cfg.Routes, Route{Hosts: []string{"last.test"}, Service: "web"})
	return cfg
}

// drawSet makes the services a release set, half of the times.
func drawSet(t *rapid.T, cfg *Config) {
	if rapid.Bool().Draw(t, "none") {
		return
	}
	set := SetConfig{Name: "shop", Share: rapid.SampledFrom([]int{0, 100, 5000, 10_000}).Draw(t, "share"), Over: rapid.Bool().Draw(t, "over")}
	for i := range cfg.Services {
		svc := &cfg.Services[i]
		version := rapid.SampledFrom(svc.Versions)
		set.Members = append(set.Members, SetMember{
			Service: svc.Name, Candidate: version.Draw(t, "candidate").Name, Baseline: version.Draw(t, "baseline").Name,
			Since: rapid.Uint64Range(0, 5).Draw(t, "since"),
		})
		svc.Salt = "r1"
	}
	for i := range cfg.Services {
		cfg.Services[i].Set = &set
	}
}

func drawRequest(t *rapid.T) *Request {
	value := rapid.SampledFrom([]string{"a", "ab", "b c", "", "x"})
	f := fields{}
	if rapid.Bool().Draw(t, "tenant") {
		f["x-tenant"] = value.Draw(t, "value")
	}
	if rapid.Bool().Draw(t, "session") {
		f["x-session"] = value.Draw(t, "value")
	}
	if rapid.IntRange(0, 3).Draw(t, "override") == 0 {
		f["sluice-override"] = rapid.SampledFrom([]string{"web=v1", "web=v5, api=v2", "api=v9", "other=v1"}).Draw(t, "value")
	}
	var cookies []string
	for range rapid.IntRange(0, 4).Draw(t, "cookies") {
		cookies = append(cookies, drawCookie(t))
	}
	if len(cookies) > 0 {
		f["cookie"] = strings.Join(cookies, rapid.SampledFrom([]string{"; ", ";", " ;\t"}).Draw(t, "between"))
	}
	health := sick{}
	for slot := range 15 {
		health[slot] = rapid.IntRange(0, 4).Draw(t, "sick") == 0
	}
	return &Request{
		Method: "GET", Fields: f, Health: health, Now: now,
		Host:    rapid.SampledFrom([]string{"web.test", "WEB.test.:80", "a.web.test", "api.test", "last.test", "test", "x", ""}).Draw(t, "host"),
		Path:    rapid.SampledFrom([]string{"/", "/a", "/a/", "/a/b/c", "/ab", "/abc", "/b"}).Draw(t, "path"),
		Query:   rapid.SampledFrom([]string{"", "q=a", "x=y&q=ab", "q=b+c", "%71=b%20c", "q"}).Draw(t, "query"),
		Client:  netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(0, 15).Draw(t, "client"))}),
		Trusted: rapid.Bool().Draw(t, "trusted"),
		Draw:    binary.BigEndian.Uint64(rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "draw")),
	}
}

func drawCookie(t *rapid.T) string {
	if rapid.IntRange(0, 2).Draw(t, "which") == 0 {
		return rapid.SampledFrom([]string{"c=a", "c = ab ", "cc=x", "c", "=c", "d=c=a", "", "sluice_web=", "sluice_web=1.2.3"}).Draw(t, "cookie")
	}
	return fmt.Sprintf("sluice_%s=%d.%016x.%s",
		rapid.SampledFrom([]string{"web", "api"}).Draw(t, "name"),
		rapid.Uint64Range(0, 6).Draw(t, "epoch"),
		rapid.SampledFrom([]uint64{0, 1, 0xabc, 1 << 63}).Draw(t, "session"),
		rapid.SampledFrom(append([]string{"v9"}, versionNames...)).Draw(t, "version"))
}
