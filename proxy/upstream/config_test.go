package upstream

import (
	"strings"
	"testing"
	"time"
)

func TestEndpointForms(t *testing.T) {
	for in, want := range map[string][2]string{
		"10.0.1.2:8080":      {"tcp", "10.0.1.2:8080"},
		"[::1]:80":           {"tcp", "[::1]:80"},
		"[fe80::1%eth0]:80":  {"tcp", "[fe80::1%eth0]:80"},
		"web_1.internal:1":   {"tcp", "web_1.internal:1"},
		"web.internal.:8080": {"tcp", "web.internal.:8080"},
		"unix:/run/web.sock": {"unix", "/run/web.sock"},
	} {
		network, address, err := parseEndpoint(in)
		if err != nil || network != want[0] || address != want[1] {
			t.Errorf("parseEndpoint(%q) = %q, %q, %v; want %q", in, network, address, err, want)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	ok := func() Config { return Config{Endpoints: []string{"127.0.0.1:1"}} }
	for _, tt := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Endpoints = []string{"dns://web"} }, `endpoint "dns://web": not dns://host:port, e.g. dns://web.internal:8080`},
		{func(c *Config) { c.Endpoints = []string{"dns+srv://web:80"} }, `endpoint "dns+srv://web:80": not dns+srv://_service._protocol.host, e.g. dns+srv://_http._tcp.web.internal`},
		{func(c *Config) { c.DNSServers = []string{"ns.internal:53"} }, `DNS server "ns.internal:53" is not an IP address with a port, e.g. 10.0.0.2:53`},
		{func(c *Config) { c.Balance = "best" }, `balance "best" is none of least_request, round_robin, hash`},
		{func(c *Config) { c.SlowStart = -1 }, `slow start is negative; leave it out (0) for the default`},
		{func(c *Config) { c.Endpoints = []string{"http://web:80"} }, `endpoint "http://web:80": an address without "http://" is wanted, e.g. 10.0.1.2:8080`},
		{func(c *Config) { c.Endpoints = []string{"web"} }, `endpoint "web": not host:port, e.g. 10.0.1.2:8080, [::1]:8080 or unix:/run/web.sock`},
		{func(c *Config) { c.Endpoints = []string{"::1:80"} }, `endpoint "::1:80": not host:port, e.g. 10.0.1.2:8080, [::1]:8080 or unix:/run/web.sock`},
		{func(c *Config) { c.Endpoints = []string{""} }, `endpoint "": not host:port, e.g. 10.0.1.2:8080, [::1]:8080 or unix:/run/web.sock`},
		{func(c *Config) { c.Endpoints = []string{"web:http"} }, `endpoint "web:http": port "http" is not a number from 1 to 65535`},
		{func(c *Config) { c.Endpoints = []string{"web:0"} }, `endpoint "web:0": port "0" is not a number from 1 to 65535`},
		{func(c *Config) { c.Endpoints = []string{"web:65536"} }, `endpoint "web:65536": port "65536" is not a number from 1 to 65535`},
		{func(c *Config) { c.Endpoints = []string{":80"} }, `endpoint ":80": "" is neither an IP address nor a host name`},
		{func(c *Config) { c.Endpoints = []string{"a b:80"} }, `endpoint "a b:80": "a b" is neither an IP address nor a host name`},
		{func(c *Config) { c.Endpoints = []string{"-a:80"} }, `endpoint "-a:80": "-a" is neither an IP address nor a host name`},
		{func(c *Config) { c.Endpoints = []string{"a..b:80"} }, `endpoint "a..b:80": "a..b" is neither an IP address nor a host name`},
		{func(c *Config) { c.Endpoints = []string{strings.Repeat("a.", 127) + ":80"} }, `is neither an IP address nor a host name`},
		{func(c *Config) { c.Endpoints = []string{"unix:web.sock"} }, `endpoint "unix:web.sock": the path of a Unix socket is absolute and at most 107 bytes long, e.g. unix:/run/web.sock`},
		{func(c *Config) { c.Endpoints = []string{"unix:/" + strings.Repeat("a", 107)} }, `the path of a Unix socket is absolute and at most 107 bytes long`},
		{func(c *Config) { c.Endpoints = []string{"web:80", "web:80"} }, `endpoint "web:80" is listed twice; list it once`},
		{func(c *Config) { c.ConnectTimeout = -1 }, `connect timeout is negative; leave it out (0) for the default`},
		{func(c *Config) { c.MaxConnections = -1 }, `max connections is negative; leave it out (0) for the default`},
		{func(c *Config) { c.Health.Fall = -1 }, `health fall is negative; leave it out (0) for the default`},
		{func(c *Config) { c.Outlier.MaxPercent = 101 }, `outlier max percent is 101; it is at most 100`},
		{func(c *Config) { c.Health.Path = "healthz" }, `health path "healthz" is not a path, e.g. /healthz`},
		{func(c *Config) { c.Health.Path = "/a b" }, `health path "/a b" is not a path, e.g. /healthz`},
		{func(c *Config) { c.Health.Path = "/%zz" }, `health path "/%zz" is not a path, e.g. /healthz`},
		{func(c *Config) { c.Health.Path = "/a#b" }, `health path "/a#b" is not a path, e.g. /healthz`},
		{func(c *Config) { c.Health.Host = "a\r\nb" }, `health host "a\r\nb" is not a host, e.g. shop.example.com`},
	} {
		cfg := ok()
		tt.change(&cfg)
		err := cfg.Validate()
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got  %v\nwant %s", err, tt.want)
			continue
		}
		if _, err := New(cfg, Deps{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("New: got %v, want %s", err, tt.want)
		}
	}
}

func TestValidateTellsAllAtOnce(t *testing.T) {
	err := Config{Endpoints: []string{"a", "b"}, IdleTimeout: -1}.Validate()
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("got %v, want three errors", err)
	}
}

func TestDefaults(t *testing.T) {
	got := Config{}.withDefaults()
	if got.ConnectTimeout != time.Second || got.Health.Interval != 2*time.Second || got.Health.Fall != 3 || got.Health.Rise != 2 ||
		got.Outlier.Consecutive != 5 || got.Outlier.Base != 30*time.Second || got.Outlier.MaxPercent != 50 || got.MaxConnections != 0 {
		t.Errorf("defaults: %+v", got)
	}
	set := Config{ConnectTimeout: time.Minute, Health: HealthConfig{Fall: 1}}.withDefaults()
	if set.ConnectTimeout != time.Minute || set.Health.Fall != 1 || set.Health.Rise != 2 {
		t.Errorf("set fields were replaced: %+v", set)
	}
}
