package main

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"sluice/admin/api"
	"sluice/state"
)

func TestPercent(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0%", 1: "100%", 0.123: "12.3%", 0.05: "5.0%", 0.0001: "0.01%", 0.00001: "<0.01%", 0.0025: "0.25%",
		0.9999: "99.99%", 0.99999: ">99.99%", 0.995: "99.50%", 0.01: "1.0%", 2: "100%", -1: "0%",
	} {
		if got := percent(f); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0", 999: "999", 1000: "1.0k", 1234: "1.2k", 9949: "9.9k", 9950: "10k", 34567: "35k", 999_499: "999k",
		999_500: "1.0M", 5_600_000: "5.6M", 7_000_000_000: "7.0G", math.MaxUint64: "18E",
	} {
		if got := count(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "-", -1: "-", 500: "500ns", 4_560: "4.6µs", 619_653: "620µs", 4_230_000: "4.2ms", 42_300_000: "42ms",
		1_234 * time.Millisecond: "1.2s", 75 * time.Second: "1m15s",
	} {
		if got := span(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}

func TestBrief(t *testing.T) {
	for text, want := range map[string]string{
		"30m0s": "30m", "8h0m0s": "8h", "1h30m0s": "1h30m", "90s": "90s", "1m30s": "1m30s", "drain:30m0s": "drain:30m", "move": "move", "10s": "10s",
	} {
		if got := brief(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestTable sees that what people wrote can't break a table or a terminal.
func TestTable(t *testing.T) {
	var out bytes.Buffer
	table := newTable(&out, "WHO", "WHY")
	table.row("alice", "a\tb\nc\x1b[2J")
	table.row("bob", "")
	if err := table.end(); err != nil {
		t.Fatal(err)
	}
	want := "WHO    WHY\nalice  \"a\\tb c\\x1b[2J\"\nbob\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}

func TestMode(t *testing.T) {
	now := time.Unix(1000, 0)
	for want, v := range map[string]api.Version{
		"dark":         {Mode: state.Dark},
		"draining":     {Mode: state.Draining},
		"draining 28m": {Mode: state.Draining, DrainUntil: now.Add(28 * time.Minute)},
		"draining 1s":  {Mode: state.Draining, DrainUntil: now},
	} {
		if got := modeText(v, now); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestMessages(t *testing.T) {
	at := stamp(time.Unix(0, 0))
	for want, m := range map[string]api.Message{
		at + "  web: v2 raised, by ci: try it": {Kind: api.KindState, Data: json.RawMessage(
			`{"at":"1970-01-01T00:00:00Z","service":"web","detail":"v2 raised","by":"ci","why":"try it"}`)},
		at + "  web v1: endpoint a:1 down: refused": {Kind: api.KindHealth, Data: json.RawMessage(
			`{"at":"1970-01-01T00:00:00Z","service":"web","version":"v1","endpoint":"a:1","kind":"down","detail":"refused"}`)},
		at + "  the file was refused: line 3":        {Kind: api.KindConfig, Data: json.RawMessage(`{"at":"1970-01-01T00:00:00Z","error":"line 3"}`)},
		at + "  the file was read anew, revision 7":  {Kind: api.KindConfig, Data: json.RawMessage(`{"at":"1970-01-01T00:00:00Z","revision":7}`)},
		"5 events were missed: see sluice status":    {Kind: api.KindLost, Data: json.RawMessage(`{"count":5}`)},
		"some events were missed: see sluice status": {Kind: api.KindLost, Data: json.RawMessage(`{}`)},
		"rollout: {}": {Kind: "rollout", Data: json.RawMessage(`{}`)},
		"health: it is not what this program knows of it": {Kind: api.KindHealth, Data: json.RawMessage(`it is not what this program knows of it`)},
	} {
		if got := messageText(m); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestChange covers what only a bad day answers.
func TestChange(t *testing.T) {
	var out bytes.Buffer
	if err := printChange(&out, &api.Change{Service: "web", Changed: true, Before: nil, After: map[string]int{"v1": 3}}); err != nil {
		t.Fatal(err)
	}
	want := "SERVICE  VERSION  WEIGHT BEFORE  AFTER  SHARE BEFORE  AFTER\nweb      v1       0              3      0%            100%\nrevision 0, epoch 0\n"
	if out.String() != want {
		t.Errorf("%s, want %s", out.String(), want)
	}
}
