// Package memory keeps the desired state in memory: for demonstrations and
// tests. It ends with the process.
package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"sluice/state"
	"sluice/state/internal/watch"
)

// ErrClosed is returned by every call on a store that was closed.
var ErrClosed = errors.New("state/memory: the store is closed")

// Store is a state.Store. The zero value is an empty one.
type Store struct {
	hub watch.Hub

	mu     sync.Mutex
	closed bool
	state  state.State
	audit  []state.Event // oldest first, the newest state.MaxAudit
	// documents are cloned on their way in and out.
	documents map[string][]byte
}

var _ state.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store { return &Store{} }

// Load returns the newest state.
func (s *Store) Load(ctx context.Context) (state.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.ready(ctx)
}

func (s *Store) ready(ctx context.Context) error {
	if s.closed {
		return ErrClosed
	}
	return ctx.Err()
}

// Commit replaces the state and appends to the audit.
func (s *Store) Commit(ctx context.Context, next state.State, events []state.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	if s.state.Revision+1 != next.Revision {
		return fmt.Errorf("state/memory: revision %d can't follow %d: %w", next.Revision, s.state.Revision, state.ErrConflict)
	}

	s.state = next
	s.audit = append(s.audit, events...)
	if over := len(s.audit) - state.MaxAudit; over > 0 {
		clear(s.audit[:over])
		s.audit = s.audit[over:]
	}
	s.hub.Notify()
	return nil
}

// Watch returns a channel that gets a token after each commit.
func (s *Store) Watch(ctx context.Context) <-chan struct{} { return s.hub.Watch(ctx) }

// Audit returns events, newest first.
func (s *Store) Audit(ctx context.Context, service string, before uint64, limit int) ([]state.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	var events []state.Event
	for i := len(s.audit) - 1; i >= 0 && len(events) < limit; i-- {
		e := s.audit[i]
		if (before == 0 || e.Revision < before) && (service == "" || e.Service == service) {
			events = append(events, e)
		}
	}
	return events, nil
}

// Close drops what the store holds.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.state, s.audit, s.documents = true, state.State{}, nil, nil
	return nil
}
