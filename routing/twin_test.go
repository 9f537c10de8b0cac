package routing

import (
	"fmt"
	"math"
	"math/big"
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

	path string // of the route
}

// slowRoutePath is Snapshot.RoutePath's twin.
func slowRoutePath(cfg Config, req *Request) string {
	w := &twin{cfg: cfg, req: req}
	w.route()
	return w.path
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
		if w.svc.Set != nil {
			w.sessionOfSet()
		} else {
			w.session("", nil)
		}
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
					w.svc, w.path = w.service(r.Service), p
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
			chosen := w.rendezvous(r.Split.Weights, mix(xxhash.Sum64String(key)+xxhash.Sum64String(w.svc.Name)), r.Dark)
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
	id, was, held := w.pinned(rule == "", weights)
	if held {
		return true
	}
	w.out.Reason = "split"
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

// pinned answers with the first pin cookie that holds, if it may lead anywhere
// or to a version of weights. Else it returns the session and the version of
// the pin that comes nearest to holding.
func (w *twin) pinned(anywhere bool, weights map[string]int) (id uint64, was string, held bool) {
	if w.svc.Pin.By != PinCookie {
		return 0, "", false
	}
	for _, value := range w.cookies("sluice_" + w.svc.Name) {
		pin, ok := plainPin(value)
		if !ok || pin.epoch > w.svc.Epoch {
			continue
		}
		v := w.version(pin.version)
		if v != nil && !w.dark(v.Name) && pin.epoch >= v.LeastEpoch {
			if anywhere || weights[v.Name] > 0 {
				w.out.Version, w.out.Pin, w.out.Session, w.out.Epoch = v.Name, "held", pin.session, pin.epoch
				w.out.Reason = "pin"
				return 0, "", true
			}
			return pin.session, v.Name, false
		}
		if id == 0 {
			if id = pin.session; v != nil {
				was = v.Name
			}
		}
	}
	return id, was, false
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

func TestDecideIsItsTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		s, err := Build(cfg)
		if err != nil {
			return // a conflict
		}
		for range 8 {
			req := drawRequest(t)
			if got, want := s.RoutePath(req.Host, req.Path), slowRoutePath(cfg, req); got != want {
				t.Fatalf("%s%s: the route's path is %q, want %q", req.Host, req.Path, got, want)
			}
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
