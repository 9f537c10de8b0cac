package rig

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// Main runs a command until it is done or interrupted, and exits with 1 where it
// failed.
func Main(name string, run func(context.Context, []string) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	os.Exit(1)
}

// DrillFlags returns the flags of a drill that is called with the path of a sluice
// binary after them.
func DrillFlags(name string) *flag.FlagSet {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "usage: %s [flags] SLUICE\n\nSLUICE is the path of the sluice binary.\n", name)
		f.PrintDefaults()
	}
	return f
}

// DrillArgs parses them and returns the path of the binary, which is there.
func DrillArgs(f *flag.FlagSet, args []string) (sluice string, err error) {
	if err := f.Parse(args); err != nil {
		return "", err
	}
	if f.NArg() != 1 {
		return "", fmt.Errorf("the path of the sluice binary is needed, after the flags: %s ./bin/sluice", f.Name())
	}
	if sluice, err = filepath.Abs(f.Arg(0)); err != nil {
		return "", err
	}
	if _, err := os.Stat(sluice); err != nil {
		return "", fmt.Errorf("%w; build it with: make build", err)
	}
	return sluice, nil
}
