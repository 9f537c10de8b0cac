//go:build race

package buffer

// raceEnabled: the race detector allocates, so allocations are not counted.
const raceEnabled = true
