package peers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sluice/bench/rig"
)

// Size is one of the answers that the backends give.
type Size struct {
	Name  string // for people: "10 KB"
	Path  string // where the backends serve it
	Bytes int64  // of the body
}

// Sizes returns the answers, the smallest first.
func Sizes() []Size {
	return []Size{
		{Name: "200 B", Path: "/200", Bytes: 200},
		{Name: "10 KB", Path: "/10k", Bytes: 10 << 10},
		{Name: "1 MB", Path: "/1m", Bytes: 1 << 20},
	}
}

// readyLimit is how long a server may take from its start to its first answer.
const readyLimit = 15 * time.Second

// Backends are two nginx servers, the versions v1 and v2 of one service. Each
// names itself in the response field Answered-By.
type Backends struct {
	V1, V2    string // addresses
	processes []*rig.Process
}

// StartBackends starts both in subdirectories of dir, bound to one core.
func StartBackends(ctx context.Context, dir string, core int) (*Backends, error) {
	root := filepath.Join(dir, "answers")
	if err := writeAnswers(root); err != nil {
		return nil, err
	}
	free, err := rig.FreeAddresses(2)
	if err != nil {
		return nil, err
	}
	b := &Backends{V1: free[0], V2: free[1]}
	for i, version := range []string{"v1", "v2"} {
		if err := b.start(ctx, version, free[i], root, dir, core); err != nil {
			return nil, errors.Join(err, b.Stop())
		}
	}
	return b, nil
}

func (b *Backends) start(ctx context.Context, version, listen, root, dir string, core int) error {
	dir = filepath.Join(dir, "backend-"+version)
	conf, err := writeConfig(dir, "backend", struct{ Version, Listen, Root, Dir, Small string }{
		version, listen, root, dir, strings.Repeat("s", int(Sizes()[0].Bytes)),
	})
	if err != nil {
		return err
	}
	p, err := rig.Start("backend-"+version, dir, core, "nginx", "-e", "stderr", "-p", dir, "-c", conf)
	if err != nil {
		return err
	}
	b.processes = append(b.processes, p)
	return p.AwaitReady(ctx, readyLimit, func() error { return answers(listen, nil) })
}

// Requests returns how many requests both have begun so far, those of health
// checks, and of this question, included.
func (b *Backends) Requests() (int64, error) {
	var sum int64
	for _, addr := range []string{b.V1, b.V2} {
		n, err := rig.NginxRequests(addr, "/count", time.Second)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// Stop ends both.
func (b *Backends) Stop() error {
	var errs []error
	for _, p := range b.processes {
		errs = append(errs, p.Stop())
	}
	return errors.Join(errs...)
}

// writeAnswers writes the bodies that are served from files. Everybody may read
// them: nginx's worker drops the rights of its master.
func writeAnswers(root string) error {
	if err := os.MkdirAll(root, 0o755); err != nil {
		return err
	}
	for _, s := range Sizes()[1:] {
		body := []byte(strings.Repeat("s", int(s.Bytes)))
		if err := os.WriteFile(filepath.Join(root, s.Path), body, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// answers reports whether a server gives the small answer, over TLS unless
// config is nil.
func answers(addr string, config *tls.Config) error {
	c, err := rig.DialTLS(addr, time.Second, config)
	if err != nil {
		return err
	}
	defer c.Close()
	a, err := c.Get(Sizes()[0].Path, "")
	if err != nil {
		return err
	}
	if a.Status != 200 {
		return fmt.Errorf("%s answers %d", addr, a.Status)
	}
	return nil
}
