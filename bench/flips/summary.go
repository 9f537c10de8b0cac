package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"sluice/bench/rig"
)

// summary is all that a run showed.
type summary struct {
	Options   options
	Begun     time.Time
	Machine   rig.Machine
	Account   *account
	Curls     int
	Loads     map[string]rig.Result
	Latencies latencies
}

// tardy is how much longer than its span a drill may take: the last flips must
// not come after the load has ended.
const tardy = time.Second

// conclude prints the summary, writes it where asked, and returns an error
// unless every promise was kept.
func (s summary) conclude(curl *failures) error {
	a := s.Account
	if len(a.Flips) < s.Options.flips {
		a.Failures.add("only %d of %d flips were acknowledged", len(a.Flips), s.Options.flips)
	}
	if limit := s.Options.span + tardy; a.Took() > limit {
		a.Failures.add("the flips took %v, more than %v: the machine is too slow or too busy", a.Took().Round(time.Millisecond), limit)
	}
	first, count := a.Failures.list()
	curlFirst, curlCount := curl.list()
	text := s.text(append(first, curlFirst...), count+curlCount)
	fmt.Print(text)
	if s.Options.out != "" {
		if err := os.WriteFile(s.Options.out, []byte(text), 0o644); err != nil {
			return err
		}
	}
	if count+curlCount > 0 {
		return errors.New("promises were broken; see the account above")
	}
	return nil
}

// text returns the summary in Markdown.
func (s summary) text(failed []string, count int) string {
	var b strings.Builder
	a := s.Account
	fmt.Fprintf(&b, "# Flips under load\n\n")
	fmt.Fprintf(&b, "%s; %s, %d cores; %s; tree %s, %s; load averages after %s\n\n", s.Begun.UTC().Format("2006-01-02 15:04 UTC"), s.Machine.CPU, s.Machine.Cores, s.Machine.Kernel, s.Machine.Commit, s.Machine.Go, s.Machine.Load)
	fmt.Fprintf(&b, "- %d flips acknowledged in %v, pins moved with each; two in ten partial (50/50, 95/5), the rest by turns 100/0 and 0/100\n", len(a.Flips), a.Took().Round(time.Millisecond))
	for _, name := range slices.Sorted(maps.Keys(s.Loads)) {
		r := s.Loads[name]
		fmt.Fprintf(&b, "- %s: %d requests, %d failed; p99 %.2f ms\n", name, r.Requests, r.Errors.Total(), float64(r.P99US)/1e3)
	}
	fmt.Fprintf(&b, "- curl: %d runs\n", s.Curls)
	fmt.Fprintf(&b, "- checks after flips to one version: %d new sessions on connections of their own, %d requests of a pinned session\n", a.New, a.Pinned)
	fmt.Fprintf(&b, "- traced requests of new sessions: %d\n", len(a.Traces))
	fmt.Fprintf(&b, "- call to acknowledgement: %s\n", quantiles(s.Latencies.Ack))
	fmt.Fprintf(&b, "- call to the last request decided by the old table, at least (it was sent then): %s\n", quantiles(s.Latencies.LastSent))
	fmt.Fprintf(&b, "- call to the last request decided by the old table, at most (its answer came then): %s\n", quantiles(s.Latencies.LastGot))
	if count == 0 {
		b.WriteString("\nNo request failed, and after each acknowledged flip no new session went to the old version.\n")
		return b.String()
	}
	fmt.Fprintf(&b, "\n**%d failures**, the first of them:\n\n", count)
	for _, f := range failed {
		fmt.Fprintf(&b, "- %s\n", f)
	}
	return b.String()
}
