package main

import (
	"fmt"
	"html"
	"strings"
)

// Measures of the plot in pixels.
const (
	plotWidth = 720
	barLeft   = 150 // where bars begin; names stand before
	barRight  = 600 // where 100% ends; figures stand behind
	barStep   = 20
	barHeight = 14
	headRoom  = 44
)

// plot draws how many hours ended in a rollback, a group of bars for each trial.
func (r results) plot() string {
	var svg strings.Builder
	height := headRoom + len(r.hours)*(len(r.Rules)+1)*barStep + 10
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n",
		plotWidth, height, plotWidth, height)
	svg.WriteString(`<rect width="100%" height="100%" fill="#fff"/>` + "\n")
	fmt.Fprintf(&svg, `<text x="10" y="24" font-size="15">Rolled back within an hour at %.0f%% of the sessions</text>`+"\n", 100*fixedShare)
	y := headRoom
	for _, p := range r.hours {
		wanted := "should be none"
		if p.candidate.ratio > 1 {
			wanted = "should be all"
		}
		fmt.Fprintf(&svg, `<text x="10" y="%d" font-weight="bold">%s: %s</text>`+"\n", y+12, html.EscapeString(p.name), wanted)
		y += barStep
		for i, s := range p.scores {
			drawBar(&svg, r.Rules[i], s.share(), y, strings.HasPrefix(r.Rules[i], "the judge"))
			y += barStep
		}
	}
	svg.WriteString("</svg>\n")
	return svg.String()
}

func drawBar(svg *strings.Builder, name string, share float64, y int, own bool) {
	colour := "#9aa5b1"
	if own {
		colour = "#2f6fde"
	}
	width := (barRight - barLeft) * share
	fmt.Fprintf(svg, `<text x="%d" y="%d" text-anchor="end">%s</text>`, barLeft-8, y+12, html.EscapeString(name))
	fmt.Fprintf(svg, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`, barLeft, y, width, barHeight, colour)
	fmt.Fprintf(svg, `<text x="%.1f" y="%d">%.1f%%</text>`+"\n", barLeft+width+6, y+12, 100*share)
}
