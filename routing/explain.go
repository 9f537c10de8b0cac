package routing

import (
	"fmt"
	"strings"
	"time"
)

// Explanation is a decision with every step that led to it, in order.
type Explanation struct {
	Steps    []Step
	Decision Decision
}

// Step is one step of a decision.
type Step struct {
	Step    string `json:"step"`    // "route", "override", "rule", "pin", "split", "failover", "shield" or "asset_fallback"
	Outcome string `json:"outcome"` // "taken" where the step decided, "passed" where it didn't, "failed" where it found nobody
	Why     string `json:"why"`     // a sentence for people
}

// trace collects the steps of one decision. The decision itself is the same
// with and without it.
type trace struct{ steps []Step }

const (
	taken  = "taken"
	passed = "passed"
	failed = "failed"
)

func (t *trace) add(step, outcome, format string, args ...any) {
	t.steps = append(t.steps, Step{step, outcome, fmt.Sprintf(format, args...)})
}

func (t *trace) route(req *Request, svc *Service) {
	if svc == nil {
		t.add("route", failed, "no route matches host %q and path %q", withoutPort(req.Host), req.Path)
		return
	}
	t.add("route", taken, "host %q and path %q lead to service %s", withoutPort(req.Host), req.Path, svc.Name)
}

func (t *trace) overrideRefused(source string, err error) {
	t.add("override", passed, "the %s is ignored: %v", source, err)
}

// overrideFound tells of overrides that are authorised; named is the version
// for this service, v is nil if it does not exist.
func (t *trace) overrideFound(d *Decision, named string, v *Version) {
	switch {
	case named == "":
		t.add("override", passed, "authorised overrides (%s) name no version of %s", d.Overrides, d.Service.Name)
	case v == nil:
		t.add("override", passed, "an authorised override names version %s, which %s does not have", named, d.Service.Name)
	case d.Version == nil:
		t.add("override", failed, "an authorised override names %s, which has no usable endpoint; overrides do not fail over", named)
	default:
		t.add("override", taken, "an authorised override names %s", named)
	}
}

func (t *trace) rule(req *Request, d *Decision, r *Rule, outcome ruleOutcome) {
	switch outcome {
	case ruleUnmatched:
		kind, name := r.match.unmet(req)
		t.add("rule", passed, "rule %s does not match: %s", r.Name, strings.TrimSpace(kind+" "+name))
	case ruleDark:
		t.add("rule", passed, "rule %s matches, but leads to dark versions alone and does not say dark: true", r.Name)
	case ruleNoKey:
		t.add("rule", passed, "rule %s matches, but the request has no value to split by", r.Name)
	case ruleTook:
		t.add("rule", taken, "rule %s matches and leads to %s%s", r.Name, d.Version.Name, r.way(d))
	}
}

// way says how a rule came to its version.
func (r *Rule) way(d *Decision) string {
	switch {
	case r.version != nil:
		return ""
	case d.Pin == PinHeld:
		return ", on which the session is pinned"
	case r.by.kind == bySession:
		return " by its own split"
	}
	return " by its own split of the key"
}

func (t *trace) pin(d *Decision, ses *session, now int64) {
	svc, why := d.Service, ""
	switch ses.state {
	case pinAbsent:
		why = "the request carries no pin"
		if svc.Pin.By == PinNone {
			why = "the service has no sessions"
		} else if svc.Pin.By != PinCookie && !ses.keyed {
			why = "the request carries no session key"
		} else if ses.keyed {
			why = "no pin of this session key is remembered"
		}
	case pinForged:
		why = "the pin is malformed or from an epoch that has not begun"
	case pinGone:
		why = "the pinned version does not exist any more"
	case pinDark:
		why = fmt.Sprintf("the pinned version %s is dark", ses.version.Name)
	case pinVoided:
		why = fmt.Sprintf("the pin to %s of epoch %d is void: only epochs from %d on count", ses.version.Name, ses.epoch, ses.version.LeastEpoch)
	case pinHolding:
		if d.Reason != Pin {
			why = fmt.Sprintf("the session is pinned to %s, and on the other side of release set %s", ses.version.Name, svc.set.name)
			break
		}
		t.add("pin", taken, "the session is pinned to %s since epoch %d%s", ses.version.Name, ses.epoch, ses.version.drainingNote(now))
		return
	}
	t.add("pin", passed, "%s", why)
}

// drainingNote says that a version is draining, and until when.
func (v *Version) drainingNote(now int64) string {
	if v.Mode(now) != Draining {
		return ""
	}
	if v.DrainUntil == 0 {
		return ", which is draining without a deadline"
	}
	return ", which is draining until " + time.Unix(0, v.DrainUntil).UTC().Format(time.RFC3339)
}

func (t *trace) split(svc *Service, d *Decision, l *leaning) {
	switch {
	case d.Reason != Split:
		return
	case d.Version == nil:
		t.add("split", failed, "%s has no live version: every weight is 0", svc.Name)
		return
	}
	switch set := svc.set; {
	case d.Followed:
		t.add("split", taken, "the session's pin in %s puts it on the side of %s in release set %s", l.by.name, d.Version.Name, set.name)
		return
	case set != nil && !set.over:
		t.add("split", taken, "one draw for release set %s, with %s, gives %s (candidates: %d of %d)",
			set.name, strings.Join(set.memberNames(), ", "), d.Version.Name, set.share, wholeShare)
		return
	}
	t.add("split", taken, "the split by weight gives %s (%d of %d)", d.Version.Name, svc.split.weightOf(d.Version), svc.split.total)
}

// made tells of the pin that the whole decision makes.
func (t *trace) made(d *Decision) {
	if d.Pin == PinMake {
		t.steps[len(t.steps)-1].Why += "; the session is pinned there"
	}
}

// instead tells who may answer once the version was asked.
func (t *trace) instead(req *Request, d *Decision) {
	if v := d.Shields(req); v != nil {
		t.add("shield", passed, "should %s fail before its answer begins, %s, the baseline, answers", d.Version.Name, v.Name)
	}
	if d.Version == nil || !d.IsAsset(req) {
		return
	}
	var names []string
	for v, next := d.NextForAsset(req, 0); v != nil; v, next = d.NextForAsset(req, next) {
		names = append(names, v.Name)
	}
	if len(names) > 0 {
		t.add("asset_fallback", passed, "an asset that %s does not have is asked of %s", d.Version.Name, strings.Join(names, ", "))
	}
}

func (t *trace) failover(d *Decision) {
	if d.Version == nil {
		t.add("failover", failed, "%s has no usable endpoint, and no other live version that shares its shape can serve", d.Failed.Name)
		return
	}
	t.add("failover", taken, "%s has no usable endpoint; %s, which shares its shape, answers", d.Failed.Name, d.Version.Name)
}
