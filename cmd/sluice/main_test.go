package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sluice/admin"
)

// TestMain lets the scripts run this very program as "sluice".
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sluice": main})
}

// TestScripts runs testdata/*.txtar. Besides sluice itself they have:
//
//	await COMMAND…            runs a command until it succeeds, 20 s at most
//	status N COMMAND…         runs a command that must exit with N
//	get URL [NAME:VALUE…]     prints the body of a GET
//	capture NAME              keeps the last output in the environment
//	certify NAME…             writes ca.pem, and NAME.pem and NAME.key of its
//	                          authority; a NAME that begins with "old" has expired
//	grant FILE NAME=ROLE…     writes a token file, and the tokens to the environment
//	$V1 $V2 $V3               addresses of servers that answer "v1", "v2", "v3"
//	$PROXY $SLUICE_ADMIN      where the proxy is to listen
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup:               setUp,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": await, "status": status, "get": get, "capture": capture, "grant": grant, "certify": certify,
		},
	})
}

// setUp starts the servers of a script and finds addresses for its proxy.
func setUp(env *testscript.Env) error {
	for _, name := range []string{"v1", "v2", "v3"} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, name)
		}))
		env.Defer(srv.Close)
		env.Setenv(strings.ToUpper(name), strings.TrimPrefix(srv.URL, "http://"))
	}
	proxy, admin, err := freeAddresses()
	if err != nil {
		return err
	}
	// Else each of the hundred programs of a script lingers for a second under
	// the race detector.
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	env.Setenv("PROXY", proxy)
	env.Setenv("ADMIN", admin)
	env.Setenv("SLUICE_ADMIN", "http://"+admin)
	return nil
}

// freeAddresses returns two addresses that nobody uses. Their ports are below
// those that the system gives to outgoing connections, and drawn at random, so
// that other tests do not take them in between.
func freeAddresses() (string, string, error) {
	var free []string
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 11000+rand.IntN(9000))
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		defer ln.Close()
		if free = append(free, addr); len(free) == 2 {
			return free[0], free[1], nil
		}
	}
	return "", "", fmt.Errorf("no free ports")
}

// await runs a command until it succeeds.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: await COMMAND...")
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 400 {
		if ts.Exec(args[0], args[1:]...) == nil {
			return
		}
		<-tick.C
	}
	ts.Fatalf("%s did not succeed", strings.Join(args, " "))
}

// status runs a command and compares its exit status.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND...")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("%s: exit status %s, want %s", strings.Join(args[1:], " "), got, args[0])
	}
}

// get prints the body of a GET.
func get(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: get URL [NAME:VALUE...]")
	}
	req, err := http.NewRequest(http.MethodGet, args[0], nil)
	ts.Check(err)
	for _, field := range args[1:] {
		name, value, _ := strings.Cut(field, ":")
		req.Header.Set(name, value)
	}
	client := http.Client{Timeout: 10 * time.Second}
	res, err := client.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d %s", res.StatusCode, body)
}

// capture keeps the last output in the environment.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: capture NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// grant writes a token file, and the tokens to the environment.
func grant(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: grant FILE NAME=ROLE...")
	}
	var text strings.Builder
	for _, arg := range args[1:] {
		name, roleName, _ := strings.Cut(arg, "=")
		role, err := admin.ParseRole(roleName)
		ts.Check(err)
		token, line, err := admin.GenerateToken(admin.Identity{Name: name, Role: role})
		ts.Check(err)
		ts.Setenv(name, token)
		fmt.Fprintln(&text, line)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text.String()), 0o600))
}

// TestHelp holds every command to a help text with an example.
func TestHelp(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		for _, c := range append(cmd.Commands(), cmd) {
			if c.Hidden {
				continue
			}
			if c.Short == "" || c.Long == "" || !strings.Contains(c.Example, "luice") {
				t.Errorf("%s: short %q, long %q, example %q", c.CommandPath(), c.Short, c.Long, c.Example)
			}
			for _, line := range strings.Split(c.Long, "\n") {
				if len(line) > 84 {
					t.Errorf("%s: a long line: %s", c.CommandPath(), line)
				}
			}
			if strings.HasSuffix(c.Short, ".") {
				t.Errorf("%s: %q ends in a full stop", c.CommandPath(), c.Short)
			}
		}
	}
}

// TestRun sees that nothing a caller can get wrong ends in success.
func TestRun(t *testing.T) {
	devnull, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer devnull.Close()
	stderr := os.Stderr
	os.Stderr = devnull
	defer func() { os.Stderr = stderr }()
	for _, line := range []string{
		"", "nonsense", "status a b", "status --nonsense", "pins", "pins nonsense", "tokens", "tokens new a",
		"tokens new a nonsense", "versions", "versions add web v2", "weights web", "weights web v1", "weights web v1=x",
		"weights web v1=1 v1=2", "shift web v2 5", "drain web v1 --for 1m --end", "drain web v1 --for 0s",
		"explain GET http://a/ -H x", "token web", "token web=v2 --ttl 0s", "audit --limit 0", "init nonsense",
		"status --timeout 0s", "status --admin ftp://a", "health --admin ftp://a", "check x",
	} {
		if got := run(strings.Fields(line)); got != statusUsage {
			t.Errorf("sluice %s: exit status %d", line, got)
		}
	}
}
