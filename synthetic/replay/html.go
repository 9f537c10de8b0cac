package replay

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
)

//go:embed report.html
var page string

// The size of a picture.
const (
	pictureWidth  = 720
	pictureHeight = 160
)

// bar is a column or a row of a picture.
type bar struct {
	X, Y, Width, Height float64
	Errors              float64 // height, or width, of the errors in it
	Label, Hint         string
}

// WriteHTML writes the report as a page that needs nothing else: its pictures
// are in it.
func (r *Report) WriteHTML(w io.Writer) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return err
	}
	var compared strings.Builder
	if r.Compared != nil {
		if err := r.Compared.WriteText(&compared); err != nil {
			return err
		}
	}
	return t.Execute(w, map[string]any{
		"Report": r, "Verdict": r.verdict(), "Late": r.late(), "Scale": r.scale(), "Compared": compared.String(),
		"Timeline": r.timelineBars(), "Latencies": r.latencyBars(), "LatencyHeight": 22 * min(len(r.Patterns), shownPatterns),
		"Width": pictureWidth, "Height": pictureHeight,
	})
}

// timelineBars are the requests in the course of time, errors in red.
func (r *Report) timelineBars() []bar {
	var most int64
	for _, s := range r.Timeline {
		most = max(most, s.Sent)
	}
	if most == 0 {
		return nil
	}
	width := float64(pictureWidth) / float64(len(r.Timeline))
	scale := float64(pictureHeight) / float64(most)
	bars := make([]bar, len(r.Timeline))
	for i, s := range r.Timeline {
		bars[i] = bar{
			X: float64(i) * width, Y: pictureHeight - float64(s.Sent)*scale, Width: max(width-1, 0.5),
			Height: float64(s.Sent) * scale, Errors: float64(s.Errors) * scale,
			Hint: fmt.Sprintf("at %gs: %.0f/s, %d errors", float64(i)*r.SlotSecs, float64(s.Sent)/r.SlotSecs, s.Errors),
		}
	}
	return bars
}

// scale says what the height and the width of the timeline stand for.
func (r *Report) scale() string {
	var most int64
	for _, s := range r.Timeline {
		most = max(most, s.Sent)
	}
	return fmt.Sprintf("%.1f s from left to right, up to %.0f requests a second; errors are red.", float64(len(r.Timeline))*r.SlotSecs, float64(most)/r.SlotSecs)
}

// latencyBars are the p99 of the commonest patterns.
func (r *Report) latencyBars() []bar {
	shown := r.Patterns[:min(len(r.Patterns), shownPatterns)]
	slowest := Millis(0)
	for _, p := range shown {
		slowest = max(slowest, p.Latency.P99)
	}
	if slowest == 0 {
		return nil
	}
	bars := make([]bar, len(shown))
	for i, p := range shown {
		bars[i] = bar{
			Y: float64(22 * i), Width: max(1, float64(p.Latency.P99/slowest)*340), Height: 16,
			Label: plain(p.Name), Hint: fmt.Sprintf("p50 %s, p99 %s", p.Latency.P50, p.Latency.P99),
		}
	}
	return bars
}
