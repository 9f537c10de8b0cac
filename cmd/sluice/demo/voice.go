package demo

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// width is how many columns the commentary takes at most.
const width = 96

// voice writes the commentary. Failures of the writer are ignored: a demo goes
// on without its listener.
type voice struct {
	out   io.Writer
	color bool
}

// The colours of terminals (ECMA-48, section 8.3.117).
const (
	bold  = "\x1b[1m"
	green = "\x1b[32m"
	red   = "\x1b[31m"
	plain = "\x1b[0m"
)

func (v voice) paint(color, text string) string {
	if !v.color {
		return text
	}
	return color + text + plain
}

// line writes a line as it is.
func (v voice) line(text string) { fmt.Fprintln(v.out, text) }

// heading begins a part of the story.
func (v voice) heading(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	v.line("\n" + v.paint(bold, text) + "\n" + strings.Repeat("-", len(text)))
}

// say writes a paragraph.
func (v voice) say(format string, args ...any) {
	for _, line := range wrap(fmt.Sprintf(format, args...), width) {
		v.line(line)
	}
}

// command shows what a person would type.
func (v voice) command(text string) { v.line("\n  $ " + v.paint(bold, text)) }

// result says what a command did.
func (v voice) result(format string, args ...any) {
	for _, line := range wrap(fmt.Sprintf(format, args...), width-4) {
		v.line("    " + line)
	}
}

// verdict says whether a promise was kept.
func (v voice) verdict(ok bool, text string) {
	mark := v.paint(green, "ok     ")
	if !ok {
		mark = v.paint(red, "FAILED ")
	}
	for i, line := range wrap(text, width-9) {
		if i > 0 {
			mark = strings.Repeat(" ", 7)
		}
		v.line("  " + mark + line)
	}
}

// wrap breaks text into lines of at most so many characters, at spaces. A
// longer word gets a line of its own.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// span writes a measured duration with two or three digits.
func span(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Microsecond).String()
}

// several writes a count with its noun: "1 session", "12 sessions".
func several(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
