package main

import (
	"fmt"
	"html"
	"strings"

	"sluice/bench/peers"
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

// plotSize draws the CPU time per request of every peer at one size of answers,
// as an SVG: a group of bars for each number of connections, with a thin line
// from the least to the greatest round.
func plotSize(o options, samples []sample, s peers.Size) string {
	var groups []group
	for _, n := range o.conns {
		c := cell{Size: s, Connections: n}
		g := group{Title: fmt.Sprintf("%d connections", n)}
		for _, p := range o.peers {
			if v, ok := spreadIn(samples, c, p.Name, func(s sample) float64 { return s.CPUUS }); ok {
				g.Bars = append(g.Bars, bar{Label: p.Name, Value: v, Own: p.Name == "sluice"})
			}
		}
		groups = append(groups, g)
	}
	return drawBars(fmt.Sprintf("CPU µs per request, answers of %s, pinned sessions", s.Name), groups)
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
