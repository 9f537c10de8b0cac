package rig

import (
	"os"
	"testing"
	"time"
)

func TestParseParent(t *testing.T) {
	for _, tc := range []struct {
		stat string
		want int
	}{
		{"42 (nginx) S 7 42 42 0 -1", 7},
		{"42 (a) b) (c) R 1 42 42", 1},
	} {
		got, err := parseParent(tc.stat)
		if err != nil || got != tc.want {
			t.Errorf("parseParent(%q) = %d, %v; want %d", tc.stat, got, err, tc.want)
		}
	}
	for _, bad := range []string{"", "42 nginx S 7", "42 (nginx)", "42 (nginx) S"} {
		if got, err := parseParent(bad); err == nil {
			t.Errorf("parseParent(%q) = %d, want an error", bad, got)
		}
	}
}

func TestParseField(t *testing.T) {
	const rollup = "5647-7ffc ---p 00000000 00:00 0   [rollup]\nRss:                1624 kB\nPss:                 294 kB\nPss_Dirty:           112 kB\n"
	for label, want := range map[string]int64{"Rss:": 1624, "Pss:": 294} {
		if got, err := parseField(rollup, label); err != nil || got != want {
			t.Errorf("parseField(%q) = %d, %v; want %d", label, got, err, want)
		}
	}
	if _, err := parseField(rollup, "rchar:"); err == nil {
		t.Error("a missing label is no error")
	}
}

func TestOwnProcess(t *testing.T) {
	pids, err := Tree(os.Getpid())
	if err != nil || pids[0] != os.Getpid() {
		t.Fatalf("Tree = %v, %v; want this process first", pids, err)
	}
	before, err := CPUTime(pids[:1])
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Millisecond); time.Now().Before(end); {
	}
	after, err := CPUTime(pids[:1])
	if err != nil || after <= before {
		t.Errorf("CPU time went from %v to %v, %v; want a rise", before, after, err)
	}
	if m, err := MemoryOf(pids[:1]); err != nil || m.RSS <= 0 || m.PSS <= 0 {
		t.Errorf("MemoryOf = %+v, %v", m, err)
	}
	if n, err := BytesRead(os.Getpid()); err != nil || n <= 0 {
		t.Errorf("BytesRead = %d, %v", n, err)
	}
	if _, err := Tree(1 << 30); err == nil {
		t.Error("Tree of a process that doesn't exist is no error")
	}
}

func TestParseTicks(t *testing.T) {
	got, err := parseTicks("7 (a (b) c) S 1 7 7 0 -1 4194560 100 0 0 0 1234 567 8 9 20 0 1 0 33")
	if err != nil || got != (Ticks{User: 1234, System: 567}) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "7 (x) S 1", "7 (x) S 1 7 7 0 -1 4194560 100 0 0 0 u 567"} {
		if _, err := parseTicks(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
