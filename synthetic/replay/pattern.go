package replay

import "strings"

// maxPatterns is how many patterns are told apart; the rest are counted together.
const maxPatterns = 200

// otherPatterns is what the rest are counted under.
const otherPatterns = "(others)"

// patternOf returns a path without what names single things: segments with
// digits in them, and long ones, become {}. At most 8 segments count.
func patternOf(target string) string {
	path, _, _ := strings.Cut(target, "?")
	var b strings.Builder
	n := 0
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if n++; n > 8 {
			b.WriteString("/…")
			break
		}
		b.WriteByte('/')
		if isName(segment) {
			b.WriteString(segment)
		} else {
			b.WriteString("{}")
		}
	}
	return b.String()
}

// isName reports whether a segment is part of the interface. "v1" is, and so is
// what has an extension of a few letters.
func isName(s string) bool {
	if len(s) > 32 {
		return false
	}
	if len(s) <= 3 && strings.HasPrefix(s, "v") {
		return true
	}
	return !strings.ContainsAny(s, "0123456789")
}
