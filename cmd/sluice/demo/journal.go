package demo

import (
	"net/http"
	"sync"
	"time"
)

// answer is what became of one request, as its client saw it.
type answer struct {
	Service string
	Session int64     // of the client; unique within the service
	First   bool      // of its session
	Sent    time.Time // just before the request
	Got     time.Time // when the answer was here whole, or given up
	Version string    // that answered, by its own word; "": none did
	Status  int       // 0: no answer
}

// failed reports whether the client was served badly.
func (a *answer) failed() bool { return a.Status != http.StatusOK || a.Version == "" }

// journal keeps what all clients saw. It may be used concurrently.
type journal struct {
	mu  sync.Mutex
	all answers
}

func (j *journal) add(a answer) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = append(j.all, a)
}

// where returns the answers for which keep is true.
func (j *journal) where(keep func(*answer) bool) answers {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all.where(keep)
}

// forget drops what was got before a moment, so that a demo that goes on for
// days does not grow.
func (j *journal) forget(before time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.all = j.all.where(func(a *answer) bool { return !a.Got.Before(before) })
}
