package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sluice/bench/peers"
	"sluice/bench/rig"
)

// loads are the runs of wrk beside the drill.
type loads struct {
	names []string
	runs  []*rig.Wrk
}

// startLoads starts two loads: one of new sessions only, one of a session that
// was pinned before the first flip.
func startLoads(dir, proxy string, o options) (*loads, error) {
	pin, err := rig.GetOnce(proxy, "/200", "", requestLimit)
	if err != nil {
		return nil, err
	}
	l := &loads{}
	for _, kind := range []struct{ name, cookie string }{{"wrk-new", ""}, {"wrk-pinned", pin.Cookie}} {
		w, err := rig.StartWrk(kind.name, dir, rig.Load{
			URL: "http://" + proxy + "/200", Connections: o.connections / 2, Duration: o.span + loadMargin,
			Timeout: 2 * time.Second, Cookie: kind.cookie, Core: o.loadCore,
		})
		if err != nil {
			l.stop()
			return nil, err
		}
		l.names, l.runs = append(l.names, kind.name), append(l.runs, w)
	}
	return l, nil
}

// loadMargin is how much longer the load lasts than the flips.
const loadMargin = 3 * time.Second

// results waits for the loads to end and returns their counts by name. Every
// error that wrk counted is a failure.
func (l *loads) results(f *failures) map[string]rig.Result {
	all := make(map[string]rig.Result)
	for i, w := range l.runs {
		r, err := w.Result()
		switch {
		case err != nil:
			f.add("%v", err)
		case r.Errors.Total() > 0:
			f.add("%s: failed requests: %+v", l.names[i], r.Errors)
		case r.Requests == 0:
			f.add("%s: no request was answered", l.names[i])
		}
		all[l.names[i]] = r
	}
	return all
}

func (l *loads) stop() {
	for _, w := range l.runs {
		_ = w.Stop()
	}
}

// curlAll runs curl again and again until ctx ends, by turns with a cookie jar,
// as a browser, and without. Every answer must be 200. It returns the number of runs.
func curlAll(ctx context.Context, dir, proxy string, f *failures) (runs int) {
	jar := filepath.Join(dir, peers.CookieName+".jar")
	for ; ctx.Err() == nil; runs++ {
		args := []string{"-sS", "--max-time", "5", "-o", "/dev/null", "-w", "%{http_code}"}
		if runs%2 == 0 {
			args = append(args, "-b", jar, "-c", jar)
		}
		// A running curl is left to end by itself: cut off it would count as failed.
		out, err := exec.Command("curl", append(args, "http://"+proxy+"/10k")...).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != "200" {
			f.add("curl: %v, %s", err, got)
		}
	}
	return runs
}
