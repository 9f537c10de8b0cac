package state

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Rule names a safety rule: what keeps a version from traffic that it, or
// others, could not bear. The rules look at the state before and after a
// command, whatever the command is, so that every way in obeys them.
type Rule string

// The rules.
const (
	// RuleBarrier: behind a service's barrier no version gets traffic that can't
	// read the service's level.
	RuleBarrier Rule = "barrier"
	// RuleShape: two versions of a service are live or draining together only if
	// each reads what the other writes.
	RuleShape Rule = "shape"
	// RuleNeeds: a version gets traffic only while every live version of the
	// services that it requires provides what it requires of them.
	RuleNeeds Rule = "needs"
	// RuleCapacity: a version's share is raised only where it has healthy
	// endpoints, and as many as that share of the present rate needs.
	RuleCapacity Rule = "capacity"
	// RuleJourneys: a dark version gets weight only after it has passed the
	// journeys of its service.
	RuleJourneys Rule = "journeys"
)

// MayPass tells whether what stands in the way may pass by itself: endpoints come
// up, and journeys are run again.
func (r Rule) MayPass() bool { return r == RuleCapacity || r == RuleJourneys }

// Obstacle is one thing that stands in the way of a command.
type Obstacle struct {
	Rule    Rule   `json:"rule"`
	Service string `json:"service"`
	Version string `json:"version,omitempty"`
	Message string `json:"message"`
}

// offence is one way in which a state breaks a rule.
type offence struct {
	rule             Rule
	service, version string
	with             string // RuleShape: the other version; RuleNeeds: the service required
}

// compare orders offences: the rules that guard data first.
func (o offence) compare(p offence) int {
	order := []Rule{RuleBarrier, RuleShape, RuleNeeds, RuleCapacity, RuleJourneys}
	return cmp.Or(
		cmp.Compare(slices.Index(order, o.rule), slices.Index(order, p.rule)),
		cmp.Compare(o.service, p.service), cmp.Compare(o.version, p.version), cmp.Compare(o.with, p.with),
	)
}

// verdict is what the rules say of a command that they let pass.
type verdict struct {
	forced   []Rule              // that force passed over
	warnings map[string][]string // by service
}

// obey holds a command against the rules. What was broken before may stay so: a
// command is refused for what it breaks or makes worse. Force passes over all of
// them, and a rollback over capacity and journeys.
func obey(prev, next State, edits []edit, meta Meta) (verdict, error) {
	v := verdict{warnings: map[string][]string{}}
	var against []*Refusal
	for _, o := range worsened(prev, next, edits, meta.At) {
		against = append(against, next.against(prev, o, meta.At))
	}
	force := false
	for _, e := range edits {
		force = force || e.force
		if e.next == nil {
			continue
		}
		doubtful := append(meta.Facts.shortages(prev.Services[e.service], e.next), meta.Facts.unproven(prev.Services[e.service], e.next, meta.At)...)
		if !e.back {
			against = append(against, doubtful...)
			doubtful = nil
		}
		for _, r := range doubtful {
			v.warn(e.service, r.Message)
		}
		for _, doubt := range next.cutOff(prev.Services[e.service], e.next) {
			v.warn(e.service, doubt)
		}
		for _, doubt := range unreadable(prev.Services[e.service], e.next, meta.At) {
			v.warn(e.service, doubt)
		}
	}
	if len(against) > 0 && !force {
		return v, gather(against)
	}
	for _, r := range against {
		if !slices.Contains(v.forced, r.Rule) {
			v.forced = append(v.forced, r.Rule)
		}
		for _, e := range edits {
			if e.service == r.Service || next.Services[r.Service] == prev.Services[r.Service] {
				v.warn(e.service, "forced: "+r.Message)
			}
		}
	}
	return v, nil
}

func (v *verdict) warn(service, text string) {
	if all := v.warnings[service]; len(all) < maxListed && !slices.Contains(all, text) {
		v.warnings[service] = append(v.warnings[service], text)
	}
}

// listRules joins the names of rules for people.
func listRules(rules []Rule) string {
	names := make([]string, len(rules))
	for i, r := range rules {
		names[i] = string(r)
	}
	return list(names)
}

// gather makes one refusal of several: the first, with all that stands in the
// way.
func gather(all []*Refusal) *Refusal {
	first := *all[0]
	for _, r := range all[:min(len(all), maxListed)] {
		first.Obstacles = append(first.Obstacles, Obstacle{r.Rule, r.Service, r.Version, r.Message})
	}
	if more := len(all) - 1; more > 0 {
		first.Message += fmt.Sprintf(" (and %d more in the way)", more)
	}
	return &first
}

// worsened lists what a command breaks or makes worse, in order.
func worsened(prev, next State, edits []edit, now time.Time) []offence {
	concerned := concerned(prev, next, edits)
	after := next.offences(concerned, now)
	if len(after) == 0 {
		return nil
	}
	before := prev.offences(concerned, now)
	maps.DeleteFunc(after, func(o offence, e exposure) bool { return !before[o].less(e) })
	return slices.SortedFunc(maps.Keys(after), offence.compare)
}

// concerned names the services whose offences a command may change: those that
// it touches, and those that require something of one that may lose it.
func concerned(prev, next State, edits []edit) []string {
	var names []string
	losing := map[string]bool{}
	touched := map[string]bool{}
	for _, e := range edits {
		touched[e.service] = true
		if e.next != nil {
			names = append(names, e.service)
		}
		if mayLose(prev.Services[e.service], e.next) {
			losing[e.service] = true
		}
	}
	if len(losing) == 0 {
		return names
	}
	for name, svc := range next.Services {
		if !touched[name] && svc.requiresAny(losing) {
			names = append(names, name)
		}
	}
	return names
}

// mayLose tells whether an edit may take something that others require from a
// service: it goes, or a version gets more of its sessions that lacks something
// which another live one provided. What none provided, nobody can lose.
func mayLose(prev, next *Service) bool {
	if prev == nil || next == nil {
		return prev != nil
	}
	var offered []string
	for _, v := range prev.Versions {
		if v.Weight > 0 {
			offered = append(offered, v.Spec.Provides...)
		}
	}
	total := next.totalWeight()
	for _, v := range next.Versions {
		old := prev.Versions[v.Name]
		same := old != nil && slices.Equal(old.Spec.Provides, v.Spec.Provides) && !prev.raised(v, total)
		if v.Weight > 0 && !same && len(v.Spec.missing(offered)) > 0 {
			return true
		}
	}
	return false
}

func (s *Service) requiresAny(services map[string]bool) bool {
	for _, v := range s.Versions {
		for name := range v.Spec.Requires {
			if services[name] {
				return true
			}
		}
	}
	return false
}

// offences finds how services of a state break the rules, and how much of their
// traffic does.
func (s State) offences(services []string, now time.Time) map[offence]exposure {
	found := map[offence]exposure{}
	for _, name := range services {
		svc := s.Services[name]
		if svc == nil {
			continue
		}
		serving := svc.serving(now)
		for i, v := range serving {
			at := svc.presence(v, now)
			if !svc.passes(v) {
				found[offence{RuleBarrier, name, v.Name, ""}] = at
			}
			for _, w := range serving[:i] {
				if !v.Spec.Shape.agrees(w.Spec.Shape) {
					found[offence{RuleShape, name, w.Name, v.Name}] = at.with(svc.presence(w, now))
				}
			}
			for provider, names := range v.Spec.Requires {
				if part := s.lackingFor(svc, v, provider, names); part > 0 {
					found[offence{RuleNeeds, name, v.Name, provider}] = at.scaled(part)
				}
			}
		}
	}
	return found
}

// serving returns the versions that are live or draining, by name.
func (s *Service) serving(now time.Time) []*Version {
	var serving []*Version
	for _, v := range s.Versions {
		if v.Mode(now) != Dark {
			serving = append(serving, v)
		}
	}
	slices.SortFunc(serving, func(a, b *Version) int { return cmp.Compare(a.Name, b.Name) })
	return serving
}
