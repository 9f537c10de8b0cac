// Package bolt keeps the desired state in one file, embedded in the process
// (bbolt). A commit is one transaction, synced to disk before it is
// acknowledged, so a crash at any moment loses nothing that was.
//
// The file has these buckets: meta (format, revision), services (name to JSON),
// audit (a sequence number, big-endian, to the JSON of an event) and, once there
// are any, rollouts (ID to JSON) and documents (key to document).
package bolt

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"sluice/state"
	"sluice/state/internal/watch"
)

// format is the layout that this build reads and writes.
const format = 1

// lockTimeout is how long Open waits for another process to let go of the
// file: long enough for a predecessor that is ending.
const lockTimeout = 2 * time.Second

var (
	metaBucket     = []byte("meta")
	servicesBucket = []byte("services")
	auditBucket    = []byte("audit")
	formatKey      = []byte("format")
	revisionKey    = []byte("revision")
)

// Store is a state.Store in a file.
type Store struct {
	path string
	db   atomic.Pointer[bolt.DB] // closed between Release and Reacquire
	hub  watch.Hub

	mu sync.Mutex
	// newest is the state in the file, which nobody else writes while this
	// process holds its lock; nil when it has to be read: at first and after a
	// commit that failed.
	newest *state.State
}

var _ state.Store = (*Store)(nil)

// Open opens the file, which it makes, readable by its owner alone, if there is
// none. It fails, changing nothing, if the directory is missing, another
// process holds the file, a newer build wrote it, or it is damaged.
func Open(path string) (*Store, error) { return open(path, lockTimeout) }

func open(path string, timeout time.Duration) (*Store, error) {
	if _, err := os.Stat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("state file %s: its directory %s does not exist; create it first", path, filepath.Dir(path))
	}
	s := &Store{path: path}
	if err := s.acquire(timeout); err != nil {
		return nil, err
	}
	return s, nil
}

// acquire opens the file and looks whether it is in order.
func (s *Store) acquire(timeout time.Duration) error {
	db, err := bolt.Open(s.path, 0o600, &bolt.Options{Timeout: timeout})
	if err != nil {
		return fmt.Errorf("state file %s: %w", s.path, explain(err))
	}
	s.db.Store(db)
	s.newest = nil
	if err := s.prepare(); err != nil {
		return errors.Join(fmt.Errorf("state file %s: %w", s.path, err), db.Close())
	}
	return nil
}

// Release closes the file, after the transactions under way, so that another
// process may have it. Every call fails from then until Reacquire.
func (s *Store) Release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest = nil
	return s.db.Load().Close()
}

// Reacquire opens the file anew after Release. It fails as Open does.
func (s *Store) Reacquire() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acquire(lockTimeout)
}

// explain puts what bbolt says into words that help.
func explain(err error) error {
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return errors.New("another process holds it; stop that one, or give this one a file of its own")
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return fmt.Errorf("it is no state file or is damaged (%w); restore a copy, or move it away to start afresh", err)
	}
	return err
}

// prepare lays out a new file and reads an old one, so that whatever is wrong
// with it shows at the start. It writes only what is missing. The caller holds
// s.mu, or is the only one who has s.
func (s *Store) prepare() error {
	laidOut := false
	err := s.db.Load().View(func(tx *bolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if meta == nil {
			return nil
		}
		laidOut = true
		return checkFormat(meta)
	})
	if err != nil {
		return err
	}
	if !laidOut {
		if err := s.db.Load().Update(layOut); err != nil {
			return err
		}
	}
	_, err = s.load()
	return err
}

func layOut(tx *bolt.Tx) error {
	for _, name := range [][]byte{metaBucket, servicesBucket, auditBucket} {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	meta := tx.Bucket(metaBucket)
	if err := meta.Put(formatKey, number(format)); err != nil {
		return err
	}
	return meta.Put(revisionKey, number(0))
}

func checkFormat(meta *bolt.Bucket) error {
	n, err := readNumber(meta, formatKey)
	switch {
	case err != nil:
		return err
	case n > format:
		return fmt.Errorf("a newer build wrote it, in format %d; this one reads up to %d", n, format)
	case n != format:
		return fmt.Errorf("it has the unknown format %d", n)
	}
	return nil
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func readNumber(meta *bolt.Bucket, key []byte) (uint64, error) {
	b := meta.Get(key)
	if len(b) != 8 {
		return 0, fmt.Errorf("key meta/%s holds %d bytes, not a number of 8: the file is damaged", key, len(b))
	}
	return binary.BigEndian.Uint64(b), nil
}

// Load returns the newest state.
func (s *Store) Load(ctx context.Context) (state.State, error) {
	if err := ctx.Err(); err != nil {
		return state.State{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.load()
}

// load reads the file if the newest state isn't known. The caller holds s.mu.
func (s *Store) load() (state.State, error) {
	if s.newest != nil {
		return *s.newest, nil
	}
	var read state.State
	err := s.db.Load().View(func(tx *bolt.Tx) (err error) {
		read, err = readState(tx)
		return err
	})
	if err != nil {
		return state.State{}, fmt.Errorf("state/bolt: load: %w", err)
	}
	s.newest = &read
	return read, nil
}

func readState(tx *bolt.Tx) (state.State, error) {
	meta, services := tx.Bucket(metaBucket), tx.Bucket(servicesBucket)
	if meta == nil || services == nil || tx.Bucket(auditBucket) == nil {
		return state.State{}, errors.New("a bucket is missing: the file is damaged")
	}
	revision, err := readNumber(meta, revisionKey)
	if err != nil {
		return state.State{}, err
	}
	read := state.State{Revision: revision, Services: map[string]*state.Service{}}
	err = services.ForEach(func(k, v []byte) error {
		var svc *state.Service
		if err := json.Unmarshal(v, &svc); err != nil {
			return fmt.Errorf("key services/%s: %w", k, err)
		}
		read.Services[string(k)] = svc
		return nil
	})
	if err != nil {
		return state.State{}, err
	}
	if read.Rollouts, err = readRollouts(tx); err != nil {
		return state.State{}, err
	}
	return read, read.Validate()
}

// Commit writes the services and rollouts of revision next.Revision, deletes those
// that next has no more, and appends to the audit, in one transaction.
func (s *Store) Commit(ctx context.Context, next state.State, events []state.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	prev, err := s.load()
	if err != nil {
		return err
	}
	if prev.Revision+1 != next.Revision {
		return fmt.Errorf("state/bolt: revision %d can't follow %d: %w", next.Revision, prev.Revision, state.ErrConflict)
	}
	err = s.db.Load().Update(func(tx *bolt.Tx) error {
		if err := writeServices(tx.Bucket(servicesBucket), prev, next); err != nil {
			return err
		}
		if err := writeRollouts(tx, prev, next); err != nil {
			return err
		}
		if err := appendAudit(tx.Bucket(auditBucket), events, state.MaxAudit); err != nil {
			return err
		}
		return tx.Bucket(metaBucket).Put(revisionKey, number(next.Revision))
	})
	if err != nil {
		// Where the last write or sync failed, the file may hold either state.
		s.newest = nil
		return fmt.Errorf("state/bolt: commit of revision %d: %w", next.Revision, err)
	}
	s.newest = &next
	s.hub.Notify()
	return nil
}

func writeServices(b *bolt.Bucket, prev, next state.State) error {
	for name, svc := range next.Services {
		if svc.Revision != next.Revision {
			continue
		}
		v, err := json.Marshal(svc)
		if err != nil {
			return fmt.Errorf("key services/%s: %w", name, err)
		}
		if err := b.Put([]byte(name), v); err != nil {
			return fmt.Errorf("key services/%s: %w", name, err)
		}
	}
	for name := range prev.Services {
		if next.Services[name] == nil {
			if err := b.Delete([]byte(name)); err != nil {
				return fmt.Errorf("key services/%s: %w", name, err)
			}
		}
	}
	return nil
}

// Watch returns a channel that gets a token after each commit.
func (s *Store) Watch(ctx context.Context) <-chan struct{} { return s.hub.Watch(ctx) }

// Close lets go of the file, after the transactions under way.
func (s *Store) Close() error { return s.db.Load().Close() }
