//go:build race

package trial

// raceOn tells that the race detector is on, which allocates and is slow.
const raceOn = true
