package state

import "context"

// MaxAudit is how many events a store keeps; older ones go.
const MaxAudit = 100_000

// Store keeps the state. Implementations are state/memory and state/bolt.
type Store interface {
	Documents
	// Load returns the newest state; of an empty store, one of revision 0.
	Load(ctx context.Context) (State, error)
	// Commit replaces the state of revision next.Revision-1 by next and
	// appends events to the audit, all or nothing. When it returns nil, both
	// survive a crash. It returns ErrConflict (wrapped) if the store holds
	// another revision.
	Commit(ctx context.Context, next State, events []Event) error
	// Watch returns a channel that gets a token after each commit, by whomever
	// it was made; tokens may be merged. It is closed when ctx ends.
	Watch(ctx context.Context) <-chan struct{}
	// Audit returns events of one service, or of all if service is "", newest
	// first: at most limit, older than revision before (0: from the newest).
	Audit(ctx context.Context, service string, before uint64, limit int) ([]Event, error)
	// Close frees what the store holds.
	Close() error
}
