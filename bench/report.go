package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"sluice/bench/peers"
)

//go:embed results.md.tmpl
var resultsTemplate string

// report is all that was measured.
type report struct {
	Env     env      `json:"environment"`
	Samples []sample `json:"samples"`
	Idles   []idle   `json:"idle"`
	Micro   string   `json:"routing"` // Markdown
}

// page is what the template of RESULTS.md is filled with.
type page struct {
	Env   env
	Goals []string
	Cells []string // one table for each cell, with its heading
	Plots []string // file names below plots/
	Idle  string
	Micro string
	Peers []peers.Peer
	Fails []string // loads with errors; empty in a run that counts
}

// writeReport writes RESULTS.md, samples.json and the plots.
func writeReport(o options, r report) error {
	plotDir := filepath.Join(o.out, "plots")
	if err := os.MkdirAll(plotDir, 0o755); err != nil {
		return err
	}
	p := page{Env: r.Env, Goals: goals(r.Samples), Idle: idleTable(r.Idles), Micro: r.Micro, Peers: o.peers, Fails: failures(r.Samples)}
	for _, c := range o.cells() {
		p.Cells = append(p.Cells, fmt.Sprintf("### %v\n\n%s", c, cellTable(o, r.Samples, c)))
	}
	for _, plot := range o.plots(r.Samples) {
		if err := os.WriteFile(filepath.Join(plotDir, plot.Name), []byte(plot.SVG), 0o644); err != nil {
			return err
		}
		p.Plots = append(p.Plots, plot.Name)
	}
	if err := writeJSON(filepath.Join(o.out, "samples.json"), r); err != nil {
		return err
	}
	var text strings.Builder
	t, err := template.New("results").Parse(resultsTemplate)
	if err != nil {
		return err
	}
	if err := t.Execute(&text, p); err != nil {
		return err
	}
	path := filepath.Join(o.out, "RESULTS.md")
	fmt.Fprintln(os.Stderr, "written:", path)
	return os.WriteFile(path, []byte(text.String()), 0o644)
}

func writeJSON(path string, v any) error {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// cellTable returns the Markdown table of a cell, one row for each peer.
func cellTable(o options, samples []sample, c cell) string {
	var b strings.Builder
	b.WriteString("| peer | CPU µs per request | of it kernel | to haproxy | to nginx | requests/s | core busy | p50 ms | p99 ms | memory MB |\n")
	b.WriteString("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, p := range o.peers {
		cpu, ok := spreadIn(samples, c, p.Name, func(s sample) float64 { return s.CPUUS })
		if !ok {
			continue
		}
		show := func(digits int, figure func(sample) float64) string {
			s, _ := spreadIn(samples, c, p.Name, figure)
			return s.show(digits)
		}
		median := func(figure func(sample) float64) float64 {
			s, _ := spreadIn(samples, c, p.Name, figure)
			return s.Median
		}
		fmt.Fprintf(&b, "| %s | %s | %.0f%% | %s | %s | %s | %.0f%% | %s | %s | %.1f |\n", p.Name, cpu.show(1),
			100*median(func(s sample) float64 { return s.Kernel }),
			showRatio(samples, c, p.Name, "haproxy"), showRatio(samples, c, p.Name, "nginx"),
			show(0, func(s sample) float64 { return s.RPS }),
			100*median(func(s sample) float64 { return s.Busy }),
			show(2, func(s sample) float64 { return s.P50MS }),
			show(2, func(s sample) float64 { return s.P99MS }),
			median(func(s sample) float64 { return mega(s.PSS) }))
	}
	return b.String()
}

func showRatio(samples []sample, c cell, peer, to string) string {
	r, ok := ratioIn(samples, c, peer, to)
	if !ok {
		return "–"
	}
	return r.show(2)
}

// goal is a limit that Sluice's CPU time per request shall keep in a cell.
type goal struct {
	cell  cell
	to    string // the peer it is compared with
	limit float64
}

func allGoals() []goal {
	small, large := peers.Sizes()[0], peers.Sizes()[2]
	return []goal{
		{cell{Protocol: inClear, Size: small, Connections: 64}, "haproxy", 0.8},
		{cell{Protocol: inClear, Size: large, Connections: 64}, "nginx", 0.5},
		{cell{Protocol: inClear, Size: large, Connections: 64}, "nginx-defaults", 0.5},
		{cell{Protocol: overTLS, Size: small, Connections: 64}, "haproxy", 0.8},
		{http2Cell(4), "haproxy", 0.8},
		{http2Cell(32), "haproxy", 0.8},
	}
}

// goals says for each goal whether it is kept.
func goals(samples []sample) []string {
	var lines []string
	for _, g := range allGoals() {
		r, ok := ratioIn(samples, g.cell, "sluice", g.to)
		if !ok {
			lines = append(lines, fmt.Sprintf("%v: at most %.1f of %s's CPU time: **not measured** in this run", g.cell, g.limit, g.to))
			continue
		}
		verdict := "**kept**"
		if r.Median > g.limit {
			verdict = "**missed**"
		}
		lines = append(lines, fmt.Sprintf("%v: at most %.1f of %s's CPU time: %s, %s", g.cell, g.limit, g.to, verdict, r.show(2)))
	}
	return lines
}

// idleTable returns the Markdown table of the memory at rest.
func idleTable(idles []idle) string {
	if len(idles) == 0 {
		return "Not measured in this run.\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| peer | connections | fresh, MB | with %d connections, MB | KB per connection |\n|---|---|---:|---:|---:|\n", idles[0].Connections)
	for _, i := range idles {
		spoken := "HTTP/1.1"
		if i.Protocol == http2 {
			spoken = "TLS, HTTP/2"
		}
		fmt.Fprintf(&b, "| %s | %s | %.1f | %.1f | %.1f |\n", i.Peer, spoken, mega(i.Empty.PSS), mega(i.Held.PSS), i.PerConnection()/1024)
	}
	return b.String()
}

// failures names the loads in which wrk or h2load counted errors.
func failures(samples []sample) []string {
	var lines []string
	for _, s := range samples {
		if s.Errors.Total() > 0 {
			lines = append(lines, fmt.Sprintf("%s, %v, round %d: %+v", s.Peer, s.Cell, s.Round+1, s.Errors))
		}
	}
	return lines
}
