package rig

import (
	"bufio"
	"slices"
	"strings"
	"testing"
	"time"
)

// What h2load 1.52 prints, shortened where nothing is read.
const h2loadOutput = `starting benchmark...
TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256
Server Temp Key: X25519 253 bits
Application protocol: h2

finished in 2.06s, 8841.00 req/s, 2.50MB/s
requests: 17682 total, 17746 started, 17682 done, 17670 succeeded, 12 failed, 9 errored, 4 timeout
status codes: 17670 2xx, 0 3xx, 1 4xx, 2 5xx
traffic: 2.68MB (2807944) total, 1.43MB (1498314) headers (space savings 24.04%), 1.09MB (1137960) data
                     min         max         mean         sd        +/- sd
time for request:      563us    339.38ms     12.22ms     28.73ms    97.52%
`

func TestParseH2Load(t *testing.T) {
	got, err := parseH2Load(h2loadOutput)
	want := Result{Requests: 17682, Bytes: 2807944, DurationUS: 2060000, Errors: Errors{Read: 5, Status: 3, Timeout: 4}}
	if err != nil || got != want {
		t.Errorf("parseH2Load = %+v, %v; want %+v", got, err, want)
	}
	for name, tc := range map[string]struct{ old, new, want string }{
		"HTTP/1.1":      {"protocol: h2", "protocol: http/1.1", "Application protocol: h2"},
		"another suite": {"AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256"},
		"TLS 1.2":       {"TLSv1.3", "TLSv1.2", "TLSv1.3"},
		"cut off":       {"finished in", "", "didn't finish"},
		"no counts":     {"requests:", "", "no line"},
		"no answer":     {"17682 done", "0 done", "no answer"},
	} {
		_, err := parseH2Load(strings.Replace(h2loadOutput, tc.old, tc.new, 1))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error = %v, want %q", name, err, tc.want)
		}
	}
}

func TestParseTimes(t *testing.T) {
	got, err := parseTimes(bufio.NewScanner(strings.NewReader("1795403354346824\t200\t6737\n1795403354346823\t200\t12\n")))
	if err != nil || !slices.Equal(got, []int64{12, 6737}) {
		t.Errorf("parseTimes = %v, %v", got, err)
	}
	for _, bad := range []string{"1795403354346824\t200\n", "1\t200\tx\n"} {
		if got, err := parseTimes(bufio.NewScanner(strings.NewReader(bad))); err == nil {
			t.Errorf("parseTimes(%q) = %v, want an error", bad, got)
		}
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]int64, 100)
	for i := range hundred {
		hundred[i] = int64(i + 1)
	}
	for _, tc := range []struct {
		sorted  []int64
		percent int
		want    int64
	}{{nil, 50, 0}, {[]int64{7}, 50, 7}, {[]int64{7}, 99, 7}, {[]int64{1, 9}, 50, 1}, {hundred, 50, 50}, {hundred, 99, 99}, {hundred, 100, 100}} {
		if got := percentile(tc.sorted, tc.percent); got != tc.want {
			t.Errorf("percentile of %d values, %d%% = %d, want %d", len(tc.sorted), tc.percent, got, tc.want)
		}
	}
}

func TestH2LoadArgs(t *testing.T) {
	load := Load{URL: "https://127.0.0.1:1/", Connections: 16, Streams: 4, Duration: 2 * time.Second, Timeout: 10 * time.Second, Cookie: "a=b"}
	want := []string{"h2load", "-t", "1", "-c", "16", "-m", "4", "-D", "2s", "-N", "10s", "--npn-list", "h2", "--log-file", "x.times",
		"-H", "Cookie: a=b", "https://127.0.0.1:1/"}
	if got := load.h2loadArgs("x.times"); !slices.Equal(got, want) {
		t.Errorf("args = %q, want %q", got, want)
	}
}

func TestParseStubStatus(t *testing.T) {
	const text = "Active connections: 2 \nserver accepts handled requests\n 16 16 31870 \nReading: 0 Writing: 1 Waiting: 1 \n"
	if got, err := parseStubStatus(text); err != nil || got != 31870 {
		t.Errorf("parseStubStatus = %d, %v", got, err)
	}
	for _, bad := range []string{"", "<html>404", "server accepts handled requests\n 16 16\n"} {
		if got, err := parseStubStatus(bad); err == nil {
			t.Errorf("parseStubStatus(%q) = %d, want an error", bad, got)
		}
	}
}
