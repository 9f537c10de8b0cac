package main

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"text/template"
)

//go:embed judge.md.tmpl
var page string

// results are the scores of each trial and the tallies of each rollout, in the
// order of hours and rollouts.
type results struct {
	Hours, Rollouts int // each
	Rules           []string
	Plans           []string
	hours           []played
	rollouts        []rolledOut
}

type played struct {
	trial
	scores []score
}

type rolledOut struct {
	trial
	tallies []tally
}

// markdown returns the page.
func (r results) markdown() (string, error) {
	t, err := template.New("").Parse(page)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = t.Execute(&out, r)
	return out.String(), err
}

// RuleTable shows each rule's rollbacks and the harm before them.
func (r results) RuleTable() string {
	head, rows := []string{"rule"}, make([][]string, len(r.Rules))
	for i, name := range r.Rules {
		rows[i] = []string{name}
	}
	for _, p := range r.hours {
		head = append(head, p.name)
		for i, s := range p.scores {
			cell := fmt.Sprintf("%.1f%%", 100*s.share())
			if p.candidate.ratio > 1 && s.RolledBack > 0 {
				cell += fmt.Sprintf(", %.0f", median(s.Excess))
			}
			rows[i] = append(rows[i], cell)
		}
	}
	return table(head, rows)
}

// RolloutTable shows how rollouts ended.
func (r results) RolloutTable() string {
	var rows [][]string
	for _, o := range r.rollouts {
		for i, y := range o.tallies {
			rows = append(rows, []string{o.name, r.Plans[i],
				ended(y, promoted), ended(y, rolledBack), fmt.Sprintf("%.0f%%", 100*y.share(held)),
				fmt.Sprintf("%.0f", median(y.Excess)), fmt.Sprintf("%.0f", quantile(y.Excess, 0.95))})
		}
	}
	return table([]string{"candidate", "rollout by", "promoted", "rolled back", "held", "excess, median", "95 of 100 below"}, rows)
}

// ended is a share of rollouts and when they ended.
func ended(y tally, o outcome) string {
	if y.Count[o] == 0 {
		return "0%"
	}
	return fmt.Sprintf("%.1f%%, %.0f min", 100*y.share(o), median(y.Minutes[o]))
}

func table(head []string, rows [][]string) string {
	var out strings.Builder
	line := func(cells []string) { fmt.Fprintf(&out, "| %s |\n", strings.Join(cells, " | ")) }
	line(head)
	line(slices.Repeat([]string{"---"}, len(head)))
	for _, r := range rows {
		line(r)
	}
	return out.String()
}

// quantile returns the value that a share of values does not exceed.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
