package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/e2e/origin"
	"sluice/e2e/site"
)

// binary is the Sluice that the tests start. TestMain builds it.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if binary, err = site.Build(context.Background(), dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// stand is a site with two versions of a service, v1 with all the weight.
type stand struct {
	*site.Site
	t      *testing.T
	v1, v2 *origin.Origin
	shown  site.Issued // the certificate
}

// setUp starts a site.
func setUp(t *testing.T) *stand {
	t.Helper()
	s, err := site.New(t.TempDir(), binary)
	if err != nil {
		t.Fatal(err)
	}
	st := &stand{Site: s, t: t}
	if st.shown, err = s.Renew(); err != nil {
		t.Fatal(err)
	}
	start := func(version string) *origin.Origin {
		o, err := origin.Start(version)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(o.Kill)
		return o
	}
	st.v1, st.v2 = start("v1"), start("v2")
	if err := s.Write(st.services(100, 0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the end of the log:\n%s", s.Tail())
		}
	})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return st
}

// services is the file with the weights of both services.
func (st *stand) services(v1, v2 int) string {
	return fmt.Sprintf(`log: {access: {mode: all}}
graceful_stop: 5s
overload: {disabled: true} # the machine may be slow; it sheds what 200 at once ask of it
routes:
  - {paths: ["/"], service: web}
  - {paths: ["/grpc.testing.TestService", "/grpc.testing.UnimplementedService"], service: rpc}
services:
  web:
    versions:
      v1: {endpoints: [%q], weight: %d}
      v2: {endpoints: [%q], weight: %d}
  rpc:
    upstream: {protocol: h2c}
    versions:
      v1: {endpoints: [%q], weight: %d}
      v2: {endpoints: [%q], weight: %d}
`, st.v1.HTTP, v1, st.v2.HTTP, v2, st.v1.GRPC, v1, st.v2.GRPC, v2)
}

// rewrite writes another file and has it taken.
func (st *stand) rewrite(rest string) {
	st.t.Helper()
	if err := st.Write(rest); err != nil {
		st.t.Fatal(err)
	}
	if _, err := st.Admin.Reload(st.t.Context()); err != nil {
		st.t.Fatal(err)
	}
}

// url returns where a path is served, on the listener with TLS or the other.
func (st *stand) url(secure bool, path string) string {
	if secure {
		return "https://" + st.Secure + path
	}
	return "http://" + st.Plain + path
}

// need asks for a program. Where there is none the test is skipped, but for
// continuous integration, which has them all.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	const remedy = "%s is not installed; scripts/need clients installs it where apt may"
	if os.Getenv("CI") == "true" {
		t.Fatalf(remedy, program)
	}
	t.Skipf(remedy, program)
}

// outcome is what a program said and how it ended.
type outcome struct {
	stdout, stderr string
	err            error
}

// command runs a program for half a minute at most.
func command(t *testing.T, program string, args ...string) outcome {
	t.Helper()
	need(t, program)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &stdout, &stderr, 5*time.Second
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "http_proxy=", "https_proxy=", "HTTPS_PROXY=", "ALL_PROXY=", "all_proxy=")
	err := cmd.Run()
	return outcome{stdout.String(), stderr.String(), err}
}

// file writes a file with n bytes and returns its path.
func file(t *testing.T, n int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(name, []byte(strings.Repeat("0123456789abcdef", n/16+1)[:n]), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
