package state

// Facts are what a process sees of services at a moment, for the rules that the
// state alone can't check. The keeper gives them to every command.
type Facts struct {
	// Healthy and Known are endpoints by service and version; a version that is
	// not among Known has not been looked at.
	Healthy map[string]map[string]int
	Known   map[string]map[string]int
	// Named are the versions that the file's rules lead to, by service: a rollout
	// that clears away old versions leaves them. A service that is not among them
	// keeps all its versions.
	Named map[string][]string
	// Failing are journeys that stand against a version, by service and version: a
	// short text for each says which, and whether it fails or was not run yet.
	Failing map[string]map[string][]string
	// Rate is the requests a second that a service has now.
	Rate map[string]float64
}

// wantsFacts tells whether the rules need facts of a command, and of which
// services; none named: of all.
func (s State) wantsFacts(cmd Command) (services []string, wants bool) {
	switch c := cmd.(type) {
	case SetWeights:
		return []string{c.Service}, true
	case Rollback:
		return []string{c.Service}, true
	case MoveRollout:
		if r := s.Rollouts[c.ID]; r != nil {
			for _, leg := range r.Legs {
				services = append(services, leg.Service)
			}
		}
		return services, services != nil
	case PutVersion, RemoveVersion, VoidPins, SetDrain, SetLevel, SetBarrier, StartRollout, SteerRollout, QueueRollout, RenewCohorts: // raise no share
		return nil, false
	}
	return nil, true
}
