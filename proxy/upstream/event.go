package upstream

import (
	"time"

	"go.uber.org/zap"
)

// Event is a change in what the endpoints can do, for logs, metrics and
// watchers.
type Event struct {
	Kind             EventKind
	Service, Version string
	Endpoint         string    // the address, or the name that was looked up
	At               time.Time // by the injected clock
	Until            time.Time // when an Ejected endpoint returns; else zero
	Err              error     // behind Down, LookupFailed and Shortage; else nil
	// Repeated says that the same was told before: to be counted, and no news.
	Repeated bool
}

// EventKind says what happened to an endpoint.
type EventKind string

// The kinds of events.
const (
	Up       EventKind = "up"       // its health checks succeed again
	Down     EventKind = "down"     // its health checks fail
	Ejected  EventKind = "ejected"  // requests to it failed in a row
	Returned EventKind = "returned" // its ejection is over

	// Failing says that requests to it failed in a row, and that it is not ejected
	// since too few others are left.
	Failing EventKind = "failing"

	LookupFailed    EventKind = "lookup_failed"    // its name was not found; what was known of it stays
	LookupRecovered EventKind = "lookup_recovered" // its name is found again

	Shortage EventKind = "no_descriptors" // no connection to it for want of file descriptors
)

// emit tells of an endpoint. The caller holds no lock.
func (c *Cluster) emit(kind EventKind, e *Endpoint, until time.Time, err error) {
	c.tell(Event{Kind: kind, Endpoint: e.Address, Until: until, Err: err})
}

// tell completes an event, logs it and hands it on. The caller holds no lock.
func (c *Cluster) tell(e Event) {
	cfg := &c.view.Load().cfg
	e.Service, e.Version, e.At = cfg.Service, cfg.Version, c.now()
	if !e.Repeated {
		c.logEvent(&e)
	}
	if c.onEvent != nil {
		c.onEvent(e)
	}
}

func (c *Cluster) logEvent(e *Event) {
	fields := make([]zap.Field, 0, 5)
	fields = append(fields, zap.String("service", e.Service), zap.String("version", e.Version), zap.String("endpoint", e.Endpoint))
	switch e.Kind {
	case Down:
		c.log.Warn("endpoint is down", append(fields, zap.Error(e.Err))...)
	case Ejected:
		c.log.Warn("endpoint is ejected", append(fields, zap.Time("until", e.Until))...)
	case Failing:
		c.log.Warn("endpoint fails request after request, and is kept: too few others are left", fields...)
	case Up:
		c.log.Info("endpoint is up", fields...)
	case Returned:
		c.log.Info("endpoint has returned from ejection", fields...)
	case LookupFailed:
		c.log.Warn("endpoints are not found in the DNS; those known stay", append(fields, zap.Error(e.Err))...)
	case Shortage:
		c.log.Error("no file descriptor is left for connections to endpoints; raise the limit (ulimit -n, LimitNOFILE) or lower max_connections", append(fields, zap.Error(e.Err))...)
	case LookupRecovered:
		c.log.Info("endpoints are found in the DNS again", fields...)
	}
}
