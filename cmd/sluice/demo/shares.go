package demo

import (
	"fmt"
	"strconv"
	"strings"

	"sluice/admin/api"
)

// The columns of a share table: a version with the proxy's numbers, and what
// the clients saw of it.
const (
	proxyCells  = "  %-4s %7s %8s %9s %9s  %-9s"
	clientCells = "| %8s %7s %7s %13s"
)

// shareTable returns the lines of a table: what the proxy says of a service's
// versions beside what the clients saw of them.
func shareTable(s *api.Service, saw answers) []string {
	sums := saw.byVersion()
	newSessions, _ := saw.newSessions("")
	lines := []string{
		fmt.Sprintf("%-54s| %s", "          the proxy: weight and shares of", "the clients saw meanwhile"),
		fmt.Sprintf(proxyCells, s.Name, "weight", "new", "sessions", "requests", "mode") +
			fmt.Sprintf(clientCells, "requests", "share", "failed", "new sessions"),
	}
	for _, v := range s.Versions {
		lines = append(lines, fmt.Sprintf(proxyCells, v.Name, strconv.Itoa(v.Weight), percent(v.Shares.NewSessions),
			percent(v.Shares.LiveSessions), percent(v.Shares.Requests), v.Mode)+
			clientRow(sums[v.Name], len(saw), newSessions))
	}
	if lost := sums[""]; lost.Requests > 0 {
		lines = append(lines, fmt.Sprintf("%-54s", "  answered by no version")+clientRow(lost, len(saw), newSessions))
	}
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// clientRow writes what clients saw of a version. Nothing is a dash.
func clientRow(s seen, requests, newSessions int) string {
	if s.Requests == 0 {
		return fmt.Sprintf(clientCells, "-", "-", "-", "-")
	}
	failed, begun := "-", "-"
	if s.Failed > 0 {
		failed = strconv.Itoa(s.Failed)
	}
	if s.New > 0 {
		begun = fmt.Sprintf("%d %6s", s.New, percent(float64(s.New)/float64(newSessions)))
	}
	return fmt.Sprintf(clientCells, strconv.Itoa(s.Requests), percent(float64(s.Requests)/float64(requests)), failed, begun)
}

// percent writes a fraction of 1. Nothing is a dash; neither what is little nor
// what is nearly all is rounded away.
func percent(f float64) string {
	switch {
	case f <= 0:
		return "-"
	case f < 0.001:
		return "<0.1%"
	case f > 0.999 && f < 1:
		return ">99.9%"
	}
	return fmt.Sprintf("%.1f%%", f*100)
}
