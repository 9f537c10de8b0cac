// Command simulate shows how well the judge decides: it plays thousands of hours of
// traffic and thousands of rollouts, shows them to the judge and to the rules that
// others use, and writes a page and a plot about it.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	hours := flag.Int("hours", 1000, "hours of traffic for each `column` of rules")
	rollouts := flag.Int("rollouts", 200, "rollouts for each `row` of plans")
	dir := flag.String("dir", "bench", "`directory` that the page and the plot are written to")
	flag.Parse()
	if err := run(*hours, *rollouts, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

func run(hours, rollouts int, dir string) error {
	if hours < 1 || rollouts < 1 {
		return fmt.Errorf("%d hours and %d rollouts: there must be at least one of each", hours, rollouts)
	}
	r := results{Hours: hours, Rollouts: rollouts}
	all, ways := rules(), plans()
	for _, rule := range all {
		r.Rules = append(r.Rules, rule.name)
	}
	for _, p := range ways {
		r.Plans = append(r.Plans, p.name)
	}
	for _, tr := range hourTrials() {
		fmt.Printf("%s: %d hours\n", tr.name, hours)
		r.hours = append(r.hours, played{tr, tr.run(all, 1, hours)})
	}
	for _, tr := range rolloutTrials() {
		fmt.Printf("%s: %d rollouts by each plan\n", tr.name, rollouts)
		r.rollouts = append(r.rollouts, rolledOut{tr, tr.rollOut(ways, 1, rollouts)})
	}
	text, err := r.markdown()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "JUDGE.md"), []byte(text), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "plots", "judge.svg"), []byte(r.plot()), 0o644)
}

// together is how many of the requests of a session that fails at all are bad, where
// they fall together.
const together = 0.5

func hourTrials() []trial {
	healthy := candidate{ratio: 1}
	return []trial{
		{name: "healthy, independent", candidate: healthy},
		{name: "healthy, correlated", candidate: healthy, together: together},
		{name: "healthy, incident", candidate: healthy, incident: true},
		{name: "×1.5", candidate: candidate{ratio: 1.5}},
		{name: "×2", candidate: candidate{ratio: 2}},
		{name: "×5", candidate: candidate{ratio: 5}},
	}
}

func rolloutTrials() []trial {
	healthy := candidate{ratio: 1}
	return []trial{
		{name: "healthy, independent", candidate: healthy},
		{name: "healthy, correlated", candidate: healthy, together: together},
		{name: "healthy, incident", candidate: healthy, incident: true},
		{name: "×1.5", candidate: candidate{ratio: 1.5}},
		{name: "×2", candidate: candidate{ratio: 2}},
		{name: "×2, correlated", candidate: candidate{ratio: 2}, together: together},
		{name: "×5", candidate: candidate{ratio: 5}},
		{name: "×5 from the third minute on", candidate: candidate{ratio: 5, since: 120}},
		{name: "30% slower", candidate: candidate{ratio: 1, slower: 1.3}},
	}
}
