package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sluice/bench/rig"
)

// The cores: what is measured, and what measures it.
const (
	sluiceCore = 0
	loadCore   = 1
)

// The hosts of the two services.
const (
	plainHost  = "plain.test"
	copiedHost = "copied.test"
)

// stage is a Sluice in front of its endpoints.
type stage struct {
	rig.Stage
	o       options
	self    string
	address string // of Sluice
	admin   string // of its API
	sluice  *rig.Process
}

// configuration is that of Sluice.
func configuration(r row, sluice, admin, baseline, candidate string) string {
	shadow := ""
	if r.share > 0 {
		shadow = fmt.Sprintf("shadow: {to: v2, share: %d%%, again: %v}, ", r.share, r.again)
	}
	return fmt.Sprintf(`listeners: [{name: edge, address: %q}]
admin: {address: %q}
state: {backend: memory}
log: {level: warn, access: {mode: errors}}
routes: [{hosts: [%q], service: copied}, {hosts: [%q], service: plain}]
services:
  copied: {%sversions: {v1: {endpoints: [%q], weight: 1}, v2: {endpoints: [%q]}}}
  plain: {versions: {v1: {endpoints: [%q], weight: 1}}}
`, sluice, admin, copiedHost, plainHost, shadow, baseline, candidate, baseline)
}

// startStage starts all that a row needs, on free ports.
func startStage(ctx context.Context, dir string, o options, r row) (*stage, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	free, err := rig.FreeAddresses(4)
	if err != nil {
		return nil, err
	}
	s := &stage{Stage: rig.Stage{Dir: dir}, o: o, self: self, address: free[0], admin: free[1]}
	file := filepath.Join(dir, "sluice.yaml")
	if err := os.WriteFile(file, []byte(configuration(r, free[0], free[1], free[2], free[3])), 0o644); err != nil {
		return nil, err
	}
	on := func(core int) int {
		if o.cores > 1 {
			return rig.AnyCore
		}
		return core
	}
	waits := [...]time.Duration{o.wait, o.wait}
	if r.hangs {
		waits[1] = time.Hour
	}
	for i, endpoint := range free[2:] {
		if err == nil {
			_, err = s.Start(fmt.Sprint("endpoint-", i), on(loadCore), append(before(ofRequests-i), self, "endpoint", endpoint, waits[i].String())...)
		}
	}
	if err == nil {
		s.sluice, err = s.Start("sluice", on(sluiceCore), append(before(ofRequests), "env", fmt.Sprint("GOMAXPROCS=", o.cores), o.sluice, "serve", "-c", file)...)
	}
	if err == nil {
		err = s.sluice.AwaitReady(ctx, 15*time.Second, func() error { return probe(s.address) })
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// The order in which programs come on a core, the last first: the clients' clock
// is not to wait for work that copies make.
const (
	ofCopies = 1 + iota
	ofRequests
	ofClients
)

// before runs a program before all others on its core but those of a higher place,
// where that is allowed: what is measured needs a part of the core alone, and is
// not to wait for a neighbour.
func before(place int) []string {
	if exec.Command("chrt", "-f", "1", "true").Run() == nil {
		return []string{"chrt", "-f", strconv.Itoa(place)}
	}
	return []string{"nice", "-n", "-20"}
}

// copies returns how many copies Sluice says were answered, failed and dropped.
func (s *stage) copies(ctx context.Context) (n copies, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/metrics", nil)
	if err != nil {
		return n, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return n, err
	}
	defer res.Body.Close()
	if res.StatusCode != 200 {
		return n, fmt.Errorf("metrics: %s", res.Status)
	}
	return readCopies(res.Body)
}

// copies are numbers of copies.
type copies struct{ answered, failed, dropped int }

// readCopies reads them from metrics.
func readCopies(from io.Reader) (n copies, err error) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		to := &n.dropped
		switch {
		case strings.HasPrefix(name, `sluice_shadow_requests_total{outcome="answered"`):
			to = &n.answered
		case strings.HasPrefix(name, "sluice_shadow_requests_total{"):
			to = &n.failed
		case !strings.HasPrefix(name, "sluice_shadow_dropped_total{"):
			continue
		}
		count, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return n, err
		}
		*to += int(count)
	}
	return n, lines.Err()
}

// probe asks both services once.
func probe(address string) error {
	c, err := dial(address)
	if err != nil {
		return err
	}
	defer c.conn.Close()
	for _, copied := range []bool{false, true} {
		if _, err := c.ask(copied); err != nil {
			return err
		}
	}
	return nil
}

// ask has the clients ask, in a process of their own, and returns what they saw.
func (s *stage) ask(ctx context.Context) (all []slice, err error) {
	what, err := json.Marshal(load{Address: s.address, Sluice: s.sluice.PID, Rate: s.o.rate, Slice: s.o.slice, Pairs: s.o.pairs})
	if err != nil {
		return nil, err
	}
	core := loadCore
	if s.o.cores > 1 {
		core = rig.AnyCore
	}
	p, err := s.Start("load", core, append(before(ofClients), s.self, "load", string(what))...)
	if err != nil {
		return nil, err
	}
	select {
	case <-p.Ended():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	out, err := os.ReadFile(filepath.Join(s.Dir, "load.log"))
	if err == nil {
		err = json.Unmarshal(out, &all)
	}
	if err != nil {
		return nil, fmt.Errorf("load: %w; its output: %.500s", err, out)
	}
	return all, nil
}
