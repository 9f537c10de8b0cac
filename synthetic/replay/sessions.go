package replay

import (
	"context"
	"hash/maphash"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// The bounds of what is held at a time.
const (
	maxPending      = 4096     // requests that were read and not answered
	maxPendingBytes = 16 << 20 // of their lines
	maxIdle         = 10_000   // sessions without a request under way, whose cookies are kept
)

// session is requests that go one after the other. Of its fields, jars are for
// the worker that has it; the lock of sessions guards the rest.
type session struct {
	key   uint64
	alone bool
	queue []*Request
	jars  [2]jar
}

// sessions keeps each session's requests in order while others go beside them.
// A session is in ready, or with a worker, or idle.
type sessions struct {
	ready chan *session
	seed  maphash.Seed

	mu        sync.Mutex
	room      *sync.Cond
	busy      map[uint64]*session
	idle      *simplelru.LRU[uint64, *session]
	pending   int
	bytes     int
	begun     int64 // sessions
	forgotten int64 // of them, those that were let go with cookies
	over      bool  // ready is closed
}

func newSessions() *sessions {
	s := &sessions{ready: make(chan *session, maxPending), seed: maphash.MakeSeed(), busy: map[uint64]*session{}}
	s.room = sync.NewCond(&s.mu)
	s.idle, _ = simplelru.NewLRU[uint64, *session](maxIdle, nil) // an error tells of a size below 1
	return s
}

// put waits for room and gives a request to its session. It returns false when
// ctx ends first, and after finish.
func (s *sessions) put(ctx context.Context, r *Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.pending >= maxPending || s.bytes >= maxPendingBytes {
		if ctx.Err() != nil {
			return false
		}
		s.room.Wait()
	}
	if s.over {
		return false
	}
	s.pending++
	s.bytes += r.held
	if r.Session == "" {
		s.ready <- &session{alone: true, queue: []*Request{r}} // has room for all that are pending
		return true
	}
	key := maphash.String(s.seed, r.Session)
	if under := s.busy[key]; under != nil {
		under.queue = append(under.queue, r)
		return true
	}
	next := s.wake(key)
	next.queue = append(next.queue, r)
	s.busy[key] = next
	s.ready <- next
	return true
}

// wake returns an idle session, or a new one.
func (s *sessions) wake(key uint64) *session {
	if old, ok := s.idle.Peek(key); ok {
		s.idle.Remove(key)
		return old
	}
	s.begun++
	return &session{key: key}
}

// first returns the request whose turn it is, while put may append others.
func (s *sessions) first(of *session) *Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return of.queue[0]
}

// done takes the answered request off its session, which goes on with its next
// one, or rests.
func (s *sessions) done(of *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes -= of.queue[0].held
	s.pending--
	of.queue[0] = nil
	of.queue = of.queue[1:]
	switch {
	case len(of.queue) > 0:
		s.ready <- of
	case !of.alone:
		of.queue = nil
		delete(s.busy, of.key)
		if s.idle.Len() == maxIdle {
			if _, oldest, _ := s.idle.RemoveOldest(); oldest.jars[0].size+oldest.jars[1].size > 0 {
				s.forgotten++
			}
		}
		s.idle.Add(of.key, of)
	}
	s.room.Broadcast()
}

// finish waits until all was answered and lets the workers go.
func (s *sessions) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.pending > 0 {
		s.room.Wait()
	}
	s.over = true
	close(s.ready)
}

// counts returns how many sessions began, and how many were forgotten.
func (s *sessions) counts() (begun, forgotten int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begun, s.forgotten
}

// interrupt lets put see that its context has ended.
func (s *sessions) interrupt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room.Broadcast()
}
