package configs

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Every key of a policy, and of what counts as bad, arrives where it belongs.
func TestPolicy(t *testing.T) {
	data, err := os.ReadFile("testdata/good/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := sandbox(t)
	f, err := Parse(filepath.Join(dir, "sluice.yaml"), data, env)
	if err != nil {
		t.Fatal(err)
	}
	p := f.Policies["ours"]
	if secret := p.Hooks[0].Secret.Bytes(); string(secret) != strings.Repeat("h", 32) {
		t.Errorf("the secret is %q", secret)
	}
	p.Hooks[0].Secret = Secret{}
	want := &Policy{
		Gate: true,
		Stages: []Stage{
			{Probe: &ProbeStage{Journeys: []string{"checkout"}, Passes: 5, Every: time.Second, Gate: true}},
			{Shadow: &ShadowStage{Share: 250, Hold: 5 * time.Minute, Deadline: time.Hour}},
			{Shift: &ShiftStage{Share: 1}},
			{Shift: &ShiftStage{Share: 1250, Hold: time.Minute, Deadline: time.Minute, Gate: true}},
			{Shift: &ShiftStage{Share: 10_000}},
			{Bake: &BakeStage{Hold: time.Hour}},
		},
		OnInconclusive: InconclusivePromote,
		OnPromote:      Handling{FlipPins{FlipDrain, 30 * time.Minute}, StreamsClose},
		OnRollback:     Handling{FlipPins{Mode: FlipKeep}, StreamsFinish},
		Queue:          QueueFIFO,
		Guards:         Guards{Alpha: 0.05, Margins: map[Percent]float64{1250: 2.5, 10_000: 1.1}, Latency: 0.125, Ceiling: 0.00001},
		Hooks: []Hook{
			{URL: "https://ci.example.com/hook?a=b", SecretFile: filepath.Join(dir, "keys/hook.key"), Timeout: time.Minute},
			{Command: []string{"announce", "a b"}, On: []Phase{"promoted", "rolled_back"}, Timeout: 10 * time.Second},
		},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got  %+v\nwant %+v", p, want)
	}
	bad := Bad{Statuses: []Statuses{{400, 499}, {500, 500}}, Except: []Statuses{{404, 404}, {429, 429}},
		Header: map[string]string{"X-Error": "*", "X-Fault": "yes"}, Latency: 2 * time.Second}
	if got := f.Services["web"].Bad; !reflect.DeepEqual(got, bad) {
		t.Errorf("got %+v, want %+v", got, bad)
	}
}

// Shares and fractions are read as they are written.
func TestPercentText(t *testing.T) {
	for text, want := range map[string]Percent{"0%": 0, "5%": 500, "0.01%": 1, "12.5%": 1250, "99.99%": 9999, "100%": 10_000} {
		var p Percent
		if err := p.decodeText(text); err != nil || p != want || p.String() != text {
			t.Errorf("%s: got %d, %v, written %s", text, p, err, p)
		}
	}
	for _, text := range []string{"", "%", "5", ".5%", "5.%", "+5%", "-1%", "1e1%", "100.01%", "0.001%", "5 %", "0005%"} {
		var p Percent
		if err := p.decodeText(text); err == nil {
			t.Errorf("%q is taken for %v", text, p)
		}
	}
	for text, want := range map[string]Fraction{"5%": 0.05, "0.001%": 0.00001, "0%": 0, "1000%": 10} {
		var f Fraction
		if err := f.decodeText(text); err != nil || f != want || f.String() != text {
			t.Errorf("%s: got %g, %v, written %s", text, float64(f), err, f)
		}
	}
}
