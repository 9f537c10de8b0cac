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
	Endpoint         string    // the address, as configured
	At               time.Time // by the injected clock
	Until            time.Time // when an Ejected endpoint returns; else zero
	Err              error     // the failed check behind Down; else nil
}

// EventKind says what happened to an endpoint.
type EventKind string

// The kinds of events.
const (
	Up       EventKind = "up"       // its health checks succeed again
	Down     EventKind = "down"     // its health checks fail
	Ejected  EventKind = "ejected"  // requests to it failed in a row
	Returned EventKind = "returned" // its ejection is over
)

// emit logs an event and hands it on. The caller holds no lock.
func (c *Cluster) emit(kind EventKind, e *Endpoint, until time.Time, err error) {
	cfg := &c.view.Load().cfg
	fields := make([]zap.Field, 0, 5)
	fields = append(fields, zap.String("service", cfg.Service), zap.String("version", cfg.Version), zap.String("endpoint", e.Address))
	switch kind {
	case Down:
		c.log.Warn("endpoint is down", append(fields, zap.Error(err))...)
	case Ejected:
		c.log.Warn("endpoint is ejected", append(fields, zap.Time("until", until))...)
	case Up:
		c.log.Info("endpoint is up", fields...)
	case Returned:
		c.log.Info("endpoint has returned from ejection", fields...)
	}
	if c.onEvent != nil {
		c.onEvent(Event{Kind: kind, Service: cfg.Service, Version: cfg.Version, Endpoint: e.Address, At: c.now(), Until: until, Err: err})
	}
}
