package configs

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The bounds of policies.
const (
	maxStages    = 32
	maxHooks     = 16
	maxStageTime = 30 * 24 * time.Hour
)

// validatePolicies checks the policies, and that those exist that services name.
func (f *File) validatePolicies(c *checker) {
	known := append(BuiltinPolicies(), sorted(f.Policies)...)
	for _, name := range sorted(f.Policies) {
		path := join("policies", name)
		c.name(path, "policy", name)
		if slices.Contains(BuiltinPolicies(), name) {
			c.fail(path, "choose another name", "%s is a policy that is built in", name)
		}
		c.policy(path, f.Policies[name])
	}
	for _, name := range sorted(f.Services) {
		path := join("services", name) + ".rollout"
		switch policy := f.Services[name].Rollout; {
		case policy == "":
		case !isName(policy):
			c.name(path, "policy", policy)
		case !slices.Contains(known, policy):
			c.fail(path, suggest(policy, known), "there is no policy %s", quote(policy))
		}
	}
}

func (c *checker) policy(path string, p *Policy) {
	switch n := len(p.Stages); {
	case n == 0 && !c.unsure(path+".stages"):
		c.fail(path, "want stages: [{probe: {}}, {shift: {share: 5%, hold: 1m}}, {bake: {hold: 1h}}]", "the policy has no stage")
	case n > maxStages:
		c.fail(path+".stages", fmt.Sprintf("want at most %d", maxStages), "%d stages are too many", n)
	}
	c.stages(path+".stages", p.Stages)
	c.guards(path+".guards", &p.Guards)
	if len(p.Hooks) > maxHooks {
		c.fail(path+".hooks", fmt.Sprintf("want at most %d", maxHooks), "%d hooks are too many", len(p.Hooks))
	}
	for i := range p.Hooks {
		c.hook(index(path+".hooks", i), &p.Hooks[i])
	}
}

// stages checks each stage and their order: what needs a dark candidate comes
// before what gives it sessions, shares rise, and a bake is the end.
func (c *checker) stages(path string, stages []Stage) {
	var share Percent // of the last shift
	baked := false
	for i, s := range stages {
		at := index(path, i)
		if !c.stage(at, s) {
			continue
		}
		dark, kind := s.Probe != nil || s.Shadow != nil, s.kinds()[0]
		switch {
		case baked:
			c.fail(at, "put the bake last", "a %s comes after the bake", kind)
		case dark && share > 0:
			c.fail(at, fmt.Sprintf("put the %s before the first shift", kind), "the candidate has sessions by then, and a %s is for a dark one", kind)
		case s.Shift != nil && s.Shift.Share <= share && s.Shift.Share > 0:
			c.fail(at+".shift.share", "want shares that rise", "%v comes after %v", s.Shift.Share, share)
		}
		if s.Shift != nil {
			share = max(share, s.Shift.Share)
		}
		baked = baked || s.Bake != nil
	}
}

// kinds names what a stage is.
func (s *Stage) kinds() []string {
	var kinds []string
	for _, k := range []struct {
		name  string
		given bool
	}{{"probe", s.Probe != nil}, {"shadow", s.Shadow != nil}, {"shift", s.Shift != nil}, {"bake", s.Bake != nil}} {
		if k.given {
			kinds = append(kinds, k.name)
		}
	}
	return kinds
}

// stage checks one stage, and tells whether it is of one kind.
func (c *checker) stage(path string, s Stage) bool {
	switch kinds := s.kinds(); {
	case len(kinds) == 0:
		if !c.unsure(path) {
			c.fail(path, "want one of probe, shadow, shift or bake, such as shift: {share: 5%}", "the stage does nothing")
		}
		return false
	case len(kinds) > 1:
		c.fail(path, "make a stage of each", "a stage is one thing, and this is %s", strings.Join(kinds, " and "))
		return false
	}
	switch {
	case s.Probe != nil:
		p, at := s.Probe, path+".probe"
		c.between(at+".passes", int64(p.Passes), 1, 1000)
		if p.Every < 100*time.Millisecond || p.Every > time.Hour {
			c.fail(at+".every", "want 100ms to 1h", "%v is out of range", p.Every)
		}
		c.stageTimes(at, time.Duration(p.Passes-1)*p.Every, p.Deadline)
	case s.Shadow != nil:
		if s.Shadow.Share == 0 {
			c.fail(path+".shadow.share", "want 0.01% to 100%", "no request is copied")
		}
		c.stageTimes(path+".shadow", s.Shadow.Hold, s.Shadow.Deadline)
	case s.Shift != nil:
		if s.Shift.Share == 0 {
			c.fail(path+".shift.share", "want 0.01% to 100%", "the candidate gets no share")
		}
		c.stageTimes(path+".shift", s.Shift.Hold, s.Shift.Deadline)
	case s.Bake != nil:
		c.stageTimes(path+".bake", s.Bake.Hold, s.Bake.Deadline)
	}
	return true
}

// stageTimes checks the least time of a stage and its deadline.
func (c *checker) stageTimes(path string, least, deadline time.Duration) {
	c.atMost(path+".hold", least, maxStageTime)
	c.atMost(path+".deadline", deadline, maxStageTime)
	if deadline > 0 && deadline < least {
		c.fail(path+".deadline", "want "+least.String()+" or more", "the deadline of %v comes before the stage can end", deadline)
	}
}

func (c *checker) guards(path string, g *Guards) {
	c.percentage(path+".alpha", g.Alpha, 0.0001, 0.2)
	for _, share := range slices.Sorted(maps.Keys(g.Margins)) {
		at := join(path+".margins", share.String())
		if ratio := g.Margins[share]; !(ratio >= 1.1 && ratio <= 100) {
			c.fail(at, "want 1.1 to 100, such as 2 for twice as many", "%v is out of range", ratio)
		}
		if share == 0 {
			c.fail(at, "want 0.01% to 100%", "no stage has a share of 0%%")
		}
	}
	if _, all := g.Margins[10_000]; len(g.Margins) > 0 && !all && !c.unsure(path+".margins") {
		c.fail(path+".margins", "add 100%: 1.5", "no margin holds for the greatest share")
	}
	c.percentage(path+".latency", g.Latency, 0, 10)
	c.percentage(path+".ceiling", g.Ceiling, 0.000001, 0.5)
	c.percentage(path+".objective", g.Objective, 0, 1)
	c.between(path+".failures_in_a_row", int64(g.FailuresInARow), 0, 1_000_000)
}

// percentage checks the range of a fraction.
func (c *checker) percentage(path string, f, least, most Fraction) {
	if f < least || f > most {
		c.fail(path, fmt.Sprintf("want %v to %v", least, most), "%v is out of range", f)
	}
}

// hook reads and checks what is told of transitions.
func (c *checker) hook(path string, h *Hook) {
	switch {
	case c.unsure(path):
	case h.URL == "" && len(h.Command) == 0:
		c.fail(path, "want url: https://… or command: [PROGRAM, ARGUMENT]", "the hook tells nobody")
	case h.URL != "" && len(h.Command) > 0:
		c.fail(path, "make a hook of each", "a hook has a url or a command, and this has both")
	case h.URL == "" && h.SecretFile != "":
		c.fail(path+".secret_file", "leave it out", "only what is sent to a url is signed")
	}
	if u, err := url.Parse(h.URL); h.URL != "" {
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "":
			c.fail(path+".url", "want a URL such as https://ci.example.com/hook", "%s cannot be called", quote(h.URL))
		case u.User != nil:
			c.fail(path+".url", "use secret_file, which signs what is sent", "a URL with a password would be seen by whoever may see rollouts")
		}
	}
	if len(h.Command) > 0 && h.Command[0] == "" {
		c.fail(path+".command", "want [PROGRAM, ARGUMENT]", "the command has no program")
	}
	distinct(c, path+".on", h.On)
	if h.Timeout < 100*time.Millisecond || h.Timeout > 5*time.Minute {
		c.fail(path+".timeout", "want 100ms to 5m", "%v is out of range", h.Timeout)
	}
	c.hookSecret(path+".secret_file", h)
}

func (c *checker) hookSecret(path string, h *Hook) {
	if h.SecretFile == "" {
		return
	}
	data, ok := c.read(path, h.SecretFile, maxSecret)
	h.Secret = Secret{strings.TrimRight(string(data), "\r\n")}
	if n := h.Secret.Len(); ok && n < leastSecret {
		c.fail(path, "want at least 32, for example from: openssl rand -hex 32", "the secret has %d bytes", n)
	}
}
