package bolt

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/state"
	"sluice/state/storetest"
)

// TestFullDisk runs a child whose files may not grow and which goes through a
// rollback and its reconciliation: see fillUp.
func TestFullDisk(t *testing.T) {
	path := temp(t)
	cmd, lines := runChild(t, "fill "+path)
	var said []string
	for lines.Scan() {
		said = append(said, lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v; it said %q", err, said)
	}
	want := []string{
		"flip: durable true",
		"flip on a full disk: refused by the store, v2 has 100",
		"rollback on a full disk: durable false, v1 has 100, 1 pending",
		"reconciled: v1 has 100, 0 pending",
	}
	if !reflect.DeepEqual(said, want) {
		t.Fatalf("the child said\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
	s := mustOpen(t, path)
	st, err := s.Load(t.Context())
	if err != nil || st.Services["s0"].Versions["v1"].Weight != 100 {
		t.Errorf("error %v, s0 %+v", err, st.Services["s0"])
	}
	if events, err := s.Audit(t.Context(), "s0", 0, 1); err != nil || events[0].Kind != "rollback" {
		t.Errorf("error %v, events %+v", err, events)
	}
}

// fillUp flips, fills the disk, rolls back, makes room, and says how it goes. A
// limit on the size of files (setrlimit(2), RLIMIT_FSIZE) stands for the full
// disk: every write to the file fails. It holds for the whole process, hence
// the child.
func fillUp(path string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signal.Ignore(syscall.SIGXFSZ)
	s, err := Open(path)
	if err != nil {
		panic(err)
	}
	defer s.Close()
	k, err := state.NewKeeper(ctx, s, state.KeeperOptions{RetryMin: time.Millisecond, RetryMax: 10 * time.Millisecond, Patience: time.Second})
	if err != nil {
		panic(err)
	}
	do := func(cmd state.Command) (state.Result, error) {
		return k.Do(ctx, cmd, state.Meta{By: "test"})
	}
	cmd, _ := storetest.Step(0)
	if _, err := do(cmd); err != nil {
		panic(err)
	}
	weight := func(version string) int { return k.State().Services["s0"].Versions[version].Weight }

	r, err := do(state.SetWeights{Service: "s0", Weights: map[string]int{"v2": 100}})
	if err != nil {
		panic(err)
	}
	fmt.Println("flip: durable", r.Durable)

	limitFiles(1)
	if _, err := do(state.SetWeights{Service: "s0", Weights: map[string]int{"v1": 50, "v2": 50}}); !errors.Is(err, state.ErrStore) || !errors.Is(err, syscall.EFBIG) {
		panic(fmt.Sprintf("flip on a full disk: %v", err))
	}
	fmt.Println("flip on a full disk: refused by the store, v2 has", weight("v2"))
	if r, err = do(state.Rollback{Service: "s0"}); err != nil {
		panic(err)
	}
	fmt.Printf("rollback on a full disk: durable %v, v1 has %d, %d pending\n", r.Durable, weight("v1"), len(k.Pending()))

	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	limitFiles(0)
	for range 10_000 {
		if len(k.Pending()) == 0 {
			break
		}
		<-time.After(time.Millisecond)
	}
	fmt.Printf("reconciled: v1 has %d, %d pending\n", weight("v1"), len(k.Pending()))
	cancel()
	if err := <-done; err != nil {
		panic(err)
	}
}

// limitFiles sets the most bytes that a file may have; 0 lifts the limit.
func limitFiles(size uint64) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit)
	limit.Cur = limit.Max
	if size > 0 {
		limit.Cur = size
	}
	if err := errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)); err != nil {
		panic(err)
	}
}
