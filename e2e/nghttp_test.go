package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestNghttp asks by the client of the HTTP/2 library that others are held to.
func TestNghttp(t *testing.T) {
	need(t, "nghttp")
	st := setUp(t)
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("secure=%v", secure), func(t *testing.T) {
			o := command(t, "nghttp", "--stat", "--null-out", "--multiply=50", st.url(secure, "/bytes?n=70000"))
			if o.err != nil || strings.Count(o.stdout, " 200 ") != 50 {
				t.Errorf("%v\n%s%s", o.err, o.stdout, o.stderr)
			}
			body := file(t, 500_000)
			o = command(t, "nghttp", "--verbose", "--null-out", "--data="+body, "--trailer=x-sum: 7", st.url(secure, "/echo"))
			if o.err != nil || !strings.Contains(o.stdout, ":status: 200") || !strings.Contains(o.stdout, "x-seen-via: 2 sluice") {
				t.Errorf("%v\n%s%s", o.err, o.stdout, o.stderr)
			}
			if strings.Contains(o.stdout, "GOAWAY") && !strings.Contains(o.stdout, "NO_ERROR") || strings.Contains(o.stdout, "RST_STREAM") {
				t.Errorf("a fault was found:\n%s", o.stdout)
			}
		})
	}
}

// TestNghttpWithNarrowWindows: with a narrow window, every kilobyte waits for
// a WINDOW_UPDATE.
func TestNghttpWithNarrowWindows(t *testing.T) {
	need(t, "nghttp")
	st := setUp(t)
	o := command(t, "nghttp", "--stat", "--null-out", "--window-bits=10", "--connection-window-bits=16", "--header-table-size=0",
		"--max-concurrent-streams=1", "--multiply=3", st.url(true, "/bytes?n=20000"))
	if o.err != nil || strings.Count(o.stdout, " 200 ") != 3 {
		t.Errorf("%v\n%s%s", o.err, o.stdout, o.stderr)
	}
}

// TestH2load loads both listeners, over HTTP/2 and HTTP/1.1.
func TestH2load(t *testing.T) {
	need(t, "h2load")
	st := setUp(t)
	done := regexp.MustCompile(`requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, 0 failed, 0 errored, 0 timeout`)
	for _, c := range []struct {
		name, path string
		secure     bool
		args       []string
	}{
		{"h2c", "/bytes?n=200", false, []string{"-n", "5000", "-c", "16", "-m", "32"}},
		{"h2", "/bytes?n=200", true, []string{"-n", "5000", "-c", "16", "-m", "32"}},
		{"h2, one connection", "/bytes?n=200", true, []string{"-n", "2000", "-c", "1", "-m", "100"}},
		{"h2, large", "/bytes?n=1000000", true, []string{"-n", "64", "-c", "4", "-m", "8"}},
		{"h2, narrow windows", "/bytes?n=100000", true, []string{"-n", "64", "-c", "4", "-m", "8", "-w", "10", "-W", "16"}},
		{"h2, bodies", "/echo", true, []string{"-n", "200", "-c", "4", "-m", "8", "-d", file(t, 100_000)}},
		{"HTTP/1.1", "/bytes?n=200", false, []string{"--h1", "-n", "2000", "-c", "16"}},
		{"HTTP/1.1 TLS", "/bytes?n=200", true, []string{"--h1", "-n", "2000", "-c", "16"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := command(t, "h2load", append(c.args, st.url(c.secure, c.path))...)
			n := c.args[1]
			if c.args[0] == "--h1" {
				n = c.args[2]
			}
			m := done.FindStringSubmatch(o.stdout)
			if o.err != nil || m == nil || m[1] != n || m[4] != n {
				t.Errorf("%v\n%s%s", o.err, o.stdout, o.stderr)
			}
			if !strings.Contains(o.stdout, "status codes: "+n+" 2xx, 0 3xx, 0 4xx, 0 5xx") {
				t.Errorf("other answers than 200:\n%s", o.stdout)
			}
		})
	}
}
