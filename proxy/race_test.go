//go:build race

package proxy

// raceEnabled tells that the race detector, which allocates, is on.
const raceEnabled = true
