package proxy

import "time"

// times are when the last attempt of an exchange came how far, since the
// exchange's start. They are taken where a log or a trace may tell of them.
type times struct {
	taken   bool
	asked   bool          // a connection was asked for
	begun   time.Duration // the attempt
	connect time.Duration // how long it took to get a connection; 0: one was open
	head    time.Duration // the response's head was here; 0: it never came
}

// beginAttempt notes that an attempt begins. The first begins with the request:
// what lies between is less than a look at the clock.
func (x *exchange) beginAttempt() {
	t := &x.times
	t.connect, t.head = 0, 0
	if t.taken && (x.tries > 1 || x.instead.reason != 0) {
		t.begun = time.Since(x.start)
	}
}

// endAcquire notes that a connection was acquired, or could not be.
func (x *exchange) endAcquire() {
	t := &x.times
	t.asked = true
	if t.taken && (x.up == nil || !x.up.Reused) {
		t.connect = time.Since(x.start) - t.begun
	}
}

// headCame notes that the response's head is here.
func (x *exchange) headCame() {
	if t := &x.times; t.taken {
		t.head = time.Since(x.start)
	}
}

// split divides what is left of the total time into the wait for the response's
// head and the rest. A response that never came was waited for to the end.
func (t *times) split(total time.Duration) (wait, body time.Duration) {
	if !t.taken || !t.asked {
		return 0, 0
	}
	sent := t.begun + t.connect
	if t.head == 0 {
		return total - sent, 0
	}
	return t.head - sent, total - t.head
}
