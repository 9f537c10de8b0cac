package proxy

import "sync/atomic"

// connState tells whether a connection waits for a request, so that a server
// that stops knows which ones it may wake. The connection's goroutine moves it
// between busy and idle; the server alone sets stopping, for good.
type connState struct{ v atomic.Uint32 }

const (
	connBusy     uint32 = iota // a request is being read or served
	connIdle                   // waiting for the first byte of a request
	connStopping               // the request under way, if any, is the last
)

// toIdle reports false if the connection is to stop.
func (s *connState) toIdle() bool { return s.v.CompareAndSwap(connBusy, connIdle) }

// toBusy reports false if the connection is to stop.
func (s *connState) toBusy() bool { return s.v.CompareAndSwap(connIdle, connBusy) }

// idle reports whether the connection waits for a request.
func (s *connState) idle() bool { return s.v.Load() == connIdle }

// stopIdle stops the connection if it is idle, and reports whether it was.
func (s *connState) stopIdle() bool { return s.v.CompareAndSwap(connIdle, connStopping) }

// stopping reports whether the connection is to stop.
func (s *connState) stopping() bool { return s.v.Load() == connStopping }

// stop reports whether the connection was idle.
func (s *connState) stop() (wasIdle bool) { return s.v.Swap(connStopping) == connIdle }
