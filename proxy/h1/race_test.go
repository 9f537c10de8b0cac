//go:build race

package h1

// raceEnabled: the race detector allocates, so allocations are not counted.
const raceEnabled = true
