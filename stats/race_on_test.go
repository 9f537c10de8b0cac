//go:build race

package stats

// raceOn tells that the race detector is on, which allocates and is slow.
const raceOn = true
