package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"sluice/bench/rig"
)

// line tells of a trial.
func (t *trial) line() string {
	mark := "ok    "
	if t.promise != nil {
		mark = "FAILED"
	}
	text := fmt.Sprintf("%s %s base %.1f%% ×%g: %s after %s; candidate: %d requests, %d bad, %.1f above the baseline's rate; %d sessions, %d killed",
		mark, t.service, 100*t.base, t.times, t.end.Phase, t.took.Round(100*time.Millisecond), t.saw.requests[candidate].Load(), t.saw.bad[candidate].Load(), t.excess, t.saw.sessions.Load(), t.killed)
	if t.promise != nil {
		text += ": " + t.promise.Error()
	}
	return text
}

// conclude prints the account and writes it where that is asked for. Promises
// that were broken are an error.
func conclude(ctx context.Context, o options, begun time.Time, trials []*trial) error {
	var b strings.Builder
	m := rig.ThisMachine(ctx)
	fmt.Fprintf(&b, "# Rollouts by the dozen\n\nMade by `make rollouts` (`bench/rollouts`), %s, commit %s, on %d × %s, %s, load averages %s. Policy:\n\n```yaml\npolicies:\n%s```\n\n",
		begun.UTC().Format("2006-01-02 15:04 UTC"), m.Commit, m.Cores, m.CPU, m.Kernel, m.Load, policyText)
	fmt.Fprintf(&b, "Real sockets; each endpoint takes %v on average, with an exponential tail, and fails at random. %d clients for each service, sessions of 1 to %d requests, %d services at a time.\n\n",
		answerTime, o.clients, mostRequests, o.aside)
	b.WriteString("| candidates | rollouts | promoted | rolled back | held | seconds: median (least to most) | requests to the candidate: median | bad requests above the baseline's rate: median (most) |\n|---|---|---|---|---|---|---|---|\n")
	for _, kill := range []bool{false, true} {
		for _, times := range []float64{1, 2} {
			row(&b, trials, times, kill)
		}
	}
	b.WriteString("\n| service | fails | candidate | outcome | seconds | candidate's requests | bad | above the baseline's rate | killed | what decided |\n|---|---|---|---|---|---|---|---|---|---|\n")
	var broken []string
	for _, t := range trials {
		fmt.Fprintf(&b, "| %s | %.1f%% | ×%g | %s | %.1f | %d | %d | %.1f | %d | %s |\n", t.service, 100*t.base, t.times, t.end.Phase, t.took.Seconds(),
			t.saw.requests[candidate].Load(), t.saw.bad[candidate].Load(), t.excess, t.killed, strings.ReplaceAll(t.end.last(), "|", "/"))
		if t.promise != nil {
			broken = append(broken, t.service+": "+t.promise.Error())
		}
	}
	fmt.Print("\n", b.String())
	if o.out != "" {
		if err := os.WriteFile(o.out, []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	if len(broken) > 0 {
		return fmt.Errorf("%d of %d rollouts are not what was promised:\n%s", len(broken), len(trials), strings.Join(broken, "\n"))
	}
	return nil
}

// row sums up the trials of a kind.
func row(b *strings.Builder, trials []*trial, times float64, kill bool) {
	var took, requests, excess []float64
	ends := map[string]int{}
	for _, t := range trials {
		if t.times != times || t.kill != kill {
			continue
		}
		took = append(took, t.took.Seconds())
		requests = append(requests, float64(t.saw.requests[candidate].Load()))
		excess = append(excess, t.excess)
		ends[t.end.Phase]++
	}
	if len(took) == 0 {
		return
	}
	name := "as good"
	if times != 1 {
		name = fmt.Sprintf("%g times as bad", times)
	}
	if kill {
		name += ", Sluice killed at each stage"
	}
	held := len(took) - ends["promoted"] - ends["rolled_back"]
	fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %.1f (%.1f to %.1f) | %.0f | %.1f (%.1f) |\n", name, len(took), ends["promoted"], ends["rolled_back"], held,
		median(took), slices.Min(took), slices.Max(took), median(requests), median(excess), slices.Max(excess))
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}
