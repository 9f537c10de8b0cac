package rig

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// debianPackages tells which package brings a program on Debian.
var debianPackages = map[string]string{
	"haproxy": "haproxy",
	"nginx":   "nginx-light",
	"caddy":   "caddy",
	"wrk":     "wrk",
	"h2load":  "nghttp2-client",
	"curl":    "curl",
	"taskset": "util-linux",
}

// EnsureTools sees to it that the programs are installed. Missing ones are
// installed by apt-get where this process is root on a system with apt-get;
// elsewhere the error says what to install.
func EnsureTools(ctx context.Context, programs ...string) error {
	packages := missingPackages(programs)
	if len(packages) == 0 {
		return nil
	}
	advice := "install them with: apt-get install " + strings.Join(packages, " ")
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("missing programs: %s; %s", strings.Join(missing(programs), ", "), advice)
	}
	if err := install(ctx, packages); err != nil {
		return fmt.Errorf("%w; %s", err, advice)
	}
	if still := missing(programs); len(still) > 0 {
		return fmt.Errorf("still missing after the installation: %s", strings.Join(still, ", "))
	}
	return nil
}

// install runs apt-get. RUNLEVEL=1 keeps the packages' own services from being
// started: the benchmark runs its own instances on its own ports.
func install(ctx context.Context, packages []string) error {
	for _, args := range [][]string{
		{"update", "-q"},
		append([]string{"install", "-y", "-q", "--no-install-recommends"}, packages...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	return nil
}

func missing(programs []string) []string {
	return slices.DeleteFunc(slices.Clone(programs), func(p string) bool {
		_, err := exec.LookPath(p)
		return err == nil
	})
}

func missingPackages(programs []string) []string {
	packages := make(map[string]bool)
	for _, p := range missing(programs) {
		packages[packageOf(p)] = true
	}
	return slices.Sorted(maps.Keys(packages))
}

func packageOf(program string) string {
	if pkg, ok := debianPackages[program]; ok {
		return pkg
	}
	return program
}
