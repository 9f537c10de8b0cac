//go:build !race

package upstream

// raceEnabled says that the race detector allocates where the code doesn't.
const raceEnabled = false
