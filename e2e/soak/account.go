package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// account is what a soak came to.
type account struct {
	took          time.Duration
	books         *books
	trouble       *trouble
	before, after level
}

// fewest is how many deeds of each kind a soak must have seen, or it says
// nothing of that kind.
const fewest = 10

// shown is how many failures of a kind the account tells whole.
const shown = 5

// conclude prints the account, and returns an error unless all was well.
func (a account) conclude() error {
	t := a.trouble
	fmt.Printf("soaked for %v: %d flips, %d of which closed streams; %d endpoints killed; %d reloads; %d certificates renewed; %d upgrades\n\n",
		a.took.Round(time.Second), t.flips, len(t.closings), len(t.deaths), t.reloads, t.renewals, t.upgrades)
	explained, unexplained := a.sort()
	fmt.Printf("%-32s %10s %10s %12s\n", "", "done", "explained", "unexplained")
	var wrong []string
	for _, kind := range slices.Sorted(maps.Keys(a.books.done)) {
		n := a.books.done[kind]
		fmt.Printf("%-32s %10d %10d %12d\n", kind, n, len(explained[kind]), len(unexplained[kind]))
		if n < fewest {
			wrong = append(wrong, fmt.Sprintf("%s: only %d done", kind, n))
		}
		for i, d := range unexplained[kind] {
			if i < shown {
				wrong = append(wrong, fmt.Sprintf("%s: failed after %v, at %v: %v", kind, d.end.Sub(d.began).Round(time.Millisecond), d.end.Format("15:04:05.000"), d.err))
			}
		}
	}
	fmt.Printf("\nat rest after the warm-up: %v\nat rest at the end:        %v\n", a.before, a.after)
	if above := a.after.above(a.before); above != "" {
		wrong = append(wrong, "not level: "+above)
	}
	if left := t.world.Leaving(); len(left) > 0 {
		wrong = append(wrong, fmt.Sprintf("processes that were replaced go on: %v", left))
	}
	if len(wrong) > 0 {
		fmt.Printf("\nthe end of the log:\n%s\n", t.world.Tail())
		return errors.New("not all was well:\n" + strings.Join(wrong, "\n"))
	}
	fmt.Println("\nNo request failed that policy does not explain, and all is level.")
	return nil
}

// sort divides the failures by whether policy explains them, by kind.
func (a account) sort() (explained, unexplained map[string][]deed) {
	explained, unexplained = map[string][]deed{}, map[string][]deed{}
	for _, d := range a.books.failed {
		if a.trouble.explains(d) != "" {
			explained[d.kind] = append(explained[d.kind], d)
		} else {
			unexplained[d.kind] = append(unexplained[d.kind], d)
		}
	}
	return explained, unexplained
}
