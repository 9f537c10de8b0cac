package server

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"sluice/configs"
	"sluice/proxy"
	"sluice/routing"
	"sluice/state"
	"sluice/synthetic/compare"
)

// shadowStage is the stage of a rollout in which a candidate answers copies of
// requests. The zero value is none.
type shadowStage struct {
	rollout             string
	stage               int
	candidate, baseline string
	share               int // as state.Stage.Share
}

// defaultShadowShare is that of a shadow stage that names none, as
// state.Stage.Share.
const defaultShadowShare = 1000

// shadowStages returns them by service. A pause sends no copies.
func shadowStages(st state.State) map[string]shadowStage {
	all := map[string]shadowStage{}
	for id, r := range st.Rollouts {
		if r.Phase != state.PhaseShadowing {
			continue
		}
		share := cmp.Or(r.Policy.Stages[r.Stage].Share, defaultShadowShare)
		for _, l := range r.Legs {
			all[l.Service] = shadowStage{id, r.Stage, l.Candidate, l.Baseline, share}
		}
	}
	return all
}

// subject is what a comparison is about. With another, another begins.
type subject struct {
	rollout string   // in whose stage copies are sent; "": the file says so
	stage   int      // of the rollout
	to      string   // the version that gets the copies
	from    []string // those whose answers its answers are compared with, by name
	specs   []state.Spec
	config  compare.Config
}

// subjectOf returns whose answers are to be compared now; false: nobody's. A
// stage of a rollout comes before what the file says.
func subjectOf(declared *configs.Shadow, svc *state.Service, stage shadowStage) (subject, bool) {
	s := subject{rollout: stage.rollout, stage: stage.stage, to: stage.candidate, config: compareConfig(declared)}
	if stage.rollout != "" {
		s.from = []string{stage.baseline}
	} else {
		s.to = declared.To
		for _, name := range svc.VersionNames() {
			if name != s.to && svc.Versions[name].Weight > 0 {
				s.from = append(s.from, name)
			}
		}
	}
	for _, name := range append([]string{s.to}, s.from...) {
		v := svc.Versions[name]
		if v == nil {
			return subject{}, false
		}
		s.specs = append(s.specs, v.Spec)
	}
	return s, len(s.from) > 0
}

// compareConfig translates what is compared and what is allowed.
func compareConfig(s *configs.Shadow) compare.Config {
	return compare.Config{
		Headers: s.Headers, Ignore: s.Ignore, AdditiveOnly: s.AdditiveOnly, Exact: !s.Again, Least: s.Least,
		Secrets: s.Secrets, HideValues: s.HideValues, MaxBody: int(s.MaxBody),
	}
}

// shadow has copies of a service's requests sent, as its file or the stage of a
// rollout says, and the answers compared. targets are those of its versions.
func (f *fleet) shadow(service string, declared *configs.Service, svc *state.Service, stage shadowStage, targets map[int]proxy.Target) error {
	terms := declared.Shadow
	if stage.rollout == "" && (terms == nil || terms.To == "") {
		f.compared[service].rest()
		return nil
	}
	if terms == nil {
		terms = new(configs.DefaultShadow())
	}
	share := float64(terms.Share) / 1e4
	if stage.rollout != "" {
		share = float64(stage.share) / 1e4
	}
	about, ok := subjectOf(terms, svc, stage)
	if !ok {
		f.compared[service].rest()
		return nil
	}
	match, err := shadowMatcher(terms)
	if err != nil {
		return fmt.Errorf("services.%s.shadow: %w", service, err)
	}
	c := f.comparison(service, about)
	c.share = share
	shadow := &proxy.Shadow{
		To: f.members[service][about.to].slot, Again: terms.Again, Share: share, Match: match, Methods: terms.Methods,
		MaxBody: int64(terms.MaxBody), Timeout: terms.Timeout, Tell: c.tell,
	}
	for _, name := range about.from {
		slot := f.members[service][name].slot
		target := targets[slot]
		target.Shadow = shadow
		targets[slot] = target
	}
	return nil
}

// shadowMatcher compiles which requests are copied; nil: all.
func shadowMatcher(s *configs.Shadow) (*routing.Matcher, error) {
	if reflect.ValueOf(s.Match).IsZero() {
		return nil, nil
	}
	return routing.NewMatcher("match", matchOf(s.Match))
}

// comparisons are those of a service. Those that are over stay to be read.
type comparisons map[occasion]*comparison

// occasion is why which version gets copies: a rollout, or "", the file.
type occasion struct{ to, rollout string }

// maxCompared bounds the comparisons of a service that are kept.
const maxCompared = 4

// comparison returns the one comparison of a service that goes on, which is new if
// it is about something else than that before. The others rest.
func (f *fleet) comparison(service string, about subject) *comparison {
	all := f.compared[service]
	if all == nil {
		all = comparisons{}
		f.compared[service] = all
	}
	all.rest()
	at := occasion{about.to, about.rollout}
	c := all[at]
	if c == nil || !reflect.DeepEqual(c.subject, about) {
		f.begun++
		c = newComparison(about, f.begun, f.now(), f.turns)
		all[at] = c
		all.shrink()
	}
	c.active = true
	return c
}

// rest notes that no copies are sent any more.
func (all comparisons) rest() {
	for _, c := range all {
		c.active = false
	}
}

// shrink forgets the oldest where there are too many.
func (all comparisons) shrink() {
	for len(all) > maxCompared {
		delete(all, slices.MinFunc(slices.Collect(maps.Keys(all)), func(a, b occasion) int { return cmp.Compare(all[a].order, all[b].order) }))
	}
}

// retire forgets the versions that are gone.
func (all comparisons) retire(svc *state.Service) {
	maps.DeleteFunc(all, func(of occasion, _ *comparison) bool { return svc.Versions[of.to] == nil })
}
