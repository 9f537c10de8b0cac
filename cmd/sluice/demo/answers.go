package demo

import "time"

// answers are what clients saw, in about the order in which they got it.
type answers []answer

// where returns the answers for which keep is true.
func (as answers) where(keep func(*answer) bool) answers {
	var some answers
	for i := range as {
		if keep(&as[i]) {
			some = append(some, as[i])
		}
	}
	return some
}

// since returns the answers to requests that were sent after a moment.
func (as answers) since(t time.Time) answers {
	return as.where(func(a *answer) bool { return a.Sent.After(t) })
}

// count returns for how many answers is is true.
func (as answers) count(is func(*answer) bool) int {
	n := 0
	for i := range as {
		if is(&as[i]) {
			n++
		}
	}
	return n
}

// seen is what clients saw of one version.
type seen struct {
	Requests int
	Failed   int // requests that were served badly
	Sessions int // distinct
	New      int // sessions whose first request it answered
}

// byVersion sums answers up by version; "" holds requests that none answered.
func (as answers) byVersion() map[string]seen {
	type visit struct {
		version string
		session int64
	}
	sums, known := map[string]seen{}, map[visit]bool{}
	for i := range as {
		a := &as[i]
		s := sums[a.Version]
		s.Requests++
		if a.failed() {
			s.Failed++
		}
		if a.First {
			s.New++
		}
		if v := (visit{a.Version, a.Session}); !known[v] {
			known[v] = true
			s.Sessions++
		}
		sums[a.Version] = s
	}
	return sums
}

// newSessions returns how many sessions began, and how many of them on a version.
func (as answers) newSessions(version string) (all, there int) {
	for v, s := range as.byVersion() {
		all += s.New
		if v == version {
			there += s.New
		}
	}
	return all, there
}

// sessions returns the versions that each session saw, in order and without
// repeats in a row.
func (as answers) sessions() map[int64][]string {
	paths := map[int64][]string{}
	for i := range as {
		a := &as[i]
		path := paths[a.Session]
		if a.Version != "" && (len(path) == 0 || path[len(path)-1] != a.Version) {
			paths[a.Session] = append(path, a.Version)
		}
	}
	return paths
}

// moved returns how many sessions changed their version.
func (as answers) moved() int {
	n := 0
	for _, path := range as.sessions() {
		if len(path) > 1 {
			n++
		}
	}
	return n
}

// failed returns how many requests were served badly.
func (as answers) failed() int { return as.count((*answer).failed) }
