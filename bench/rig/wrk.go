package rig

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed done.lua
var doneScript string

// Load is one run of wrk or h2load: keep-alive connections that send GET
// requests as fast as they are answered.
type Load struct {
	URL         string
	Connections int
	Streams     int           // requests of each connection at once; of use for h2load alone
	Duration    time.Duration // whole seconds: wrk knows no fractions
	Timeout     time.Duration // whole seconds; later answers count as timeouts
	Cookie      string        // the Cookie field's value; "" sends none
	Core        int
}

// Result is what wrk or h2load counted over a whole run.
type Result struct {
	Requests   int64  `json:"requests"` // answers received whole
	Bytes      int64  `json:"bytes"`    // bytes received, heads and unfinished answers too
	DurationUS int64  `json:"duration_us"`
	P50US      int64  `json:"p50_us"`
	P99US      int64  `json:"p99_us"`
	MaxUS      int64  `json:"max_us"`
	Errors     Errors `json:"errors"`
}

// Errors are the failures that were counted, by kind.
type Errors struct {
	Connect int64 `json:"connect"`
	Read    int64 `json:"read"`
	Write   int64 `json:"write"`
	Status  int64 `json:"status"`  // answers with a status of 400 or more
	Timeout int64 `json:"timeout"` // answers later than Load.Timeout
}

// Total returns the number of failures.
func (e Errors) Total() int64 { return e.Connect + e.Read + e.Write + e.Status + e.Timeout }

// Wrk is a running load.
type Wrk struct{ *Process }

// StartWrk starts a load; its script and output lie in dir under name.
func StartWrk(name, dir string, load Load) (*Wrk, error) {
	script := filepath.Join(dir, name+".lua")
	if err := os.WriteFile(script, []byte(doneScript), 0o644); err != nil {
		return nil, err
	}
	p, err := Start(name, dir, load.Core, load.args(script)...)
	if err != nil {
		return nil, err
	}
	return &Wrk{p}, nil
}

func (l Load) args(script string) []string {
	args := []string{"wrk", "-t", "1",
		"-c", strconv.Itoa(l.Connections),
		"-d", seconds(l.Duration),
		"--timeout", seconds(l.Timeout),
		"--latency", "-s", script}
	if l.Cookie != "" {
		args = append(args, "-H", "Cookie: "+l.Cookie)
	}
	return append(args, l.URL)
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d/time.Second)) + "s" }

// Result waits for the end of the run and returns what wrk counted.
func (w *Wrk) Result() (Result, error) {
	out, err := w.output()
	if err != nil {
		return Result{}, err
	}
	r, err := parseWrk(out)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w%s", w.Name, err, w.lastWords())
	}
	return r, nil
}

// parseWrk finds the line that done.lua prints.
func parseWrk(out string) (Result, error) {
	for line := range strings.Lines(out) {
		data, ok := strings.CutPrefix(line, "wrk-json ")
		if !ok {
			continue
		}
		var r Result
		if err := json.Unmarshal([]byte(data), &r); err != nil {
			return Result{}, fmt.Errorf("wrk's counts: %w", err)
		}
		if r.DurationUS <= 0 {
			return Result{}, errors.New("wrk's counts: no duration")
		}
		return r, nil
	}
	return Result{}, errors.New("wrk printed no counts")
}
