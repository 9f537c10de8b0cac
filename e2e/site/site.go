// Package site runs Sluice the way it is run: the binary, started as a process
// of its own with a file, certificates and a state, on a plain listener
// (HTTP/1.1 and HTTP/2) and one over TLS, of 127.0.0.1.
package site

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"sluice/admin/client"
)

// Name is the host that the certificate is for, beside 127.0.0.1.
const Name = "sluice.test"

// Site is one installation. Use New.
type Site struct {
	Dir       string // holds all its files
	Binary    string
	Plain     string // address of the listener without TLS
	Secure    string // and of the one with it
	Authority *Authority
	Admin     *client.Client

	admin  string // address
	listed pids
}

// Build builds the binary into dir and returns its path.
func Build(ctx context.Context, dir string) (string, error) {
	binary := filepath.Join(dir, "sluice")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", binary, "sluice/cmd/sluice")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
}

// New makes a site in dir, whose file is still to be written.
func New(dir, binary string) (*Site, error) {
	authority, err := newAuthority(dir)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	s := &Site{Dir: dir, Binary: binary, Authority: authority, Plain: ports[0], Secure: ports[1], admin: ports[2]}
	s.Admin, err = client.New(client.Config{Base: "http://" + s.admin})
	return s, err
}

// Renew gives the listener with TLS a new certificate.
func (s *Site) Renew() (Issued, error) {
	return s.Authority.Issue(filepath.Join(s.Dir, "site.pem"), filepath.Join(s.Dir, "site.key"), Name, "127.0.0.1")
}

// Write writes the file: the listeners, and what the caller says of the rest.
func (s *Site) Write(rest string) error {
	return replace(s.File(), fmt.Appendf(nil, `listeners:
  - {name: plain, address: %q, protocols: [h1, h2c]}
  - {name: secure, address: %q, tls: {certificates: [{cert: site.pem, key: site.key}]}}
admin: {address: %q}
%s`, s.Plain, s.Secure, s.admin, rest))
}

// File is the path of the file.
func (s *Site) File() string { return filepath.Join(s.Dir, "sluice.yaml") }

// TLS returns what a client needs to trust the site: it asks for the site's
// name and for the protocols given.
func (s *Site) TLS(protocols ...string) *tls.Config {
	return &tls.Config{RootCAs: s.Authority.Pool, ServerName: Name, NextProtos: protocols}
}

// Log returns all that the site's processes have logged.
func (s *Site) Log() string {
	text, _ := os.ReadFile(s.logFile())
	return string(text)
}

func (s *Site) logFile() string { return filepath.Join(s.Dir, "log") }
func (s *Site) pidFile() string { return filepath.Join(s.Dir, "pid") }

// freePorts returns addresses that nobody listens on. They lie below those that
// the system gives to connections, so that none takes one before it is used.
func freePorts(n int) ([]string, error) {
	var found []string
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000))
		ln, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		defer ln.Close() // none is found twice
		if found = append(found, address); len(found) == n {
			return found, nil
		}
	}
	return nil, errors.New("1000 ports of 127.0.0.1 were tried, and too few are free")
}

// await looks every 10 ms whether a condition has come about, for the time
// given.
func await(ctx context.Context, limit time.Duration, condition func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
