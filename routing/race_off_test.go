//go:build !race

package routing

// raceEnabled says that the race detector is on, which allocates by itself.
const raceEnabled = false
