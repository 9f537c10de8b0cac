//go:build !race

package trial

const raceOn = false
