// Package peers starts the servers that the benchmarks compare, each on the
// same topology: one listener, two backends at 95 to 5, cookie pins, keep-alive
// both ways, timeouts, health checks where the peer has them, no access log.
// Their configurations are the templates beside this file.
package peers

import (
	"context"
	"crypto/tls"
	"debug/buildinfo"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"sluice/bench/rig"
)

// CookieName is the pin cookie's name at every peer.
const CookieName = "sluice_web"

//go:embed *.tmpl
var templates embed.FS

// Peer is one way to proxy that is compared.
type Peer struct {
	Name     string
	About    string // what differs from the others, for the report
	Programs []string
	// Template is the name of its configuration, without ".tmpl"; "" for none.
	Template string
	// LargeOnly keeps the peer to answers of 1 MB at 64 connections: a variant of
	// another peer that differs there alone.
	LargeOnly bool
	// Floor marks a relay that decides nothing: what the kernel costs.
	Floor bool
	// TLS is what the peer's listener shows its clients, who speak HTTP/2 or
	// HTTP/1.1 by ALPN; nil: it speaks HTTP/1.1 in the clear.
	TLS *Certificate

	change  func(*settings)
	command func(conf string, s settings) []string
	version []string // the command that prints its version
	built   string   // or the path of a Go program, which bears its commit
}

// settings are what the templates are filled with.
type settings struct {
	Listen, Admin, V1, V2, Dir, CookieName string
	Weights                                Weights
	TLS                                    *Certificate // nil: none
	Splice, DefaultBuffers                 bool
	Nineteen                               [19]struct{}
}

// Weights are the shares of new sessions at the start.
type Weights struct{ V1, V2 int }

// All returns the peers, Sluice as the given binary and the floor as the given
// program, which relays when called with "relay LISTEN BACKEND".
func All(sluice, relay string) []Peer {
	haproxy := Peer{Name: "haproxy", Programs: []string{"haproxy"}, Template: "haproxy",
		About:   "weights and `cookie insert indirect nocache`; active checks; copies bodies through its 16 KB buffers",
		command: func(conf string, _ settings) []string { return []string{"haproxy", "-db", "-f", conf} },
		version: []string{"haproxy", "-v"}}
	haproxySplice := haproxy
	haproxySplice.Name, haproxySplice.LargeOnly = "haproxy-splice", true
	haproxySplice.About = "haproxy with `option splice-auto` and `option splice-response`; measured at 1 MB and 64 connections alone"
	haproxySplice.change = func(s *settings) { s.Splice = true }

	nginx := Peer{Name: "nginx", Programs: []string{"nginx"}, Template: "nginx",
		About: "`split_clients` and `map` on the cookie; passive health checks alone; 8 buffers of 32 KB a connection, which costs it half of what its default costs at 1 MB",
		command: func(conf string, s settings) []string {
			return []string{"nginx", "-e", "stderr", "-p", s.Dir, "-c", conf}
		},
		version: []string{"nginx", "-v"}}
	nginxDefaults := nginx
	nginxDefaults.Name, nginxDefaults.LargeOnly = "nginx-defaults", true
	nginxDefaults.About = "nginx with its default buffers, 8 of 4 KB; measured at 1 MB and 64 connections alone"
	nginxDefaults.change = func(s *settings) { s.DefaultBuffers = true }

	return []Peer{
		{Name: "sluice", Programs: []string{sluice}, Template: "sluice",
			About:   "weights and its pin cookie; active checks; statistics per version, outlier ejection and the access log of errors always on",
			command: func(conf string, _ settings) []string { return []string{sluice, "serve", "-c", conf} },
			built:   sluice},
		haproxy, nginx,
		{Name: "caddy", Programs: []string{"caddy"}, Template: "caddy",
			About: "`lb_policy cookie`, which has no weights: v1 stands 19 times in a list of 20; active checks",
			command: func(conf string, _ settings) []string {
				return []string{"caddy", "run", "--adapter", "caddyfile", "--config", conf}
			},
			version: []string{"caddy", "version"}},
		haproxySplice, nginxDefaults,
		{Name: "floor", Programs: []string{relay}, Floor: true,
			About:   "a Go relay that copies bytes and parses nothing: no version, no cookie, one backend connection per client; no competitor",
			command: func(_ string, s settings) []string { return []string{relay, "relay", s.Listen, s.V1} }},
	}
}

// Choose returns the peers with the given names, in the order of All.
func Choose(all []Peer, names []string) ([]Peer, error) {
	var chosen []Peer
	for _, p := range all {
		if slices.Contains(names, p.Name) {
			chosen = append(chosen, p)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(chosen, func(p Peer) bool { return p.Name == name }) {
			var known []string
			for _, p := range all {
				known = append(known, p.Name)
			}
			return nil, fmt.Errorf("unknown peer %q; known are %s", name, strings.Join(known, ", "))
		}
	}
	return chosen, nil
}

// Version returns what the peer's program says of its version, one line; "" if
// it has none to tell.
func (p Peer) Version(ctx context.Context) string {
	if p.built != "" {
		return commitOf(p.built)
	}
	if len(p.version) == 0 {
		return ""
	}
	return rig.FirstLine(ctx, p.version[0], p.version[1:]...)
}

// commitOf returns the commit from which a Go program was built: the work tree
// may have moved on since.
func commitOf(program string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return "unknown"
	}
	commit, modified := "unknown commit", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = "commit " + s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = ", with changes"
		}
	}
	return commit + modified + ", " + info.GoVersion
}

// Running is a peer that answers requests.
type Running struct {
	*rig.Process
	Peer    Peer
	Address string
	Admin   string // address of the admin API; of use for Sluice alone
	PIDs    []int  // all its processes
}

// Start starts the peer in a subdirectory of dir, bound to one core, in front
// of the backends, and returns once it answers.
func (p Peer) Start(ctx context.Context, dir string, core int, b *Backends, w Weights) (*Running, error) {
	free, err := rig.FreeAddresses(2)
	if err != nil {
		return nil, err
	}
	s := settings{Listen: free[0], Admin: free[1], V1: b.V1, V2: b.V2, Dir: filepath.Join(dir, p.folder()), CookieName: CookieName, Weights: w, TLS: p.TLS}
	if p.change != nil {
		p.change(&s)
	}
	conf, err := writeConfig(s.Dir, p.Template, s)
	if err != nil {
		return nil, err
	}
	proc, err := rig.Start(p.Name, s.Dir, core, p.command(conf, s)...)
	if err != nil {
		return nil, err
	}
	run := &Running{Process: proc, Peer: p, Address: s.Listen, Admin: s.Admin}
	if err := proc.AwaitReady(ctx, readyLimit, func() error { return answers(s.Listen, p.clientTLS()) }); err != nil {
		return nil, errors.Join(err, proc.Stop())
	}
	if run.PIDs, err = rig.Tree(proc.PID); err != nil {
		return nil, errors.Join(err, proc.Stop())
	}
	return run, nil
}

// SpeaksTLS tells whether the peer can be measured over TLS too: no variant of
// another, and no floor.
func (p Peer) SpeaksTLS() bool { return !p.LargeOnly && !p.Floor }

// folder is the name of the peer's directory: it may run in the clear and over
// TLS at once.
func (p Peer) folder() string {
	if p.TLS != nil {
		return p.Name + "-tls"
	}
	return p.Name
}

// clientTLS returns how clients speak TLS to the peer; nil: they don't.
func (p Peer) clientTLS() *tls.Config {
	if p.TLS == nil {
		return nil
	}
	return p.TLS.Client
}

// URL returns the address of a path.
func (r *Running) URL(path string) string {
	if r.Peer.TLS != nil {
		return "https://" + r.Address + path
	}
	return "http://" + r.Address + path
}

// Dial opens a connection that speaks HTTP/1.1, on which each request may take
// limit.
func (r *Running) Dial(limit time.Duration) (*rig.Client, error) {
	return rig.DialTLS(r.Address, limit, r.Peer.clientTLS())
}

// DialHTTP2 opens a connection that speaks HTTP/2 over TLS.
func (r *Running) DialHTTP2(limit time.Duration) (*rig.HTTP2Client, error) {
	return rig.DialHTTP2(r.Address, limit, r.Peer.clientTLS())
}

// writeConfig fills the template of a name into dir, which it makes if needed,
// and returns the file's path.
func writeConfig(dir, name string, data any) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, name+".conf")
	if name == "" {
		return path, nil
	}
	text, err := render(name, data)
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(text), 0o644)
}

func render(name string, data any) (string, error) {
	t, err := template.ParseFS(templates, name+".tmpl")
	if err != nil {
		return "", err
	}
	var text strings.Builder
	if err := t.Option("missingkey=error").Execute(&text, data); err != nil {
		return "", err
	}
	return text.String(), nil
}
