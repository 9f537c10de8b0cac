package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sluice/admin/client"
	"sluice/cmd/sluice/server"
	"sluice/configs"
)

// stage is all that runs during a demo.
type stage struct {
	pace     pace
	backends []*backend
	reports  chan struct{}  // closed when slow requests may be answered
	server   *server.Server // nil once it has been stopped
	admin    *client.Client
	load     *load

	dir, file string // the file, in a directory that close removes
	proxyURL  string
	adminURL  string
}

// declared are the addresses at which the example file expects the versions.
var declared = map[[2]string]string{
	{"web", "v1"}: "127.0.0.1:9001", {"web", "v2"}: "127.0.0.1:9002", {"web", "v3"}: "127.0.0.1:9003",
	{"shop", "v1"}:  "127.0.0.1:9021",
	{"books", "v1"}: "127.0.0.1:9031", {"books", "v2"}: "127.0.0.1:9032", {"books", "v3"}: "127.0.0.1:9033", {"books", "v4"}: "127.0.0.1:9034",
	{"api", "v1"}: "127.0.0.1:9011", {"api", "v2"}: "127.0.0.1:9012", {"api", "v3"}: "127.0.0.1:9013",
}

// What the example file says of the proxy's own addresses and its key.
const (
	declaredListen = "127.0.0.1:8080"
	declaredAdmin  = "127.0.0.1:9900"
	declaredSecret = "${OVERRIDE_SECRET:-change-me-change-me-change-me-32}"
)

// What the example file's policy asks to be shown before a promotion, and what is
// enough where only the way of it is to be seen.
const (
	carefully = "guards: {ceiling: 0.5%}"
	hastily   = "guards: {ceiling: 10%, margins: {100%: 20}}"
)

// build starts the servers and the proxy; the load is made and not started.
func build(ctx context.Context, opt Options) (*stage, error) {
	s := &stage{pace: paceOf(opt.Fast), reports: make(chan struct{})}
	if err := s.open(ctx, opt); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// open starts one part after the other.
func (s *stage) open(ctx context.Context, opt Options) error {
	if err := s.startBackends(); err != nil {
		return err
	}
	listen, admin := address(opt.Listen, declaredListen, opt.Keep), address(opt.Admin, declaredAdmin, opt.Keep)
	if opt.Fast {
		opt.edit = append(opt.edit, carefully, hastily)
	}
	if err := s.writeFile(listen, admin, opt.edit...); err != nil {
		return err
	}
	file, err := configs.Load(s.file)
	if err != nil {
		return err
	}
	// Without a log: the commentary tells what happens, and the clients see
	// what goes wrong.
	if s.server, err = server.Start(ctx, file, server.Options{Version: opt.Version}); err != nil {
		return err
	}
	s.proxyURL, s.adminURL = urlOf(s.server.Addrs()["demo"]), urlOf(s.server.AdminAddr())
	if s.admin, err = client.New(client.Config{Base: s.adminURL, Agent: "sluice-demo"}); err != nil {
		return err
	}
	s.load = newLoad(s.proxyURL, s.pace)
	return nil
}

// registered are the versions that CI registers in the story.
var registered = [][2]string{{"shop", "v2"}, {"shop", "v3"}, {"shop", "v4"}, {"shop", "v5"}}

// startBackends starts the versions, each a little different.
func (s *stage) startBackends() error {
	for _, key := range slices.AppendSeq(slices.Clone(registered), maps.Keys(declared)) {
		b := &backend{service: key[0], version: key[1], latency: 5 * time.Millisecond, reports: s.reports}
		switch key {
		case [2]string{"web", "v2"}:
			b.latency = 4 * time.Millisecond
		case [2]string{"web", "v3"}:
			b.failEvery = 3
		case [2]string{"books", "v2"}:
			b.broken = "/books/pay"
		case [2]string{"books", "v4"}:
			b.priceAsText = true
		case [2]string{"shop", "v3"}:
			b.failEvery = 20
		case [2]string{"shop", "v4"}:
			b.latency = time.Duration(float64(b.latency) * s.pace.Slower)
		}
		if err := b.listen(); err != nil {
			return err
		}
		s.backends = append(s.backends, b)
	}
	return nil
}

// backend returns the server of a version.
func (s *stage) backend(service, version string) *backend {
	for _, b := range s.backends {
		if b.service == service && b.version == version {
			return b
		}
	}
	return nil
}

// address returns where to listen: as wanted, else at the usual address if the
// demo stays up and nobody is there, else at any free port.
func address(wanted, usual string, keep bool) string {
	if wanted != "" {
		return wanted
	}
	if keep {
		if ln, err := net.Listen("tcp", usual); err == nil {
			ln.Close()
			return usual
		}
	}
	return "127.0.0.1:0"
}

// writeFile writes the example file, with the addresses of this demo and a key
// of its own, to a new directory. More replacements may be given, old and new by
// turns.
func (s *stage) writeFile(listen, admin string, edit ...string) error {
	text, err := configs.Example("demo")
	if err != nil {
		return err
	}
	pairs := append(edit, declaredListen, listen, declaredAdmin, admin, declaredSecret, rand.Text()+rand.Text())
	for _, b := range s.backends {
		if declared[[2]string{b.service, b.version}] == "" {
			continue
		}
		pairs = append(pairs, declared[[2]string{b.service, b.version}], b.addr)
	}
	if s.dir, err = os.MkdirTemp("", "sluice-demo-"); err != nil {
		return fmt.Errorf("a directory for the file: %w", err)
	}
	s.file = filepath.Join(s.dir, "demo.yaml")
	return os.WriteFile(s.file, []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600)
}

// urlOf returns the URL of a listener. One on all addresses is called by the
// loopback's.
func urlOf(a net.Addr) string {
	host, port, err := net.SplitHostPort(a.String())
	if ip := net.ParseIP(host); err != nil || ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// stop ends the proxy as a SIGTERM would.
func (s *stage) stop() error {
	if s.server == nil {
		return nil
	}
	err := s.server.Stop()
	s.server = nil
	return err
}

// close ends whatever runs and removes the file.
func (s *stage) close() {
	if s.load != nil {
		s.load.close()
	}
	if s.admin != nil {
		s.admin.Close()
	}
	// What was cut off, the clients saw; nobody is left to be told.
	_ = s.stop()
	for _, b := range s.backends {
		b.close()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir) // the system clears its directory for temporary files
	}
}
