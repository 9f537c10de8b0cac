package main

import (
	"fmt"
	"html"
	"strings"
)

// Measures of the plots in pixels.
const (
	plotWidth = 720
	barLeft   = 150 // where bars begin; names stand before
	barRight  = 560 // where the longest bar ends; figures stand behind
	barStep   = 22
	barHeight = 16
	headRoom  = 44
)

// bar is one line of a plot.
type bar struct {
	Label string
	Value spread
	Own   bool // Sluice's own, which is coloured
}

// group is several bars under one heading.
type group struct {
	Title string
	Bars  []bar
}

// plot is one file below plots/.
type plot struct{ Name, SVG string }

// plots draws the CPU time per request of every peer at pinned sessions: a plot
// for each size of answers in the clear, one for HTTP/1.1 over TLS and one for
// HTTP/2. A bar's thin line goes from the least to the greatest round.
func (o options) plots(samples []sample) []plot {
	var all []plot
	add := func(name, title string, heading func(cell) string, shown func(cell) bool) {
		var groups []group
		for _, c := range o.cells() {
			if shown(c) && !c.New {
				groups = append(groups, group{Title: heading(c), Bars: o.bars(samples, c)})
			}
		}
		if len(groups) > 0 {
			all = append(all, plot{"cpu-" + name + ".svg", drawBars("CPU µs per request, "+title+", pinned sessions", groups)})
		}
	}
	for _, s := range o.sizes {
		add(strings.TrimPrefix(s.Path, "/"), "answers of "+s.Name, cell.clients,
			func(c cell) bool { return c.Protocol == inClear && c.Size == s })
	}
	add("tls", "HTTP/1.1 over TLS, 64 connections", func(c cell) string { return c.Size.Name },
		func(c cell) bool { return c.Protocol == overTLS })
	add("h2", "HTTP/2 over TLS, answers of 200 B", cell.clients,
		func(c cell) bool { return c.Protocol == http2 })
	return all
}

// bars returns a cell's, one for each peer that was measured.
func (o options) bars(samples []sample, c cell) []bar {
	var bars []bar
	for _, p := range o.peers {
		if v, ok := spreadIn(samples, c, p.Name, func(s sample) float64 { return s.CPUUS }); ok {
			bars = append(bars, bar{Label: p.Name, Value: v, Own: p.Name == "sluice"})
		}
	}
	return bars
}

func drawBars(title string, groups []group) string {
	rows, most := 0, 0.0
	for _, g := range groups {
		rows += len(g.Bars) + 1
		for _, b := range g.Bars {
			most = max(most, b.Value.Max)
		}
	}
	var svg strings.Builder
	height := headRoom + rows*barStep
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		plotWidth, height, plotWidth, height)
	fmt.Fprintf(&svg, `<rect width="100%%" height="100%%" fill="#fff"/>`+"\n"+`<text x="10" y="24" font-size="15">%s</text>`+"\n", html.EscapeString(title))
	y := headRoom
	for _, g := range groups {
		fmt.Fprintf(&svg, `<text x="10" y="%d" font-weight="bold">%s</text>`+"\n", y+12, html.EscapeString(g.Title))
		y += barStep
		for _, b := range g.Bars {
			drawBar(&svg, b, y, most)
			y += barStep
		}
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}

func drawBar(svg *strings.Builder, b bar, y int, most float64) {
	x := func(v float64) float64 {
		if most == 0 {
			return barLeft
		}
		return barLeft + (barRight-barLeft)*v/most
	}
	colour := "#9aa5b1"
	if b.Own {
		colour = "#2f6fde"
	}
	middle := y + barHeight/2
	fmt.Fprintf(svg, `<text x="%d" y="%d" text-anchor="end">%s</text>`, barLeft-8, y+12, html.EscapeString(b.Label))
	fmt.Fprintf(svg, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, barLeft, y, x(b.Value.Median)-barLeft, barHeight, colour)
	fmt.Fprintf(svg, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#333"/>`, x(b.Value.Min), middle, x(b.Value.Max), middle)
	fmt.Fprintf(svg, `<text x="%.1f" y="%d">%s</text>`+"\n", x(b.Value.Max)+6, y+12, b.Value.show(1))
}
