//go:build !race

package sock

// raceEnabled says that the race detector allocates where the code doesn't.
const raceEnabled = false
