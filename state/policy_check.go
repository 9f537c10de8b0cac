package state

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"
)

// MaxStageTime bounds the times of a stage.
const MaxStageTime = 30 * 24 * time.Hour

// Check returns an error that names the field at fault and what is wrong with
// it, or nil.
func (p Policy) Check() error {
	field, message := p.fault()
	if field == "" {
		return nil
	}
	return invalid("policy."+field, message, "")
}

// fault finds the first thing wrong, in the order of the fields.
func (p Policy) fault() (field, message string) {
	if !ValidName(p.Name) {
		return "name", fmt.Sprintf("%q is no name for a policy: %s", p.Name, nameRemedy)
	}
	if field, message := p.faultyStages(); field != "" {
		return field, message
	}
	switch p.OnInconclusive {
	case "", InconclusiveHold, InconclusivePromote, InconclusiveRollback:
	default:
		return "on_inconclusive", fmt.Sprintf("%q is not hold, promote or rollback", p.OnInconclusive)
	}
	if message := p.OnPromote.fault(); message != "" {
		return "on_promote", message
	}
	if message := p.OnRollback.fault(); message != "" {
		return "on_rollback", message
	}
	if field, message := p.Guards.fault(); field != "" {
		return "guards." + field, message
	}
	switch p.Queue {
	case "", QueueSupersede, QueueFIFO:
	default:
		return "queue", fmt.Sprintf("%q is not supersede or fifo", p.Queue)
	}
	return p.faultyHooks()
}

// faultyStages checks each stage and their order: what needs a dark candidate
// comes before what gives it sessions, shares rise, and a bake is the end.
func (p Policy) faultyStages() (field, message string) {
	if n := len(p.Stages); n == 0 || n > MaxStages {
		return "stages", fmt.Sprintf("%d stages; there must be 1 to %d", n, MaxStages)
	}
	share := 0
	for i, s := range p.Stages {
		at := fmt.Sprintf("stages[%d]", i)
		if field, message := s.fault(); field != "" {
			return at + "." + field, message
		}
		switch {
		case share > wholeShare:
			return at, fmt.Sprintf("a %s comes after the bake, which is the end", s.Kind)
		case share > 0 && (s.Kind == StageProbe || s.Kind == StageShadow):
			return at, fmt.Sprintf("a %s is for a candidate without sessions: it comes before the first shift", s.Kind)
		case s.Kind == StageShift && s.Share <= share:
			return at + ".share", fmt.Sprintf("%d comes after %d: shares rise", s.Share, share)
		}
		switch s.Kind {
		case StageShift:
			share = max(share, s.Share)
		case StageBake:
			share = wholeShare + 1
		}
	}
	return "", ""
}

func (s Stage) fault() (field, message string) {
	switch {
	case s.Kind.Phase() == "":
		return "kind", fmt.Sprintf("%q is not probe, shadow, shift or bake", s.Kind)
	case s.Kind == StageShift && (s.Share < 1 || s.Share > wholeShare):
		return "share", fmt.Sprintf("%d is not 1 to %d hundredths of a percent", s.Share, wholeShare)
	case s.Kind == StageShadow && (s.Share < 0 || s.Share > wholeShare):
		return "share", fmt.Sprintf("%d is not 0 to %d hundredths of a percent", s.Share, wholeShare)
	case s.Kind != StageShift && s.Kind != StageShadow && s.Share != 0:
		return "share", fmt.Sprintf("a %s has no share", s.Kind)
	case s.Hold < 0 || s.Hold > MaxStageTime:
		return "hold", fmt.Sprintf("%v is not 0 to %v", s.Hold, MaxStageTime)
	case s.Deadline < 0 || s.Deadline > MaxStageTime || s.Deadline > 0 && s.Deadline < s.Hold:
		return "deadline", fmt.Sprintf("%v is not within the hold of %v and %v", s.Deadline, s.Hold, MaxStageTime)
	case s.Passes < 0 || s.Passes > MaxPasses:
		return "passes", fmt.Sprintf("%d is not 0 to %d", s.Passes, MaxPasses)
	case s.Every != 0 && (s.Every < 100*time.Millisecond || s.Every > time.Hour):
		return "every", fmt.Sprintf("%v is not 100ms to 1h", s.Every)
	case s.Kind != StageProbe && (s.Passes != 0 || s.Every != 0 || len(s.Journeys) > 0):
		return "kind", fmt.Sprintf("a %s has no journeys, passes or every", s.Kind)
	}
	if message := faultyNames(s.Journeys); message != "" {
		return "journeys", message
	}
	return "", ""
}

// MaxPasses bounds the probes in a row that a stage asks for.
const MaxPasses = 1000

func (h Handling) fault() string {
	if _, err := h.Pins.resolve(PinsMove); err != nil {
		return err.Error()
	}
	if _, err := h.Streams.resolve(); err != nil {
		return err.Error()
	}
	return ""
}

func (g Guards) fault() (field, message string) {
	within := func(name string, v, low, high float64) bool {
		if v == 0 || v >= low && v <= high {
			return false
		}
		field, message = name, fmt.Sprintf("%v is not %v to %v", v, low, high)
		return true
	}
	for _, share := range slices.Sorted(maps.Keys(g.Margins)) {
		switch ratio := g.Margins[share]; {
		case share < 1 || share > wholeShare:
			return "margins", fmt.Sprintf("%d is not 1 to %d hundredths of a percent", share, wholeShare)
		case !(ratio > 1 && ratio <= 100):
			return "margins", fmt.Sprintf("%v is not above 1 and up to 100", ratio)
		}
	}
	switch {
	case within("alpha", g.Alpha, 1e-6, 0.5), within("latency", max(g.Latency, 0), 0, 10), within("ceiling", g.Ceiling, 0, 1):
	case g.Objective < 0:
	case within("objective", g.Objective, 0, 1):
	}
	return field, message
}

func (p Policy) faultyHooks() (field, message string) {
	if n := len(p.Hooks); n > MaxHooks {
		return "hooks", fmt.Sprintf("%d hooks are more than %d", n, MaxHooks)
	}
	for i, h := range p.Hooks {
		if message := h.fault(); message != "" {
			return fmt.Sprintf("hooks[%d]", i), message
		}
	}
	return "", ""
}

func (h Hook) fault() string {
	if (h.URL == "") == (len(h.Command) == 0) {
		return "a hook is an URL or a command"
	}
	if h.URL != "" {
		if u, err := url.Parse(h.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return "its URL is not one of http or https"
		}
	}
	for _, phase := range h.On {
		if !slices.Contains(phases, phase) {
			return fmt.Sprintf("%q is no phase", phase)
		}
	}
	if h.Timeout < 0 || h.Timeout > time.Hour {
		return fmt.Sprintf("its timeout of %v is not 0 to 1h", h.Timeout)
	}
	return ""
}

// clone returns a copy that shares nothing with p, with nothing for empty, so
// that it equals itself after a trip through JSON.
func (p Policy) clone() Policy {
	p.Stages = slices.Clone(p.Stages)
	for i := range p.Stages {
		p.Stages[i].Journeys = cloneList(p.Stages[i].Journeys)
	}
	p.Guards.Margins = maps.Clone(p.Guards.Margins)
	if len(p.Guards.Margins) == 0 {
		p.Guards.Margins = nil
	}
	if len(p.Hooks) == 0 {
		p.Hooks = nil
	}
	p.Hooks = slices.Clone(p.Hooks)
	for i := range p.Hooks {
		h := &p.Hooks[i]
		h.Command = cloneList(h.Command)
		if len(h.On) == 0 {
			h.On = nil
		}
		h.On = slices.Clone(h.On)
	}
	return p
}
