package main

import (
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/bench/peers"
	"sluice/bench/rig"
)

func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{4}, spread{4, 4, 4}},
		{[]float64{9, 1}, spread{5, 1, 9}},
		{[]float64{3, 1, 2}, spread{2, 1, 3}},
		{[]float64{4, 1, 3, 2}, spread{2.5, 1, 4}},
	} {
		if got := spreadOf(tc.values); got != tc.want {
			t.Errorf("spreadOf(%v) = %v, want %v", tc.values, got, tc.want)
		}
	}
	if got := (spread{2.345, 1, 3}).show(1); got != "2.3 (1.0–3.0)" {
		t.Errorf("show = %s", got)
	}
}

// A round in which the whole machine was slow must not move the ratio.
func TestRatiosArePaired(t *testing.T) {
	c := cell{Protocol: inClear, Size: peers.Sizes()[0], Connections: 64}
	samples := []sample{
		{Peer: "sluice", Cell: c, Round: 0, CPUUS: 10}, {Peer: "haproxy", Cell: c, Round: 0, CPUUS: 20},
		{Peer: "sluice", Cell: c, Round: 1, CPUUS: 100}, {Peer: "haproxy", Cell: c, Round: 1, CPUUS: 200},
		{Peer: "sluice", Cell: c, Round: 2, CPUUS: 12}, {Peer: "haproxy", Cell: c, Round: 2, CPUUS: 20},
		{Peer: "sluice", Cell: c, Round: 3, CPUUS: 12}, // haproxy is missing here
	}
	got, ok := ratioIn(samples, c, "sluice", "haproxy")
	if want := (spread{0.5, 0.5, 0.6}); !ok || got != want {
		t.Errorf("ratioIn = %v, %v; want %v", got, ok, want)
	}
	if _, ok := ratioIn(samples, c, "sluice", "caddy"); ok {
		t.Error("a ratio to a peer that wasn't measured")
	}
}

func TestBetween(t *testing.T) {
	at := time.Unix(100, 0)
	a := reading{at: at, cpu: time.Second, answered: 1000}
	b := reading{at: at.Add(2 * time.Second), cpu: 2 * time.Second, answered: 51_000}
	s, err := between(a, b)
	if err != nil || s.CPUUS != 20 || s.RPS != 25_000 || s.Busy != 0.5 {
		t.Errorf("between = %+v, %v", s, err)
	}
	if _, err := between(a, a); err == nil {
		t.Error("no answers between the readings is no error")
	}
}

func TestFlags(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"-sizes 7", "unknown \"7\"; known are 200, 10k, 1m"},
		{"-connections 8,x", "\"x\" is not a number"},
		{"-rounds 0", "-rounds is 1 or more"},
		{"-span 2500ms", "whole number of seconds"},
		{"-only tls,h3", "unknown \"h3\"; known are h1, tls, h2, idle, routing"},
		{"-peers squid", "unknown peer \"squid\""},
		{"extra", "unexpected argument"},
	} {
		if _, err := parseFlags(strings.Fields(tc.args)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error = %v, want %q", tc.args, err, tc.want)
		}
	}
	o, err := parseFlags([]string{"-sluice", filepath.Join(t.TempDir(), "none"), "-quick"})
	if err != nil || len(o.cells()) != 8 || o.rounds != 3 {
		t.Errorf("-quick: %d cells, %d rounds, %v; want 8 and 3", len(o.cells()), o.rounds, err)
	}
	for _, p := range o.peers {
		if p.Name == "sluice" {
			t.Error("sluice is measured without a binary")
		}
	}
}

func TestPartsAreRunAlone(t *testing.T) {
	o, err := parseFlags([]string{"-only", "tls,h2"})
	if err != nil || o.out != filepath.Join("bin", "bench") {
		t.Fatalf("-only writes into %q, %v; want that the whole report stays", o.out, err)
	}
	var got []string
	for _, c := range o.cells() {
		got = append(got, c.String())
	}
	want := []string{
		"TLS, HTTP/1.1, 200 B, 64 connections, pinned",
		"TLS, HTTP/1.1, 10 KB, 64 connections, pinned",
		"TLS, HTTP/2, 200 B, 16 connections × 4 streams, pinned",
		"TLS, HTTP/2, 200 B, 16 connections × 32 streams, pinned",
	}
	if !slices.Equal(got, want) {
		t.Errorf("cells %q, want %q", got, want)
	}
	if o, err = parseFlags(nil); err != nil || o.out != "bench" || len(o.cells()) != 14 {
		t.Errorf("the whole is %d cells into %q, %v; want 14 into bench", len(o.cells()), o.out, err)
	}
}

// Every cell over TLS takes a peer's process with a certificate and no other.
func TestCellsTakeTheirPeers(t *testing.T) {
	o, err := parseFlags(nil)
	if err != nil {
		t.Fatal(err)
	}
	o.peers = peers.All("/bin/sluice", "/bin/bench")
	taken := make(map[string]int)
	for _, c := range o.cells() {
		for _, p := range o.variants(&peers.Certificate{}) {
			if !c.takes(p) {
				continue
			}
			if c.Protocol.secure() != (p.TLS != nil) {
				t.Errorf("%v takes %s, TLS %v", c, p.Name, p.TLS != nil)
			}
			taken[p.Name]++
		}
	}
	want := map[string]int{"sluice": 14, "haproxy": 14, "nginx": 14, "caddy": 14, "haproxy-splice": 1, "nginx-defaults": 1, "floor": 3}
	if !maps.Equal(taken, want) {
		t.Errorf("cells of each peer: %v, want %v", taken, want)
	}
}

func TestReportIsWhole(t *testing.T) {
	o := options{out: t.TempDir(), parts: allParts(), sizes: peers.Sizes(), conns: []int{64}, peers: peers.All("/bin/sluice", "/bin/bench")}
	r := report{Env: env{Begun: time.Unix(0, 0).UTC(), Command: "go run ./bench"}, Micro: "BenchmarkDecide 300 ns"}
	for _, c := range o.cells() {
		r.Samples = append(r.Samples, sample{Peer: "sluice", Cell: c, CPUUS: 15}, sample{Peer: "haproxy", Cell: c, CPUUS: 20},
			sample{Peer: "nginx", Cell: c, CPUUS: 25})
	}
	r.Samples[1].Errors.Timeout = 3
	r.Idles = []idle{
		{Peer: "sluice", Protocol: inClear, Connections: 4000, Empty: rig.Memory{PSS: 10 << 20}, Held: rig.Memory{PSS: 20 << 20}},
		{Peer: "sluice", Protocol: http2, Connections: 4000, Empty: rig.Memory{PSS: 10 << 20}, Held: rig.Memory{PSS: 30 << 20}},
	}
	if err := writeReport(o, r); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(o.out, "RESULTS.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"200 B, 64 connections, pinned: at most 0.8 of haproxy's CPU time: **kept**, 0.75",
		"1 MB, 64 connections, pinned: at most 0.5 of nginx's CPU time: **missed**, 0.60",
		"haproxy, 200 B, 64 connections, pinned, round 1: {Connect:0 Read:0 Write:0 Status:0 Timeout:3}",
		"| sluice | 15.0 (15.0–15.0) | 0% | 0.75 (0.75–0.75) | 0.60 (0.60–0.60) |",
		"TLS, HTTP/2, 200 B, 16 connections × 32 streams, pinned: at most 0.8 of haproxy's CPU time: **kept**, 0.75",
		"### TLS, HTTP/1.1, 10 KB, 64 connections, pinned", "plots/cpu-tls.svg", "plots/cpu-h2.svg",
		"| sluice | HTTP/1.1 | 10.0 | 20.0 | 2.6 |", "| sluice | TLS, HTTP/2 | 10.0 | 30.0 | 5.1 |",
		"plots/cpu-1m.svg", "| date | 1970-01-01 00:00 UTC", "BenchmarkDecide 300 ns",
		"of nginx-defaults's CPU time: **not measured** in this run",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	for _, name := range []string{"plots/cpu-200.svg", "plots/cpu-10k.svg", "plots/cpu-tls.svg", "plots/cpu-h2.svg", "samples.json"} {
		if _, err := os.Stat(filepath.Join(o.out, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestPlotIsXML(t *testing.T) {
	svg := drawBars("a < b", []group{{Title: "64 & more", Bars: []bar{{Label: "x", Value: spread{2, 1, 3}}, {Label: "none"}}}, {Title: "empty"}})
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, svg)
		}
	}
	if strings.Contains(drawBars("", []group{{Bars: []bar{{}}}}), "NaN") {
		t.Error("a plot of zeros holds NaN")
	}
}

func TestBenchLines(t *testing.T) {
	const out = "goos: linux\nBenchmarkDecide/services=10 \t 1 ns/op\nPASS\nok sluice/routing 1s\n"
	if got, want := benchLines(out), "BenchmarkDecide/services=10 \t 1 ns/op\n"; got != want {
		t.Errorf("benchLines = %q, want %q", got, want)
	}
}

func TestPerConnection(t *testing.T) {
	i := idle{Connections: 4000, Empty: rig.Memory{PSS: 1000}, Held: rig.Memory{PSS: 5000}}
	if got := i.PerConnection(); math.Abs(got-1) > 1e-9 {
		t.Errorf("PerConnection = %v, want 1", got)
	}
}

func TestRelayCopiesBothWays(t *testing.T) {
	a, b := net.Pipe()
	c, d := net.Pipe()
	done := make(chan struct{}, 2)
	go func() { pump(c, b); done <- struct{}{} }()
	go func() { pump(b, c); done <- struct{}{} }()
	go func() { _, _ = a.Write([]byte("ping")) }()
	got := make([]byte, 4)
	if _, err := io.ReadFull(d, got); err != nil || string(got) != "ping" {
		t.Fatalf("%q, %v", got, err)
	}
	go func() { _, _ = d.Write([]byte("pong")) }()
	if _, err := io.ReadFull(a, got); err != nil || string(got) != "pong" {
		t.Fatalf("%q, %v", got, err)
	}
	a.Close()
	<-done
	<-done
	d.Close()
}
