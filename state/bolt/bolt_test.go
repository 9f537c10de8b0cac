package bolt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
	"go.uber.org/goleak"

	"sluice/state"
	"sluice/state/storetest"
)

// TestMain is also where a child process begins: see kill_test.go.
func TestMain(m *testing.M) {
	if child(os.Getenv(childEnv)) {
		return
	}
	goleak.VerifyTestMain(m)
}

func temp(t testing.TB) string { return filepath.Join(t.TempDir(), "sluice.db") }

func mustOpen(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) state.Store { return mustOpen(t, temp(t)) })
}

func TestReopen(t *testing.T) {
	path := temp(t)
	s := mustOpen(t, path)
	want, _ := storetest.Advance(t, s, 30)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, path)
	got, err := s.Load(t.Context())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("error %v, state\n%+v, want\n%+v", err, got, want)
	}
	storetest.Advance(t, s, 31)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, error %v; want 0600", info.Mode(), err)
	}
}

func TestOpenRefusals(t *testing.T) {
	refused := func(t *testing.T, path string, parts ...string) {
		t.Helper()
		s, err := open(path, 10*time.Millisecond)
		if err == nil {
			s.Close()
			t.Fatal("opened")
		}
		for _, part := range append(parts, path) {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error %q lacks %q", err, part)
			}
		}
	}
	t.Run("directory missing", func(t *testing.T) {
		refused(t, filepath.Join(t.TempDir(), "nowhere", "sluice.db"), "nowhere does not exist; create it")
	})
	t.Run("held", func(t *testing.T) {
		path := temp(t)
		mustOpen(t, path)
		refused(t, path, "another process holds it")
	})
	t.Run("not a state file", func(t *testing.T) {
		path := temp(t)
		if err := os.WriteFile(path, []byte(strings.Repeat("services: {}\n", 2000)), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(t, path, "no state file or is damaged")
	})
	for name, c := range map[string]struct {
		bucket, key, value string
		parts              []string
	}{
		"newer format":      {"meta", "format", "\x00\x00\x00\x00\x00\x00\x00\x02", []string{"newer build", "format 2", "up to 1"}},
		"format lost":       {"meta", "format", "", []string{"meta/format"}},
		"revision lost":     {"meta", "revision", "7", []string{"meta/revision", "1 bytes"}},
		"corrupt service":   {"services", "s1", `{"name":`, []string{"services/s1"}},
		"null service":      {"services", "s1", `null`, []string{`"s1" is empty`}},
		"null version":      {"services", "s1", `{"name":"s1","versions":{"v1":null}}`, []string{`"s1"`, `"v1"`}},
		"misnamed service":  {"services", "s1", `{"name":"s2"}`, []string{`"s1" calls itself "s2"`}},
		"service of future": {"services", "s1", `{"name":"s1","revision":99}`, []string{`"s1"`, "99"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := temp(t)
			s := mustOpen(t, path)
			storetest.Advance(t, s, 3)
			err := s.db.Load().Update(func(tx *bolt.Tx) error {
				return tx.Bucket([]byte(c.bucket)).Put([]byte(c.key), []byte(c.value))
			})
			if err := errors.Join(err, s.Close()); err != nil {
				t.Fatal(err)
			}
			refused(t, path, c.parts...)
		})
	}
}

func TestCorruptAuditNamesTheKey(t *testing.T) {
	s := mustOpen(t, temp(t))
	storetest.Advance(t, s, 3)
	err := s.db.Load().Update(func(tx *bolt.Tx) error { return tx.Bucket(auditBucket).Put(number(2), []byte("x")) })
	if err != nil {
		t.Fatal(err)
	}
	for _, before := range []uint64{0, 3} {
		if _, err := s.Audit(t.Context(), "", before, 10); err == nil || !strings.Contains(err.Error(), "audit/2") {
			t.Errorf("before %d: error %v", before, err)
		}
	}
}

func TestOnlyWhatChangedIsWritten(t *testing.T) {
	s := mustOpen(t, temp(t))
	storetest.Advance(t, s, 1)
	storetest.Advance(t, s, 2) // step 1 changes service s1
	read := func(name string) string {
		var v string
		err := s.db.Load().View(func(tx *bolt.Tx) error { v = string(tx.Bucket(servicesBucket).Get([]byte(name))); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if !strings.Contains(read("s0"), `"revision":1`) || !strings.Contains(read("s1"), `"revision":2`) {
		t.Errorf("s0 %s, s1 %s", read("s0"), read("s1"))
	}
}

func TestAuditIsPruned(t *testing.T) {
	s := mustOpen(t, temp(t))
	write := func(n int, keep uint64) {
		t.Helper()
		events := make([]state.Event, n)
		for i := range events {
			events[i] = state.Event{Service: "s", Revision: uint64(i + 1)}
		}
		err := s.db.Load().Update(func(tx *bolt.Tx) error { return appendAudit(tx.Bucket(auditBucket), events, keep) })
		if err != nil {
			t.Fatal(err)
		}
	}
	write(2000, 5000)
	for _, c := range []struct {
		add  int
		keep uint64
		want int
	}{{0, 5000, 2000}, {1, 2000, 2000}, {0, 700, 700}, {1, 700, 700}, {50, 10, 10}} {
		write(c.add, c.keep)
		events, err := s.Audit(t.Context(), "s", 0, 10_000)
		if err != nil || len(events) != c.want {
			t.Errorf("add %d, keep %d: %d events, error %v; want %d", c.add, c.keep, len(events), err, c.want)
		}
	}
	if events, err := s.Audit(t.Context(), "", 45, 2); err != nil || len(events) != 2 || events[0].Revision != 44 {
		t.Errorf("events %+v, error %v", events, err)
	}
}

// TestReadOnlyFile stands for a disk that became read-only under the process:
// the file opens, no write comes through, and the old state stays readable.
func TestReadOnlyFile(t *testing.T) {
	path := temp(t)
	s := mustOpen(t, path)
	want, _ := storetest.Advance(t, s, 3)
	s.Close()
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	s = &Store{}
	s.db.Store(db)
	defer s.Close()
	cmd, meta := storetest.Step(3)
	next, events, err := state.Apply(want, cmd, meta)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), next, events); err == nil || errors.Is(err, state.ErrConflict) {
		t.Errorf("error %v", err)
	}
	if got, err := s.Load(t.Context()); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("state %+v, error %v", got, err)
	}
}

func BenchmarkCommit(b *testing.B) {
	s := mustOpen(b, temp(b))
	st, err := s.Load(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		cmd, meta := storetest.Step(st.Revision)
		next, events, err := state.Apply(st, cmd, meta)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Commit(context.Background(), next, events); err != nil {
			b.Fatal(err)
		}
		st = next
	}
}

// TestReleaseAndReacquire hands the file to another process and back.
func TestReleaseAndReacquire(t *testing.T) {
	path := temp(t)
	s := mustOpen(t, path)
	defer s.Close()
	storetest.Advance(t, s, 3)
	if err := s.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Load(t.Context()); err == nil {
		t.Error("a released store is read")
	}
	if _, err := s.Audit(t.Context(), "", 0, 1); err == nil {
		t.Error("a released store's audit is read")
	}
	other := mustOpen(t, path)
	want, err := other.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd, meta := storetest.Step(3)
	next, events, err := state.Apply(want, cmd, meta)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Commit(t.Context(), next, events); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), next, events); err == nil {
		t.Error("a released store was written")
	}
	other.Close()
	if err := s.Reacquire(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(t.Context()); err != nil || got.Revision != next.Revision {
		t.Errorf("revision %d, %v; want %d", got.Revision, err, next.Revision)
	}
}
