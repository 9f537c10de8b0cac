package upstream

// health is what the active checks of one endpoint have found. The zero value
// is up, so that a start doesn't wait for the first checks.
type health struct {
	down bool
	// against counts the newest checks in a row that contradict down. It stays
	// below the number that would change it.
	against int
}

// observe takes in the result of a check and reports whether it took the
// endpoint down or brought it back: fall failures in a row do the one, rise
// successes in a row the other.
func (h *health) observe(ok bool, fall, rise int) (changed bool) {
	if ok != h.down {
		h.against = 0
		return false
	}
	h.against++
	limit := fall
	if h.down {
		limit = rise
	}
	if h.against < limit {
		return false
	}
	*h = health{down: !h.down}
	return true
}
