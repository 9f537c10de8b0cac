package rollout

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/state"
)

var update = flag.Bool("update", false, "rewrite the transcripts")

// TestTranscripts plays the files of testdata. Each is a text about a rollout,
// with commands in it and what came of them. A line that begins with "#" is
// prose; commands end at a line "----", their output at an empty line:
//
//	declare SERVICE VERSION=WEIGHT…   the file's versions; all but this service stay
//	start SERVICE=VERSION… [policy=…] [stages=…] [gate] [fifo] [inconclusive=…] [provides=…] [requires=SERVICE:NAME] [writes=…]
//	see SERVICE [judge=promote|hold|roll_back] [r=E-VALUE] [probes=N] [failed=WHY] [healthy=N/M] [journeys=WHY] [failures=N] [alarm=WHY] [shadow=ok|ok:TEXT|wait:TEXT|WHY] [blind]
//	tick [DURATION]                   lets time pass, and the machine move until nothing is due
//	order VERSION ACTION [by=…]       of the newest rollout that brings it; so below
//	place VERSION N
//	weights SERVICE VERSION=WEIGHT…   somebody flips by hand
//	rollback SERVICE [to=…]           somebody rolls back
//	barrier SERVICE LEVEL
//	restart                           the state goes through JSON, as through a store
//	status                            rollouts and weights
//	show VERSION                      its transitions
//	line VERSION [rate=SERVICE:N]     its place in the queue
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			was, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			is := play(t, was)
			if *update {
				err = os.WriteFile(file, is, 0o644)
			} else if !bytes.Equal(is, was) {
				t.Errorf("%s says\n%s\nand it is (go test ./rollout -update)\n%s", file, was, is)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// play answers the commands of a transcript anew.
func play(t *testing.T, script []byte) []byte {
	w := &world{t: t, now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC), seen: map[string]*Leg{}, journeys: map[string]string{}, file: map[string]state.DeclaredService{}}
	var out, block bytes.Buffer
	answering := false
	for line := range strings.Lines(string(script)) {
		text := strings.TrimSuffix(line, "\n")
		switch {
		case answering && text != "":
			continue
		case text == "----":
			out.WriteString(line)
			w.out.Reset()
			for command := range strings.Lines(block.String()) {
				w.run(strings.Fields(command))
			}
			block.Reset()
			out.Write(w.out.Bytes())
			answering = true
			continue
		case text != "" && !strings.HasPrefix(text, "#"):
			block.WriteString(line)
		}
		answering = false
		out.WriteString(line)
	}
	return out.Bytes()
}

// world is a state with its machine, and what is seen.
type world struct {
	t    *testing.T
	s    state.State
	now  time.Time
	seen map[string]*Leg
	// journeys say what stands against the candidate, by service.
	journeys map[string]string
	file     map[string]state.DeclaredService
	out      bytes.Buffer
}

func (w *world) say(format string, args ...any) { fmt.Fprintf(&w.out, format+"\n", args...) }

// do applies a command and says what came of it.
func (w *world) do(cmd state.Command, meta state.Meta) bool {
	meta.At = w.now
	next, events, err := state.Apply(w.s, cmd, meta)
	var refusal *state.Refusal
	switch {
	case errors.As(err, &refusal):
		w.say("%v: %v", refusal.Reason, err)
		return false
	case err != nil:
		w.t.Fatal(err)
	case len(events) == 0:
		w.say("nothing changes")
	}
	for _, e := range events {
		w.say("%s %s: %s", e.Service, e.By, e.Detail)
	}
	w.s = next
	if err := w.s.Validate(); err != nil {
		w.t.Fatal(err)
	}
	return len(events) > 0
}

func (w *world) run(args []string) {
	a := parse(args)
	switch args[0] {
	case "declare":
		d := state.DeclaredService{Versions: map[string]state.DeclaredVersion{}}
		for version, weight := range a.weights() {
			d.Versions[version] = state.DeclaredVersion{Spec: state.Spec{Endpoints: []string{version + ":80"}}, Weight: weight}
		}
		w.file[a.at(1)] = d
		w.do(state.Declare{Services: w.file}, state.Meta{By: "file"})
	case "start":
		w.start(a)
	case "see":
		w.see(a)
	case "tick":
		if d, err := time.ParseDuration(a.at(1)); err == nil {
			w.now = w.now.Add(d)
		}
		w.settle()
	case "order":
		w.do(state.SteerRollout{ID: w.id(a.at(1)), Action: state.Action(a.at(2))}, state.Meta{By: a.or("by", "anna"), Why: a.set["why"]})
	case "place":
		place, _ := strconv.Atoi(a.at(2))
		w.do(state.QueueRollout{ID: w.id(a.at(1)), Place: place}, state.Meta{By: "anna"})
	case "weights":
		w.do(state.SetWeights{Service: a.at(1), Weights: a.weights()}, state.Meta{By: "ben"})
	case "rollback":
		w.do(state.Rollback{Service: a.at(1), To: a.set["to"]}, state.Meta{By: "ben", Why: "pressed the button"})
	case "barrier":
		w.do(state.SetBarrier{Service: a.at(1), On: true, Level: a.at(2)}, state.Meta{By: "ben"})
	case "restart":
		w.s = reread(w.t, w.s)
	case "status":
		w.status()
	case "show":
		w.show(w.id(a.at(1)))
	case "line":
		w.line(a)
	default:
		w.t.Fatalf("%q is no command", args[0])
	}
}

// settle lets the machine move all rollouts until nothing is due.
func (w *world) settle() {
	for range 100 {
		moved := false
		for _, id := range slices.SortedFunc(maps.Keys(w.s.Rollouts), byNumber) {
			step, due := Next(w.s, w.s.Rollouts[id], w.observe(w.s.Rollouts[id]))
			if due {
				moved = w.do(step.Command, step.Meta) || moved
			}
		}
		if !moved {
			return
		}
	}
	w.t.Fatal("the machine does not come to rest")
}

func (w *world) observe(r *state.Rollout) Observation {
	o := Observation{Now: w.now, Facts: &state.Facts{Healthy: map[string]map[string]int{}, Known: map[string]map[string]int{}, Failing: map[string]map[string][]string{}}}
	for _, leg := range r.Legs {
		l := w.seen[leg.Service]
		if l == nil {
			continue
		}
		seen := *l
		if seen.Evidence != nil {
			e := *seen.Evidence
			e.At = w.now
			seen.Evidence = &e
		}
		o.Legs = append(o.Legs, seen)
		o.Facts.Healthy[leg.Service] = map[string]int{leg.Candidate: seen.Healthy}
		o.Facts.Known[leg.Service] = map[string]int{leg.Candidate: seen.Known}
		if why := w.journeys[leg.Service]; why != "" {
			o.Facts.Failing[leg.Service] = map[string][]string{leg.Candidate: {why}}
		}
	}
	return o
}

func (w *world) start(a arguments) {
	c := state.StartRollout{Set: a.set["set"], Policy: w.policy(a)}
	for _, arg := range a.words[1:] {
		service, version, is := strings.Cut(arg, "=")
		if !is || w.s.Services[service] == nil {
			continue
		}
		spec := state.Spec{Endpoints: []string{version + ":80"}}
		if names := a.set["provides"]; names != "" {
			spec.Provides = strings.Split(names, ",")
		}
		if of, name, is := strings.Cut(a.set["requires"], ":"); is && of != service {
			spec.Requires = map[string][]string{of: {name}}
		}
		if shape := a.set["writes"]; shape != "" {
			spec.Shape = &state.Shape{Writes: shape, Reads: strings.Split(a.or("reads", shape), ",")}
		}
		c.Legs = append(c.Legs, state.StartLeg{Service: service, Version: version, Spec: &spec})
	}
	w.do(c, state.Meta{By: a.or("by", "ci")})
}

// policy reads stages such as "probe:3/5m,shift:5%/1m/1h,bake:1h": a kind, its
// passes or share, the hold and the deadline; a "!" before it is its gate.
func (w *world) policy(a arguments) state.Policy {
	p := state.Policy{Name: a.or("policy", "test")}
	for _, q := range Policies() {
		if q.Name == p.Name {
			p = q
		}
	}
	for _, text := range strings.Split(a.set["stages"], ",") {
		if text != "" {
			p.Stages = append(p.Stages, stageOf(w.t, text))
		}
	}
	p.Gate = p.Gate || a.flag["gate"]
	if a.flag["fifo"] {
		p.Queue = state.QueueFIFO
	}
	p.OnInconclusive = state.Inconclusive(a.set["inconclusive"])
	return p
}

func stageOf(t *testing.T, text string) state.Stage {
	text, gate := strings.CutPrefix(text, "!")
	kind, rest, _ := strings.Cut(text, ":")
	s := state.Stage{Kind: state.StageKind(kind), Gate: gate}
	parts := strings.Split(rest, "/")
	if kind == "probe" || kind == "shift" {
		number, err := strconv.ParseFloat(strings.TrimSuffix(parts[0], "%"), 64)
		if err != nil {
			t.Fatal(err)
		}
		if kind == "shift" {
			s.Share = int(number*100 + 0.5)
		} else {
			s.Passes = int(number)
			parts = append([]string{"", "0s"}, parts[1:]...)
		}
		parts = parts[1:]
	}
	for i, into := range []*time.Duration{&s.Hold, &s.Deadline} {
		if i < len(parts) && parts[i] != "" {
			d, err := time.ParseDuration(parts[i])
			if err != nil {
				t.Fatal(err)
			}
			*into = d
		}
	}
	return s
}

// see notes what is seen of a service from now on.
func (w *world) see(a arguments) {
	l := &Leg{Service: a.at(1)}
	if old := w.seen[l.Service]; old != nil && !a.flag["blind"] {
		*l = *old
	}
	w.seen[l.Service] = l
	for key, value := range a.set {
		number, _ := strconv.Atoi(value)
		switch key {
		case "judge":
			l.Evidence = &state.Evidence{Service: l.Service, Decision: value, Text: "the judge says " + value}
		case "probes":
			l.Probes.Passed = number
		case "failed":
			l.Probes.Failed = value
		case "failures":
			l.FailuresInARow = number
		case "alarm":
			l.Alarm = strings.Trim(strings.ReplaceAll(value, "_", " "), "-")
		case "journeys":
			w.journeys[l.Service] = strings.Trim(strings.ReplaceAll(value, "_", " "), "-")
		case "healthy":
			_, err := fmt.Sscanf(value, "%d/%d", &l.Healthy, &l.Known)
			if err != nil {
				w.t.Fatal(err)
			}
		case "shadow":
			l.Shadow = shadowOf(value)
		}
	}
	if r := a.set["r"]; r != "" && l.Evidence != nil {
		e := *l.Evidence
		fmt.Sscan(r, &e.LogR)
		l.Evidence = &e
	}
}

// shadowOf reads what copies tell: "ok", "-" for nothing yet, "wait:TEXT" and
// "ok:TEXT", or else why the candidate has failed.
func shadowOf(value string) *Shadow {
	kind, text, told := strings.Cut(strings.ReplaceAll(value, "_", " "), ":")
	switch {
	case kind == "ok", kind == "wait", kind == "-":
		return &Shadow{Done: kind == "ok", Text: text}
	case told:
		return &Shadow{Failed: kind + ": " + text, Text: text}
	}
	return &Shadow{Failed: kind, Text: kind}
}

// id is the newest rollout that brings a version.
func (w *world) id(version string) string {
	newest := "r0"
	for id, r := range w.s.Rollouts {
		if byNumber(id, newest) > 0 && slices.ContainsFunc(r.Legs, func(l state.Leg) bool { return l.Candidate == version }) {
			newest = id
		}
	}
	return newest
}

func (w *world) status() {
	for _, id := range slices.SortedFunc(maps.Keys(w.s.Rollouts), byNumber) {
		r := w.s.Rollouts[id]
		legs := ""
		for _, leg := range r.Legs {
			legs += fmt.Sprintf(" %s=%s", leg.Service, leg.Candidate)
		}
		phase := string(r.Phase)
		if r.Was != "" {
			phase += ", was " + string(r.Was)
		}
		w.say("%s%s: %s, stage %d of %d, %g%%", id, legs, phase, r.Stage+1, len(r.Policy.Stages), float64(r.Share())/100)
	}
	for _, name := range slices.Sorted(maps.Keys(w.s.Services)) {
		svc := w.s.Services[name]
		text := ""
		for _, version := range svc.VersionNames() {
			v := svc.Versions[version]
			if mode := v.Mode(w.now); mode != state.Live {
				text += fmt.Sprintf(" %s=%s", version, mode)
			} else {
				text += fmt.Sprintf(" %s=%d", version, v.Weight)
			}
		}
		w.say("%s:%s", name, text)
	}
}

func (w *world) show(id string) {
	if w.s.Rollouts[id] == nil {
		w.say("no such rollout")
		return
	}
	for _, m := range w.s.Rollouts[id].Moves {
		w.say("%s %s: %s to %s, stage %d, %g%%: %s", m.At.Format(time.TimeOnly), m.By, m.From, m.To, m.Stage+1, float64(m.Share)/100, m.Why)
	}
}

func (w *world) line(a arguments) {
	var rates map[string]float64
	if service, rate, is := strings.Cut(a.set["rate"], ":"); is {
		number, _ := strconv.ParseFloat(rate, 64)
		rates = map[string]float64{service: number}
	}
	p, ok := Line(w.s, w.id(a.at(1)), w.now, rates)
	if !ok {
		w.say("no such rollout")
		return
	}
	guess := "nobody can say how long"
	if p.Guessed {
		guess = fmt.Sprintf("about %v", p.Wait)
	}
	w.say("place %d, behind %v, for %v: %s", p.Place, p.Behind, p.For, guess)
}

// arguments are the words of a command: bare ones, NAME=VALUE, and flags.
type arguments struct {
	words []string
	set   map[string]string
	flag  map[string]bool
}

func parse(args []string) arguments {
	a := arguments{words: args, set: map[string]string{}, flag: map[string]bool{}}
	for _, arg := range args[1:] {
		if key, value, is := strings.Cut(arg, "="); is {
			a.set[key] = value
		} else {
			a.flag[arg] = true
		}
	}
	return a
}

func (a arguments) at(i int) string {
	if i < len(a.words) {
		return a.words[i]
	}
	return ""
}

func (a arguments) or(key, otherwise string) string {
	if v := a.set[key]; v != "" {
		return v
	}
	return otherwise
}

func (a arguments) weights() map[string]int {
	w := map[string]int{}
	for version, text := range a.set {
		w[version], _ = strconv.Atoi(text)
	}
	return w
}

func byNumber(a, b string) int {
	na, _ := strconv.Atoi(a[1:])
	nb, _ := strconv.Atoi(b[1:])
	return na - nb
}

func reread(t interface{ Fatal(...any) }, s state.State) state.State {
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var read state.State
	if err := json.Unmarshal(b, &read); err != nil {
		t.Fatal(err)
	}
	return read
}
