package state

// Facts are what a process sees of services at a moment, for the rules that the
// state alone can't check. The keeper gives them to every command.
type Facts struct {
	// Healthy and Known are endpoints by service and version; a version that is
	// not among Known has not been looked at.
	Healthy map[string]map[string]int
	Known   map[string]map[string]int
	// Rate is the requests a second that a service has now.
	Rate map[string]float64
}
