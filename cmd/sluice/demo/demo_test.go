package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/admin/api"
	"sluice/admin/client"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// audience keeps the commentary and calls on when a part of it comes.
type audience struct {
	mu   sync.Mutex
	text strings.Builder
	cue  string
	on   func() // once, outside the lock
}

func (a *audience) Write(p []byte) (int, error) {
	a.mu.Lock()
	a.text.Write(p)
	on := a.on
	if on != nil && strings.Contains(a.text.String(), a.cue) {
		a.on = nil
	} else {
		on = nil
	}
	a.mu.Unlock()
	if on != nil {
		on()
	}
	return len(p), nil
}

func (a *audience) String() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.text.String()
}

// perform runs a fast demo with temporary files of its own, all of which must be
// gone afterwards.
func perform(t *testing.T, ctx context.Context, opt Options) error {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	opt.Fast = true
	err := Run(ctx, opt)
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v was left behind", left)
	}
	return err
}

func TestEveryPromiseIsKept(t *testing.T) {
	out := new(audience)
	if err := perform(t, t.Context(), Options{Out: out}); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := out.String()
	if !regexp.MustCompile(`\nAll \d\d promises were kept\.\n$`).MatchString(text) {
		t.Errorf("how does it end?\n%s", text)
	}
	for i := range partsInAll {
		if n := strings.Count(text, fmt.Sprintf("ok     %d. ", i+1)); n == 0 {
			t.Errorf("part %d has no promise in the summary", i+1)
		}
	}
	for _, line := range strings.Split(text, "\n") {
		if len([]rune(line)) > 100 || strings.TrimRight(line, " ") != line || strings.ContainsRune(line, '\x1b') {
			t.Errorf("a line that does not fit: %q", line)
		}
	}
}

// byHand are the acts before those that take longer.
var byHand = [2]int{0, 7}

// Checks that could not fail would prove nothing.
func TestBrokenPromisesAreFound(t *testing.T) {
	out := new(audience)
	withoutPins := []string{"pin: {by: \"header:X-Tenant\"}", "pin: {by: none}", "  web:\n", "  web:\n    pin: {by: none}\n"}
	if err := perform(t, t.Context(), Options{Out: out, edit: withoutPins, acts: byHand}); !errors.Is(err, ErrBroken) {
		t.Fatalf("%v\n%s", err, out)
	}
	text := out.String()
	for _, want := range []string{
		`FAILED 5\. of \d+ sessions so far, [1-9]\d* changed version`,
		`FAILED 7\. the 20 tenants that were there stayed on v1`,
		`\d+ of \d+ promises were broken`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestJourneysThatPassEverywhereAreFound(t *testing.T) {
	out := new(audience)
	blind := []string{"expect: {status: [201]}", "expect: {status: [201, 500]}"}
	if err := perform(t, t.Context(), Options{Out: out, edit: blind, acts: [2]int{7, 8}}); !errors.Is(err, ErrBroken) {
		t.Fatalf("%v\n%s", err, out)
	}
	text := out.String()
	for _, want := range []string{"FAILED 8. of 8 journeys by versions one fails", "FAILED 8. v2 gets no weight while it fails", "ok     8. journeys are in no statistic"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}

func TestInterruptedInTheMiddle(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &audience{cue: "$ sluice shift web v2 5%", on: cancel}
	if err := perform(t, ctx, Options{Out: out}); !errors.Is(err, ErrInterrupted) {
		t.Fatalf("%v\n%s", err, out)
	}
	if text := out.String(); strings.Contains(text, "4 of 14") || !strings.Contains(text, "Interrupted. Everything has stopped; the 4 promises checked so far were kept.") {
		t.Error(text)
	}
}

var adminURL = regexp.MustCompile(`SLUICE_ADMIN=(\S+)`)

func TestKeepTellsOfChanges(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out := &audience{cue: "Things to try"}
	var playing sync.WaitGroup
	defer playing.Wait()
	out.on = func() {
		playing.Go(func() {
			defer cancel()
			c, err := client.New(client.Config{Base: adminURL.FindStringSubmatch(out.String())[1]})
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			await(t, "the change to be told", func() bool {
				// The stream may not be open yet, so there is more than one change.
				body := api.Weights{Weights: map[string]int{"v1": 1 + time.Now().Nanosecond()%1000, "v2": 50}, Reason: "a person plays"}
				if _, err := c.SetWeights(ctx, "web", body, 0); err != nil {
					t.Error(err)
				}
				return strings.Contains(out.String(), "web: weights from ")
			})
		})
	}
	if err := perform(t, ctx, Options{Out: out, Keep: true, acts: byHand, Listen: "127.0.0.1:0", Admin: "127.0.0.1:0"}); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if text := out.String(); !strings.Contains(text, "14 of 14") || !strings.Contains(text, "promises were kept.") {
		t.Error(text)
	}
}

// await waits until something has come about.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !done() {
		if !pause(ctx, 20*time.Millisecond) {
			t.Errorf("waited in vain for %s", what)
			return
		}
	}
}

func TestAnAddressInUseIsTold(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for _, opt := range []Options{{Listen: ln.Addr().String()}, {Admin: ln.Addr().String()}} {
		opt.Out = new(audience)
		if err := perform(t, t.Context(), opt); err == nil || !strings.Contains(err.Error(), ln.Addr().String()) {
			t.Errorf("%+v: %v", opt, err)
		}
	}
}

func TestABrokenPromiseShows(t *testing.T) {
	out := new(audience)
	s := &story{voice: voice{out: out, color: true}, part: 3, told: true}
	s.promise(true, "one was kept")
	s.promise(false, "%d was not", 1)
	s.summary()
	if s.broken() != 1 {
		t.Errorf("%d broken", s.broken())
	}
	text := out.String()
	for _, want := range []string{"FAILED " + plain + "1 was not", "FAILED " + plain + "3. 1 was not", "1 of 2 promises were broken."} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%q", want, text)
		}
	}
}
