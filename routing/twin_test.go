package routing

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"
)

// The twin decides from the plain Config, slowly and without a thought for
// anything but the words of the design. It knows no tokens and no keyed pins'
// table: those have tests of their own.

// verdict is what the twin decides.
type verdict struct {
	Service, Version, Failed, Reason, Pin, Moved string
	Session, Epoch                               uint64
}

func (d Decision) verdict() verdict {
	name := func(v *Version) string {
		if v == nil {
			return ""
		}
		return v.Name
	}
	v := verdict{Version: name(d.Version), Failed: name(d.Failed), Reason: ReasonText(&d), Pin: d.Pin.String(),
		Moved: name(d.MovedFrom), Session: d.Session, Epoch: d.Epoch}
	if d.Service != nil {
		v.Service = d.Service.Name
	}
	return v
}

// twin holds what one slow decision needs.
type twin struct {
	cfg Config
	req *Request
	svc *ServiceConfig
	out verdict
}

func slowly(cfg Config, req *Request) verdict {
	w := &twin{cfg: cfg, req: req, out: verdict{Pin: "none", Reason: "no_route"}}
	if w.route(); w.svc == nil {
		return w.out
	}
	w.out.Service = w.svc.Name
	if w.override() {
		return w.out
	}
	if !w.rules() {
		w.session("", nil)
	}
	w.failover()
	return w.out
}

// route scores every route: the class of the host, then its length, then the
// length of the path.
func (w *twin) route() {
	host, _, _ := strings.Cut(strings.ToLower(w.req.Host), ":")
	host = strings.TrimSuffix(host, ".")
	best := -1
	for _, r := range w.cfg.Routes {
		for _, h := range orAny(r.Hosts, "") {
			for _, p := range orAny(r.Paths, "/") {
				if score := 1000*hostScore(h, host) + len(p); pathWithin(w.req.Path, p) && hostScore(h, host) >= 0 && score > best {
					best = score
					w.svc = w.service(r.Service)
				}
			}
		}
	}
}

func orAny(list []string, none string) []string {
	if len(list) == 0 {
		return []string{none}
	}
	return list
}

func hostScore(pattern, host string) int {
	suffix, wild := strings.CutPrefix(pattern, "*")
	switch {
	case pattern == "":
		return 0
	case wild && strings.HasSuffix(host, suffix) && len(host) > len(suffix):
		return len(suffix)
	case pattern == host:
		return 500
	}
	return -1
}

func pathWithin(path, prefix string) bool {
	return prefix == "/" || path == prefix || strings.HasPrefix(path, prefix+"/")
}

func (w *twin) service(name string) *ServiceConfig {
	i := slices.IndexFunc(w.cfg.Services, func(s ServiceConfig) bool { return s.Name == name })
	return &w.cfg.Services[i]
}

func (w *twin) version(name string) *VersionConfig {
	if i := slices.IndexFunc(w.svc.Versions, func(v VersionConfig) bool { return v.Name == name }); i >= 0 {
		return &w.svc.Versions[i]
	}
	return nil
}

func (w *twin) dark(name string) bool {
	v := w.version(name)
	return v.Weight == 0 && (!v.Draining || v.DrainUntil != 0 && w.req.Now >= v.DrainUntil)
}

func (w *twin) usable(name string) bool { return w.req.Health.Usable(w.version(name).Slot) }

// override reads the header's simple form alone: the generator makes no other.
func (w *twin) override() bool {
	text, ok := w.req.field("sluice-override")
	if !ok || !w.req.Trusted {
		return false
	}
	for _, member := range strings.Split(text, ", ") {
		service, version, _ := strings.Cut(member, "=")
		if service != w.svc.Name || w.version(version) == nil {
			continue
		}
		w.out.Reason = "override"
		if w.usable(version) {
			w.out.Version = version
		} else {
			w.out.Failed = version
		}
		return true
	}
	return false
}

func (w *twin) rules() bool {
	for _, r := range w.svc.Rules {
		if !w.matches(r.Match) {
			continue
		}
		switch {
		case r.Split == nil:
			if w.dark(r.Version) && !r.Dark {
				continue
			}
			w.out.Version = r.Version
		case r.Split.By == "":
			if !w.session("rule:"+r.Name, r.Split.Weights) {
				continue
			}
		default:
			key, ok := w.req.field(strings.ToLower(strings.TrimPrefix(r.Split.By, "header:")))
			if !ok {
				continue
			}
			chosen := w.rendezvous(r.Split.Weights, w.hashKey(key), r.Dark)
			if chosen == "" {
				continue
			}
			w.out.Version = chosen
		}
		w.out.Reason = "rule:" + r.Name
		return true
	}
	return false
}

func (w *twin) matches(m Match) bool {
	ok := m.Method == "" || m.Method == w.req.Method
	ok = ok && (m.Path == "" || pathWithin(w.req.Path, m.Path))
	for name, want := range m.Header {
		got, has := w.req.field(strings.ToLower(name))
		ok = ok && has && fits(want, got)
	}
	for name, want := range m.Cookie {
		values := w.cookies(name)
		ok = ok && len(values) > 0 && fits(want, values[0])
	}
	for name, want := range m.Query {
		values, _ := url.ParseQuery(w.req.Query)
		ok = ok && values.Has(name) && fits(want, values.Get(name))
	}
	in := len(m.Client) == 0
	for _, p := range m.Client {
		in = in || p.Contains(w.req.Client)
	}
	return ok && in
}

func fits(want, got string) bool {
	if prefix, ok := strings.CutSuffix(want, "*"); ok {
		return strings.HasPrefix(got, prefix)
	}
	return want == got
}

func (w *twin) cookies(name string) (values []string) {
	field, _ := w.req.field("cookie")
	for _, pair := range strings.Split(field, ";") {
		n, v, ok := strings.Cut(pair, "=")
		if ok && strings.Trim(n, " \t") == name {
			values = append(values, strings.Trim(v, " \t"))
		}
	}
	return values
}

// session is pin, else split; among the weights of a rule, if any. It reports
// whether a rule led anywhere.
func (w *twin) session(rule string, weights map[string]int) bool {
	live := map[string]int{}
	for _, v := range w.svc.Versions {
		if v.Weight > 0 && rule == "" {
			live[v.Name] = v.Weight
		} else if v.Weight > 0 {
			live[v.Name] = weights[v.Name]
		}
	}
	w.out.Reason = "split"
	var id uint64
	var was string
	seen := false
	if w.svc.Pin.By == PinCookie {
		for _, value := range w.cookies("sluice_" + w.svc.Name) {
			pin, ok := plainPin(value)
			if !ok || pin.epoch > w.svc.Epoch {
				continue
			}
			v := w.version(pin.version)
			if v != nil && !w.dark(v.Name) && pin.epoch >= v.LeastEpoch {
				id, was = pin.session, v.Name
				if rule == "" || weights[v.Name] > 0 {
					w.out.Version, w.out.Pin, w.out.Session, w.out.Epoch = v.Name, "held", pin.session, pin.epoch
					w.out.Reason = "pin"
					return true
				}
				break
			}
			if !seen {
				seen = true
				if id = pin.session; v != nil {
					was = v.Name
				}
			}
		}
	}
	key, keyed := "", false
	if w.svc.Pin.By == PinHeader {
		key, _ = w.req.field("x-session")
		keyed = key != ""
	}
	draw := w.req.Draw
	switch {
	case keyed:
		w.out.Version = w.rendezvous(live, w.hashKey(key), false)
		id = max(1, mix(xxhash.Sum64String(key)+xxhash.Sum64String(w.svc.Name)))
	case id != 0:
		w.out.Version = w.interval(live, mix(id+mix(w.svc.Epoch+xxhash.Sum64String(w.svc.Salt))))
	case w.svc.Pin.By == PinCookie && w.svc.Pin.First == FirstClient:
		ip := w.req.Client.As16()
		agent, _ := w.req.field("user-agent")
		w.out.Version = w.rendezvous(live, mix(mix(xxhash.Sum64(ip[:])+xxhash.Sum64String(w.svc.Salt))+xxhash.Sum64String(agent)), false)
	default:
		w.out.Version = w.interval(live, draw)
	}
	if w.out.Version == "" {
		return false
	}
	if w.svc.Pin.By == PinCookie || keyed {
		if id == 0 {
			id = max(1, draw)
		}
		w.out.Pin, w.out.Session, w.out.Epoch = "make", id, w.svc.Epoch
		if was != w.out.Version {
			w.out.Moved = was
		}
	}
	return true
}

type pin struct {
	version        string
	epoch, session uint64
}

// plainPin reads a pin the plain way and wants it back letter for letter.
func plainPin(value string) (pin, bool) {
	parts := strings.SplitN(value, ".", 3)
	if len(parts) != 3 {
		return pin{}, false
	}
	epoch, err1 := strconv.ParseUint(parts[0], 10, 64)
	session, err2 := strconv.ParseUint(parts[1], 16, 64)
	p := pin{parts[2], epoch, session}
	ok := err1 == nil && err2 == nil && session != 0 && validName(parts[2])
	return p, ok && fmt.Sprintf("%d.%016x.%s", epoch, session, parts[2]) == value
}

// interval finds floor(draw·total/2^64) in exact arithmetic.
func (w *twin) interval(weights map[string]int, draw uint64) string {
	names, total := positive(weights)
	point := new(big.Int).Mul(new(big.Int).SetUint64(draw), big.NewInt(int64(total)))
	at := int(point.Rsh(point, 64).Int64())
	for _, name := range names {
		if at -= weights[name]; at < 0 {
			return name
		}
	}
	return ""
}

func positive(weights map[string]int) (names []string, total int) {
	for name, weight := range weights {
		if weight > 0 {
			names = append(names, name)
			total += weight
		}
	}
	slices.Sort(names)
	return names, total
}

func (w *twin) hashKey(key string) uint64 {
	return mix(xxhash.Sum64String(key) + xxhash.Sum64String(w.svc.Salt))
}

// rendezvous gives the key to the version with the greatest weight / -ln(u).
func (w *twin) rendezvous(weights map[string]int, key uint64, dark bool) (best string) {
	most := 0.0
	names, _ := positive(weights)
	for _, name := range names {
		u := (float64(mix(key^xxhash.Sum64String(name))>>11) + 0.5) / math.Pow(2, 53)
		if score := float64(weights[name]) / -math.Log(u); (dark || !w.dark(name)) && score > most {
			best, most = name, score
		}
	}
	return best
}

func (w *twin) failover() {
	if w.out.Version == "" || w.usable(w.out.Version) {
		return
	}
	key := w.out.Session
	if key == 0 {
		key = w.req.Draw
	}
	w.out.Failed, w.out.Reason = w.out.Version, "failover"
	others := map[string]int{}
	for _, v := range w.svc.Versions {
		if v.Weight > 0 && v.Name != w.out.Failed && v.Writes == w.version(w.out.Failed).Writes && w.usable(v.Name) {
			others[v.Name] = v.Weight
		}
	}
	w.out.Version = w.rendezvous(others, mix(key), false)
	if w.out.Pin == "make" {
		w.out.Pin, w.out.Moved, w.out.Session, w.out.Epoch = "none", "", 0, 0
	}
}

// Generators.

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

func TestDecideIsItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		s, err := Build(cfg)
		if err != nil {
			return // a conflict
		}
		for range 8 {
			req := drawRequest(t)
			got, want := s.Decide(req).verdict(), slowly(cfg, req)
			if got != want {
				t.Fatalf("%s %s %v\ngot  %+v\nwant %+v", req.Host, req.Path, req.Fields, got, want)
			}
		}
	})
}

func TestExplainIsDecide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, err := Build(drawConfig(t))
		if err != nil {
			return
		}
		for range 8 {
			req := drawRequest(t)
			d, why := s.Decide(req), s.Explain(req)
			if d != why.Decision {
				t.Fatalf("decided %+v, explained %+v", d, why.Decision)
			}
			last := why.Steps[len(why.Steps)-1]
			step := d.Reason.String()
			if d.Reason == NoRoute {
				step = "route"
			}
			outcome := taken
			if d.Version == nil {
				outcome = failed
			}
			if last.Step != step || last.Outcome != outcome || last.Why == "" {
				t.Fatalf("decided %s, the last step is %+v", ReasonText(&d), last)
			}
		}
	})
}
