package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"sluice/bench/rig"
)

// microCommand measures the decision by the number of services and the swap of
// a table of 10,000 services.
func microCommand(core int) []string {
	return rig.OnCore(core, "go", "test", "-run", "^$", "-bench", "^Benchmark(Decide|Swap)", "-benchmem", "sluice/routing")
}

// runMicro returns the command and the lines that the routing benchmarks print.
// They need the work tree and the Go tools: where these are missing the report
// says so instead of failing after all else has been measured.
func runMicro(ctx context.Context, o options) string {
	if o.quick || !o.has("routing") {
		return "Not measured in this run.\n"
	}
	args := microCommand(o.proxyCore)
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Sprintf("Not measured: %v.\n", err)
	}
	return "`" + strings.Join(args, " ") + "`\n\n```\n" + benchLines(string(out)) + "```\n"
}

// benchLines keeps the results of a go test -bench run.
func benchLines(out string) string {
	var b strings.Builder
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "Benchmark") {
			b.WriteString(line)
		}
	}
	return b.String()
}
