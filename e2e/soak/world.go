package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sluice/e2e/origin"
	"sluice/e2e/site"
)

// world is a site with what stands behind it.
type world struct {
	*site.Site
	dir       string
	keep      bool
	endpoints map[string][]*origin.Origin // by version; two each
}

// newWorld starts it. Both versions have two endpoints, of which one at a time
// may die.
func newWorld(ctx context.Context, o options) (w *world, err error) {
	w = &world{keep: o.keep, endpoints: map[string][]*origin.Origin{}}
	if w.dir, err = os.MkdirTemp("", "sluice-soak-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.end())
		}
	}()
	binary, err := filepath.Abs(o.binary)
	if err == nil && o.binary == "" {
		binary, err = site.Build(ctx, w.dir)
	}
	if err != nil {
		return w, err
	}
	if w.Site, err = site.New(w.dir, binary); err != nil {
		return w, err
	}
	for _, version := range []string{"v1", "v2"} {
		for range 2 {
			e, err := origin.Start(version)
			if err != nil {
				return w, err
			}
			w.endpoints[version] = append(w.endpoints[version], e)
		}
	}
	if _, err = w.Renew(); err != nil {
		return w, err
	}
	if err = w.write(0); err != nil {
		return w, err
	}
	return w, w.Start(ctx)
}

// end ends it all.
func (w *world) end() (err error) {
	if w.Site != nil {
		err = w.Stop()
	}
	for _, list := range w.endpoints {
		for _, e := range list {
			e.Kill()
		}
	}
	if w.keep {
		fmt.Println("log and files:", w.dir)
		return err
	}
	return errors.Join(err, os.RemoveAll(w.dir))
}

// write writes the file for the n-th time. What differs has to be applied, and
// changes nothing for a request. Weights in the file stay as they are, or a
// reload would flip.
func (w *world) write(n int) error {
	text := func(version string, weight int) string {
		e := w.endpoints[version]
		return fmt.Sprintf("%s: {endpoints: [%q, %q], weight: %d, tags: {commit: %q}}", version, e[0].HTTP, e[1].HTTP, weight, fmt.Sprint(n))
	}
	rpc := func(version string, weight int) string {
		e := w.endpoints[version]
		return fmt.Sprintf("%s: {endpoints: [%q, %q], weight: %d}", version, e[0].GRPC, e[1].GRPC, weight)
	}
	return w.Write(fmt.Sprintf(`log: {access: {mode: errors}}
upgrade: {drain: 30s}
overload: {target: 500ms}
routes:
  - {paths: ["/"], service: web}
  - {paths: ["/grpc.testing.TestService"], service: rpc}
services:
  web:
    streams_jitter: 200ms
    upstream: {retries: 2, retry_budget: 1, idle_timeout: %ds}
    health: {interval: 300ms, rise: 1}
    outlier: {base: 100ms} # an endpoint that is back is used again before another dies
    versions: {%s, %s}
  rpc:
    streams_jitter: 200ms
    upstream: {protocol: h2c, retries: 2, retry_budget: 1}
    health: {interval: 300ms, rise: 1}
    outlier: {base: 100ms} # an endpoint that is back is used again before another dies
    versions: {%s, %s}
`, 4+n%2, text("v1", 100), text("v2", 0), rpc("v1", 100), rpc("v2", 0)))
}
