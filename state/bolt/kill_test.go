package bolt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/state"
	"sluice/state/storetest"
)

// childEnv tells the test's binary, run again as a child, what to do: an act
// and a path.
const childEnv = "SLUICE_BOLT_TEST_CHILD"

func child(task string) bool {
	act, path, _ := strings.Cut(task, " ")
	switch act {
	case "commit":
		commitForever(path)
	case "fill":
		fillUp(path)
	default:
		return false
	}
	return true
}

func runChild(t *testing.T, task string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+task)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// commitForever commits step after step and prints each revision once it is
// acknowledged. It runs until it is killed.
func commitForever(path string) {
	s, err := Open(path)
	if err != nil {
		panic(err)
	}
	st, err := s.Load(context.Background())
	for err == nil {
		cmd, meta := storetest.Step(st.Revision)
		next, events, aerr := state.Apply(st, cmd, meta)
		err = errors.Join(aerr, s.Commit(context.Background(), next, events))
		st = next
		fmt.Println(next.Revision)
	}
	panic(err)
}

// TestKill kills a process that commits, again and again at random moments, and
// looks at the file after each death.
func TestKill(t *testing.T) {
	kills, writers := 200, 2
	if testing.Short() {
		kills = 20
	}
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			life := &lives{t: t, path: temp(t)}
			for range kills / writers {
				if !life.kill() {
					return
				}
			}
			t.Logf("%d revisions in %d lives", life.want.Revision, kills/writers)
		})
	}
	wg.Wait()
}

// lives is one file and what it must hold.
type lives struct {
	t    *testing.T
	path string
	want state.State // replayed to the revision found at the last look
}

// kill lets a child commit, kills it and looks at the file; it reports whether
// all was well.
func (l *lives) kill() bool {
	cmd, lines := runChild(l.t, "commit "+l.path)
	killSoon := func() {
		time.AfterFunc(rand.N(20*time.Millisecond), func() { cmd.Process.Kill() })
	}
	// The first lives die at any moment from their start on, while the file is
	// laid out; later ones after a first commit, so that the test gets on.
	young := l.want.Revision == 0
	if young {
		killSoon()
	}
	var acknowledged uint64
	for lines.Scan() {
		n, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			break // a torn line
		}
		if !young && acknowledged == 0 {
			killSoon()
		}
		acknowledged = n
	}
	cmd.Wait()
	if err := l.look(acknowledged); err != nil {
		l.t.Errorf("after an acknowledged revision %d: %v", acknowledged, err)
		return false
	}
	return true
}

// look opens the file and compares it with a replay.
func (l *lives) look(acknowledged uint64) error {
	s, err := Open(l.path)
	if err != nil {
		return err
	}
	defer s.Close()
	got, err := s.Load(context.Background())
	if err != nil {
		return err
	}
	if got.Revision < acknowledged {
		return fmt.Errorf("the file holds revision %d", got.Revision)
	}
	var events []state.Event
	for l.want.Revision < got.Revision {
		cmd, meta := storetest.Step(l.want.Revision)
		next, some, err := state.Apply(l.want, cmd, meta)
		if err != nil {
			return err
		}
		slices.Reverse(some)
		l.want, events = next, append(some, events...)
	}
	if got.Revision > 0 && !reflect.DeepEqual(got, l.want) {
		return fmt.Errorf("state\n%+v, a replay gives\n%+v", got, l.want)
	}
	audit, err := s.Audit(context.Background(), "", 0, len(events))
	if err != nil {
		return err
	}
	if len(events) > 0 && !reflect.DeepEqual(audit, events) {
		return fmt.Errorf("audit\n%+v, a replay gives\n%+v", audit, events)
	}
	return nil
}
