package main

import (
	"fmt"
	"sync"
)

// failures collects what went wrong: the number, and the first few in words.
type failures struct {
	mu    sync.Mutex
	count int
	first []string
}

// shown is how many failures are kept in words.
const shown = 20

func (f *failures) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if len(f.first) < shown {
		f.first = append(f.first, fmt.Sprintf(format, args...))
	}
}

// list returns the first failures and how many there are in all.
func (f *failures) list() ([]string, int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.first...), f.count
}
