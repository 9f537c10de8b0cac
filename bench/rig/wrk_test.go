package rig

import (
	"slices"
	"testing"
	"time"
)

func TestParseWrk(t *testing.T) {
	const out = `Running 2s test @ http://127.0.0.1:21002/200
  1 threads and 64 connections
Requests/sec:  33908.00
wrk-json {"requests":67816,"bytes":25000000,"duration_us":2000123,"p50_us":1890,"p99_us":4050,"max_us":9000,"errors":{"connect":1,"read":2,"write":3,"status":4,"timeout":5}}
`
	got, err := parseWrk(out)
	want := Result{Requests: 67816, Bytes: 25000000, DurationUS: 2000123, P50US: 1890, P99US: 4050, MaxUS: 9000,
		Errors: Errors{Connect: 1, Read: 2, Write: 3, Status: 4, Timeout: 5}}
	if err != nil || got != want {
		t.Errorf("parseWrk = %+v, %v; want %+v", got, err, want)
	}
	if got.Errors.Total() != 15 {
		t.Errorf("Total = %d, want 15", got.Errors.Total())
	}
	for name, bad := range map[string]string{
		"no counts":   "Running 2s test\nunable to connect\n",
		"cut off":     `wrk-json {"requests":67`,
		"no duration": `wrk-json {"requests":1}`,
	} {
		if r, err := parseWrk(bad); err == nil {
			t.Errorf("%s: parseWrk = %+v, want an error", name, r)
		}
	}
}

func TestLoadArgs(t *testing.T) {
	load := Load{URL: "http://127.0.0.1:1/", Connections: 64, Duration: 2 * time.Second, Timeout: 10 * time.Second, Cookie: "a=b"}
	want := []string{"wrk", "-t", "1", "-c", "64", "-d", "2s", "--timeout", "10s", "--latency", "-s", "x.lua", "-H", "Cookie: a=b", "http://127.0.0.1:1/"}
	if got := load.args("x.lua"); !slices.Equal(got, want) {
		t.Errorf("args = %q, want %q", got, want)
	}
}
