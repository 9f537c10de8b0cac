package routing

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"
)

// ConfigError is one thing that is wrong with a Config.
type ConfigError struct {
	Field   string // where, in the words of the file: "services.web.rules[1].match.path"
	Message string // what is wrong and what would work
}

// Error returns the field and the message.
func (e *ConfigError) Error() string { return e.Field + ": " + e.Message }

// problems collects everything that is wrong.
type problems struct{ errs []error }

func (p *problems) add(field, format string, args ...any) {
	p.errs = append(p.errs, &ConfigError{field, fmt.Sprintf(format, args...)})
}

func (p *problems) err() error { return errors.Join(p.errs...) }

// Build compiles a Config. Its error joins one *ConfigError for everything
// that is wrong, conflicts included. The snapshot shares nothing with the
// Config but the PinTables.
func Build(cfg Config) (*Snapshot, error) {
	var p problems
	s := &Snapshot{
		Revision: cfg.Revision,
		places:   make(map[string]place, len(cfg.Services)),
		verifier: buildVerifier(&p, cfg.Keys),
	}
	for i := range cfg.Services {
		s.services = append(s.services, buildService(&p, &cfg.Services[i]))
	}
	slices.SortFunc(s.services, func(a, b *Service) int { return cmp.Compare(a.Name, b.Name) })
	for i, svc := range s.services {
		if s.places[svc.Name] != 0 {
			p.add("services."+svc.Name, "it is declared twice")
		}
		s.places[svc.Name] = place(i + 1)
	}
	for i := range cfg.Services {
		s.Service(cfg.Services[i].Name).joinSet(&p, cfg.Services[i].Set, s.places)
	}
	checkPinNames(&p, s.services)
	s.routes = buildRoutes(&p, cfg.Routes, s.places)
	p.errs = append(p.errs, conflicts(cfg.Routes, cfg.Services)...)
	if err := p.err(); err != nil {
		return nil, err
	}
	return s, nil
}

// With returns a snapshot of another revision in which some services, all of
// which s has, are compiled anew. The rest is shared with s: it costs what those
// services cost, and little more for each of the others. Its error is as
// Build's.
func (s *Snapshot) With(revision uint64, services ...ServiceConfig) (*Snapshot, error) {
	var p problems
	next := *s
	next.Revision = revision
	next.services = slices.Clone(s.services)
	repinned := false
	for i := range services {
		cfg := &services[i]
		at := s.places[cfg.Name]
		if at == 0 {
			p.add("services."+cfg.Name, "the snapshot has no such service; build a new one")
			continue
		}
		svc, old := buildService(&p, cfg), s.at(at)
		repinned = repinned || svc.Pin.By != old.Pin.By || svc.Pin.Name != old.Pin.Name
		svc.joinSet(&p, cfg.Set, s.places)
		next.services[at-1] = svc
		ruleConflicts(&p, cfg)
	}
	if repinned {
		checkPinNames(&p, next.services)
	}
	if err := p.err(); err != nil {
		return nil, err
	}
	return &next, nil
}

func buildVerifier(p *problems, keys []Key) verifier {
	v := verifier{secrets: make(map[string][]byte, len(keys))}
	for i, k := range keys {
		field := fmt.Sprintf("override.keys[%d]", i)
		if err := k.check(); err != nil {
			p.add(field, "%v", err)
		}
		if _, taken := v.secrets[k.ID]; taken {
			p.add(field, "the id %s is taken by a key before it", k.ID)
		}
		v.secrets[k.ID] = slices.Clone(k.Secret)
	}
	return v
}

func buildService(p *problems, cfg *ServiceConfig) *Service {
	field := "services." + cfg.Name
	if !validService(cfg.Name) {
		p.add(field, "%q names no service: %s", cfg.Name, serviceRule)
	}
	svc := &Service{
		Name:   cfg.Name,
		Epoch:  cfg.Epoch,
		Expose: cfg.Expose,
		Pin:    buildPin(p, field+".pin", cfg.Name, cfg.Pin),
		pins:   cfg.Pins,
		salt:   xxhash.Sum64String(cfg.Salt),
		hash:   xxhash.Sum64String(cfg.Name),
	}
	for i := range cfg.Versions {
		svc.Versions = append(svc.Versions, buildVersion(p, field, &cfg.Versions[i]))
	}
	slices.SortStableFunc(svc.Versions, func(a, b *Version) int { return cmp.Compare(a.Name, b.Name) })
	for i, v := range svc.Versions {
		if i > 0 && svc.Versions[i-1].Name == v.Name {
			p.add(field+".versions."+v.Name, "it is declared twice")
		}
		svc.split.add(v, v.Weight)
	}
	svc.addShield(p, field+".shield", cfg.Shield)
	svc.addAssets(p, field+".asset_fallback", cfg.AssetPaths)
	for i := range cfg.Rules {
		svc.addRule(p, fmt.Sprintf("%s.rules[%d]", field, i), &cfg.Rules[i])
	}
	return svc
}

func buildVersion(p *problems, service string, cfg *VersionConfig) *Version {
	field := service + ".versions." + cfg.Name
	if !validName(cfg.Name) {
		p.add(field, "%q names no version: %s", cfg.Name, nameRule)
	}
	if cfg.Slot < 0 {
		p.add(field+".slot", "%d is below 0", cfg.Slot)
	}
	checkWeight(p, field+".weight", cfg.Weight)
	return &Version{
		Name:       cfg.Name,
		Slot:       cfg.Slot,
		Weight:     cfg.Weight,
		Draining:   cfg.Draining,
		DrainUntil: cfg.DrainUntil,
		LeastEpoch: cfg.LeastEpoch,
		Writes:     cfg.Writes,
		Reads:      slices.Clone(cfg.Reads),
		hash:       xxhash.Sum64String(cfg.Name),
	}
}

func checkWeight(p *problems, field string, weight int) {
	if weight < 0 || weight > MaxWeight {
		p.add(field, "%d is no weight; it is 0 to %d", weight, MaxWeight)
	}
}

func buildPin(p *problems, field, service string, pin PinConfig) PinConfig {
	if pin.TTL == 0 {
		pin.TTL = DefaultPinTTL
	}
	if pin.TTL < time.Second || pin.TTL%time.Second != 0 {
		p.add(field+".ttl", "%v is no lifetime of a pin; it is in whole seconds, at least 1s", pin.TTL)
	}
	if pin.First > FirstClient {
		p.add(field+".first", "unknown kind %d; random or client", pin.First)
	}
	if pin.By == PinCookie && pin.Name == "" {
		pin.Name = "sluice_" + service
	}
	switch pin.By {
	case PinCookie, PinAppCookie, PinHeader:
		if !validToken(pin.Name) {
			p.add(field+".name", "%q names no cookie or header; %s", pin.Name, tokenRule)
		}
		if pin.By != PinHeader && pin.Name == tokenCookie {
			p.add(field+".name", "the cookie %s holds override tokens; choose another name", tokenCookie)
		}
		if pin.By == PinHeader {
			pin.Name = strings.ToLower(pin.Name)
		}
	case PinClientIP, PinNone:
		if pin.Name != "" {
			p.add(field+".name", "pins by %s have no name", pin.By)
		}
	default:
		p.add(field+".by", "unknown kind %d; cookie, cookie:NAME, header:NAME, client_ip or none", pin.By)
	}
	return pin
}

// checkPinNames refuses services that would overwrite each other's pin cookie.
// services are sorted by name.
func checkPinNames(p *problems, services []*Service) {
	taken := make(map[string]string, len(services))
	for _, svc := range services {
		if svc.Pin.By != PinCookie {
			continue
		}
		if other, ok := taken[svc.Pin.Name]; ok && other != svc.Name {
			p.add("services."+svc.Name+".pin.name", "the cookie %s pins sessions of %s already; choose another name", svc.Pin.Name, other)
		}
		taken[svc.Pin.Name] = svc.Name
	}
}

// addRule compiles a rule.
func (svc *Service) addRule(p *problems, field string, cfg *RuleConfig) {
	if !validName(cfg.Name) {
		p.add(field+".name", "%q names no rule: %s", cfg.Name, nameRule)
	}
	for _, r := range svc.Rules {
		if r.Name == cfg.Name {
			p.add(field+".name", "%s names a rule before it already", cfg.Name)
		}
	}
	r := &Rule{Name: cfg.Name, Dark: cfg.Dark, reason: "rule:" + cfg.Name}
	r.match = buildMatch(p, field+".match", &cfg.Match)
	svc.Rules = append(svc.Rules, r)
	switch {
	case (cfg.Version == "") == (cfg.Split == nil):
		p.add(field, "rule %s needs either a version or a split", cfg.Name)
	case cfg.Version != "":
		r.version = svc.namedVersion(p, field+".version", cfg.Version)
	default:
		svc.splitRule(p, field+".split", r, cfg.Split)
	}
}

// splitRule compiles a rule's own split.
func (svc *Service) splitRule(p *problems, field string, r *Rule, cfg *SplitConfig) {
	by, ok := parseBy(cfg.By)
	if !ok {
		p.add(field+".by", `%q is nothing to split by; "header:NAME", "cookie:NAME", "query:NAME", "client_ip", or nothing to split by session`, cfg.By)
	}
	r.by = by
	if ok && by.kind == bySession && r.Dark && svc.Pin.By != PinNone {
		p.add(field+".by", `a split by session can't say dark: true, since it makes pins and a pin never reaches a dark version; split by "header:NAME", "cookie:NAME", "query:NAME" or "client_ip"`)
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Weights)) {
		weight := cfg.Weights[name]
		checkWeight(p, field+".weights."+name, weight)
		v := svc.namedVersion(p, field+".weights", name)
		if v == nil {
			continue
		}
		r.split.add(v, weight)
		if r.Dark || v.Weight > 0 {
			r.live.add(v, weight)
		}
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(cfg.Weights)), func(w int) bool { return w > 0 }) {
		p.add(field+".weights", "no version has a weight above 0")
	}
}

// namedVersion returns the version that a rule names, or nil if it does not
// exist.
func (svc *Service) namedVersion(p *problems, field, name string) *Version {
	v := svc.Version(name)
	if v == nil {
		p.add(field, "%s has no version %q; it has %s", svc.Name, name, svc.versionNames())
	}
	return v
}

func (svc *Service) versionNames() string {
	if len(svc.Versions) == 0 {
		return "none"
	}
	names := make([]string, len(svc.Versions))
	for i, v := range svc.Versions {
		names[i] = v.Name
	}
	return strings.Join(names, ", ")
}
