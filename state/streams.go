package state

import "fmt"

// Streams says what a flip does to what lasts (tunnels such as WebSockets, and
// responses without a length, such as events) on the versions that have no
// weight after it. "" is StreamsFinish. Other requests always finish.
type Streams string

// The choices.
const (
	StreamsFinish Streams = "finish" // they go on where they are
	StreamsClose  Streams = "close"  // they are closed, so that their clients come again
)

// resolve returns the choice as a Flip keeps it and refuses what is none.
func (s Streams) resolve() (Streams, error) {
	switch s {
	case "", StreamsFinish:
		return "", nil
	case StreamsClose:
		return StreamsClose, nil
	}
	return s, invalid("streams", fmt.Sprintf("%q is no way to treat streams", string(s)), "choose finish or close")
}

// ClosesStreams tells whether a flip after an epoch closes streams.
func (s *Service) ClosesStreams(after uint64) bool {
	for i := len(s.Flips) - 1; i >= 0 && s.Flips[i].Epoch > after; i-- {
		if s.Flips[i].Streams == StreamsClose {
			return true
		}
	}
	return false
}
