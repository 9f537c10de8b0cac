package upstream

import "time"

// maxEjectionFactor bounds how many times Base an ejection lasts.
const maxEjectionFactor = 10

// ejection is how often and until when one endpoint is ejected. The zero value
// was never ejected.
type ejection struct {
	count int       // ejections that count towards the length of the next
	until time.Time // the end of the newest ejection; zero before the first
	on    bool      // until it is called back
}

// begin ejects the endpoint and returns until when.
func (j *ejection) begin(now time.Time, base time.Duration) time.Time {
	if now.Sub(j.until) >= maxEjectionFactor*base {
		j.count = 0
	}
	j.count = min(j.count+1, maxEjectionFactor)
	j.until = now.Add(time.Duration(j.count) * base)
	j.on = true
	return j.until
}

// over reports whether an ejection is under way whose time is up.
func (j *ejection) over(now time.Time) bool { return j.on && !now.Before(j.until) }

// end calls the endpoint back at a moment, which may be before its time.
func (j *ejection) end(now time.Time) {
	j.on = false
	if now.Before(j.until) {
		j.until = now
	}
}

// maxEjected is how many of total endpoints may be ejected at once.
func maxEjected(total, percent int) int {
	if total < 2 {
		return 0
	}
	return max(1, total*percent/100)
}
