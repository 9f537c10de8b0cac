// Command bench measures Sluice beside haproxy, nginx and caddy on one
// topology and writes RESULTS.md with its plots.
//
//	go run ./bench -sluice ./bin/sluice
//
// It needs Linux, two cores and nothing else going on. What it starts it ends,
// also on Ctrl-C. See -help for the choices.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"sluice/bench/peers"
	"sluice/bench/rig"
)

// options are what the flags choose.
type options struct {
	sluice    string
	out       string
	quick     bool
	rounds    int
	sizes     []peers.Size
	conns     []int
	span      time.Duration
	idle      int
	proxyCore int
	loadCore  int
	peers     []peers.Peer
	parts     []string // by name
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == "relay" {
		exit(relay(os.Args[2], os.Args[3]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(run(ctx, os.Args[1:]))
}

func exit(err error) {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

func run(ctx context.Context, args []string) (err error) {
	o, err := parseFlags(args)
	if err != nil {
		return err
	}
	if runtime.GOOS != "linux" || runtime.NumCPU() < 2 {
		return errors.New("the benchmark needs Linux with two cores: one for the proxy, one for load and backends")
	}
	if err := rig.EnsureTools(ctx, o.programs()...); err != nil {
		return err
	}
	dir, err := workDir()
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	backends, err := peers.StartBackends(ctx, dir, o.loadCore)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, backends.Stop()) }()

	var tls *peers.Certificate
	if o.needsTLS() {
		if tls, err = peers.NewCertificate(dir); err != nil {
			return err
		}
	}

	env := describe(ctx, o, args)
	samples, err := runMatrix(ctx, dir, o, backends, tls)
	if err != nil {
		return err
	}
	idles, err := runIdle(ctx, dir, o, backends, tls)
	if err != nil {
		return err
	}
	micro := runMicro(ctx, o)
	if err := ctx.Err(); err != nil {
		return err
	}
	env.Took = time.Since(env.Begun).Round(time.Second)
	return writeReport(o, report{Env: env, Samples: samples, Idles: idles, Micro: micro})
}

// workDir makes the directory of all configurations and logs. nginx's worker,
// which has fewer rights than this process, must be able to enter it.
func workDir() (string, error) {
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

func parseFlags(args []string) (options, error) {
	var o options
	var names, sizes, conns, only string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.StringVar(&o.sluice, "sluice", "./bin/sluice", "path of the sluice binary; its row is left out while there is none")
	f.StringVar(&o.out, "out", "", "directory for RESULTS.md, samples.json and plots/; by default bench, or bin/bench with -quick or -only")
	f.BoolVar(&o.quick, "quick", false, "about 4 minutes: 64 connections, 3 rounds; for a look, not for figures to keep")
	f.StringVar(&only, "only", "", "parts to run, such as tls,h2; known are "+strings.Join(allParts(), ", ")+"; by default all")
	f.IntVar(&o.rounds, "rounds", 5, "how often each peer is measured in each cell")
	f.StringVar(&sizes, "sizes", "200,10k,1m", "answers in the clear, by path")
	f.StringVar(&conns, "connections", "8,64,512", "numbers of connections in the clear")
	f.DurationVar(&o.span, "span", 2*time.Second, "length of one load, whole seconds, 2 s at least")
	f.IntVar(&o.idle, "idle", 4000, "connections held open for the idle memory; 0 leaves it out")
	f.IntVar(&o.proxyCore, "proxy-core", 0, "core of the proxy")
	f.IntVar(&o.loadCore, "load-core", 1, "core of wrk and the backends")
	f.StringVar(&names, "peers", "sluice,haproxy,nginx,caddy,haproxy-splice,nginx-defaults,floor", "peers to measure")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.quick {
		o.rounds, conns = 3, "64"
	}
	if o.out == "" {
		o.out = "bench"
		if o.quick || only != "" {
			o.out = filepath.Join("bin", "bench") // a part doesn't replace the whole
		}
	}
	if o.rounds < 1 || o.idle < 0 || o.span < 2*time.Second || o.span%time.Second != 0 {
		return o, errors.New("-rounds is 1 or more, -idle 0 or more, -span a whole number of seconds from 2s")
	}
	err := errors.Join(o.chooseParts(only), o.chooseCells(sizes, conns), o.choosePeers(names))
	return o, err
}

func (o *options) chooseCells(sizes, conns string) error {
	for _, want := range strings.Split(sizes, ",") {
		i := slices.IndexFunc(peers.Sizes(), func(s peers.Size) bool { return s.Path == "/"+want })
		if i < 0 {
			return fmt.Errorf("-sizes: unknown %q; known are 200, 10k, 1m", want)
		}
		o.sizes = append(o.sizes, peers.Sizes()[i])
	}
	for _, text := range strings.Split(conns, ",") {
		var n int
		if _, err := fmt.Sscanf(text, "%d", &n); err != nil || n < 1 || n > 4000 {
			return fmt.Errorf("-connections: %q is not a number from 1 to 4000", text)
		}
		o.conns = append(o.conns, n)
	}
	return nil
}

// choosePeers takes the peers by name, and leaves Sluice out, saying so, where
// there is no binary.
func (o *options) choosePeers(names string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if o.sluice, err = filepath.Abs(o.sluice); err != nil {
		return err
	}
	wanted := strings.Split(names, ",")
	if _, err := os.Stat(o.sluice); err != nil && slices.Contains(wanted, "sluice") {
		fmt.Fprintf(os.Stderr, "no sluice binary (%v): its row is left out; build it with: go build -o bin/sluice ./cmd/sluice\n", err)
		wanted = slices.DeleteFunc(wanted, func(n string) bool { return n == "sluice" })
	}
	o.peers, err = peers.Choose(peers.All(o.sluice, self), wanted)
	return err
}

// programs returns what must be installed for the chosen peers.
func (o options) programs() []string {
	programs := []string{"wrk", "nginx", "taskset"}
	if o.has(string(http2)) {
		programs = append(programs, "h2load")
	}
	for _, p := range o.peers {
		programs = append(programs, p.Programs...)
	}
	return programs
}
