package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"sluice/bench/rig"
)

// policy is the name of the rollouts' policy.
const policy = "drill"

// policyText is the policy: no stage lasts longer than its evidence needs, and
// one that finds none is held. The objective is out of reach: the baselines fail in
// up to 5% of the requests by design, where a rollout would pause for that alone.
const policyText = `  drill:
    stages:
      - shift: {share: 5%, hold: 1s}
      - shift: {share: 25%, hold: 1s}
      - shift: {share: 50%, hold: 1s}
      - shift: {share: 100%, hold: 1s}
    on_inconclusive: hold
    guards: {objective: 20%}
`

// site is a running Sluice with its file.
type site struct {
	o       options
	dir     string
	address string
	file    string
	control control
	sluice  *rig.Process
	starts  int
}

// startSite starts Sluice in front of the baselines of all trials.
func startSite(ctx context.Context, dir string, o options, trials []*trial) (*site, error) {
	free, err := rig.FreeAddresses(2)
	if err != nil {
		return nil, err
	}
	s := &site{o: o, dir: dir, address: free[0], file: filepath.Join(dir, "sluice.yaml"), control: newControl(free[1])}
	var text, routes strings.Builder
	fmt.Fprintf(&text, "listeners: [{name: edge, address: %q}]\nadmin: {address: %q}\nstate: {path: state.db}\nlog: {level: warn, access: {mode: off}}\n", free[0], free[1])
	fmt.Fprintf(&text, "policies:\n%sservices:\n", policyText)
	for _, t := range trials {
		if err := t.startOrigins(); err != nil {
			return nil, err
		}
		fmt.Fprintf(&text, "  %s:\n    versions: {v1: {endpoints: [%q], weight: 100}}\n", t.service, t.origins[baseline].addr())
		fmt.Fprintf(&routes, "  - {hosts: [%s], service: %s}\n", t.host(), t.service)
	}
	if err := os.WriteFile(s.file, []byte(text.String()+"routes:\n"+routes.String()), 0o600); err != nil {
		return nil, err
	}
	return s, s.start(ctx)
}

func (s *site) start(ctx context.Context) error {
	s.starts++
	var err error
	if s.sluice, err = rig.Start(fmt.Sprintf("sluice-%d", s.starts), s.dir, rig.AnyCore, s.o.sluice, "serve", "-c", s.file); err != nil {
		return err
	}
	return s.sluice.AwaitReady(ctx, 15*time.Second, func() error {
		a, err := rig.GetOnce(s.address, "/", "", time.Second)
		if err == nil && a.Status != 404 { // no host of a service was asked
			err = fmt.Errorf("answer %d", a.Status)
		}
		return err
	})
}

// kill ends Sluice without a warning and starts it again.
func (s *site) kill(ctx context.Context) error {
	if err := syscall.Kill(s.sluice.PID, syscall.SIGKILL); err != nil {
		return err
	}
	select {
	case <-s.sluice.Ended():
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.start(ctx)
}

func (s *site) stop() error {
	if s.sluice == nil {
		return errors.New("it was never started")
	}
	return s.sluice.Stop()
}
