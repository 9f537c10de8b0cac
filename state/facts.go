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

// wantsFacts tells whether the rules need facts of a command, and of which
// services; none named: of all.
func wantsFacts(cmd Command) (services []string, wants bool) {
	switch c := cmd.(type) {
	case SetWeights:
		return []string{c.Service}, true
	case Rollback:
		return []string{c.Service}, true
	case PutVersion, RemoveVersion, VoidPins, SetDrain, SetLevel, SetBarrier: // raise no share
		return nil, false
	}
	return nil, true
}
