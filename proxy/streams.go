package proxy

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sluice/proxy/sock"
	"sluice/proxy/upstream"
)

// What lasts is listed while it does, so that a flip may close it: tunnels, and
// responses of unknown length whose body is still under way, such as events. A
// response with a Content-Length ends by itself and is let finish.

const (
	// closeGrace is how long a WebSocket may take to be closed in good order.
	closeGrace = 2 * time.Second
	// streamAge is how long a response must have been under way to count as one
	// that lasts.
	streamAge = time.Second
	// streamShards spreads the list over so many locks.
	streamShards = 16
)

// streams lists what lasts.
type streams [streamShards]streamShard

// streamShard is a part of the list.
type streamShard struct {
	mu    sync.Mutex
	first *stream
	_     [64]byte // keeps shards on cache lines of their own
}

// stream is an exchange's place in the list. It is a part of the exchange, and
// used again with it. While it is listed, the shard's lock guards it.
type stream struct {
	x          *exchange
	shard      *streamShard
	prev, next *stream
	began      int64       // sock.Now()
	client     tunnelEnd   // of a tunnel; nil: a response
	closing    atomic.Bool // the stream is to end, or was ended, before its time
	listed     bool        // for the exchange's own goroutine
	// generation changes whenever the exchange is listed or no longer is. Who
	// finds, under the lock of a shard that it was listed in, the generation of
	// that time, knows that it is still there.
	generation atomic.Uint64
}

// enlist adds the exchange to what lasts; client is its end of a tunnel, nil for
// a response.
func (x *exchange) enlist(client tunnelEnd) {
	st := &x.stream
	if st.listed {
		return
	}
	st.x, st.client, st.began = x, client, sock.Now()
	st.shard = &x.srv.streams[x.peer.shard%streamShards]
	st.closing.Store(false)
	s := st.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	st.generation.Add(1)
	st.listed = true
	if st.next = s.first; st.next != nil {
		st.next.prev = st
	}
	s.first = st
}

// delist takes the exchange out of what lasts, if it is there. From then on
// nobody closes it.
func (x *exchange) delist() {
	st := &x.stream
	if !st.listed {
		return
	}
	s := st.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.prev != nil {
		st.prev.next = st.next
	} else {
		s.first = st.next
	}
	if st.next != nil {
		st.next.prev = st.prev
	}
	st.generation.Add(1)
	st.prev, st.next, st.client, st.listed = nil, nil, nil, false
}

// settle waits for whoever is closing the stream to be done with it.
func (st *stream) settle() {
	st.shard.mu.Lock()
	defer st.shard.mu.Unlock()
}

// goAwayer is a codec whose connection can be told to take no more requests, so
// that the client opens another (HTTP/2's GOAWAY). It does not wait.
type goAwayer interface{ goAway() }

// close ends the stream, under the shard's lock: a tunnel by its flows, in good
// order where they can; a response is cut off.
func (st *stream) close() {
	if st.closing.Swap(true) {
		return
	}
	x := st.x
	defer x.counts(x.target).StreamClosed(x.peer.shard) // once what is under way was told
	if g, ok := x.down.(goAwayer); ok {
		g.goAway()
	}
	if st.client == nil {
		x.up.Abort()
		return
	}
	for _, end := range [...]tunnelEnd{st.client, x.up.Conn} {
		end.SetTimeout(closeGrace) // also for a write that is stuck
		end.StopReading()
	}
}

// limitTunnel closes the tunnel after its total time, if it has one. What it
// returns is called when the tunnel has ended.
func (x *exchange) limitTunnel() (ended func()) {
	total := x.target.Settings.TunnelTotal
	if total <= 0 {
		return func() {}
	}
	due := dueStream{stream: &x.stream, generation: x.stream.generation.Load(), shard: x.stream.shard}
	timer := time.AfterFunc(total, due.close)
	return func() { timer.Stop() }
}

// dueStream is a stream that is to be closed, unless it has ended by then.
type dueStream struct {
	*stream
	shard      *streamShard
	generation uint64
	after      time.Duration
}

// close closes the stream if it is still the one that was meant.
func (d *dueStream) close() {
	d.shard.mu.Lock()
	defer d.shard.mu.Unlock()
	if d.stream.generation.Load() == d.generation {
		d.stream.close()
	}
}

// CloseStreams closes tunnels, and responses that have no declared length and
// have been under way for a second, on the versions with these clusters. What
// began under a table of the revision or a later one stays. The closing is
// spread evenly over the jitter, so that clients do not come again all at once.
// It does not wait.
//
// A WebSocket is told by a Close frame: 1012, service restart, to the client.
// Other tunnels and responses are cut off.
func (s *Server) CloseStreams(clusters []*upstream.Cluster, revision uint64, jitter time.Duration) {
	meant := func(st *stream) bool {
		return slices.Contains(clusters, st.x.target.Cluster) && st.x.table.Routing.Revision < revision &&
			(st.client != nil || sock.Now()-st.began >= int64(streamAge))
	}
	due := s.streams.find(meant)
	spread(due, jitter)
	closeInTime(due, 0)
	// A handshake that was under way has become a tunnel since, and a response
	// has got older.
	time.AfterFunc(jitter+closeGrace, func() { closeInTime(s.streams.find(meant), 0) })
}

// endTunnels closes the tunnels that are left in the second half of the time that
// ctx gives the server to stop, evenly spread, so that they end in good order
// and not by being cut off. It does not wait; stop takes it back.
func (s *Server) endTunnels(ctx context.Context) (stop func() bool) {
	by, limited := ctx.Deadline()
	half := time.Until(by) / 2
	if !limited || half <= 0 {
		return func() bool { return true }
	}
	timer := time.AfterFunc(half, func() {
		due := s.streams.find(func(st *stream) bool { return st.client != nil })
		spread(due, half-min(closeGrace, half/2))
		closeInTime(due, 0)
	})
	return timer.Stop
}

// spread puts streams into the order of times drawn evenly from the jitter.
func spread(due []dueStream, jitter time.Duration) {
	for i := range due {
		if jitter > 0 {
			due[i].after = rand.N(jitter)
		}
	}
	slices.SortFunc(due, func(a, b dueStream) int { return cmp.Compare(a.after, b.after) })
}

// closeInTime closes streams that are in the order of their time, of which some
// has passed.
func closeInTime(due []dueStream, passed time.Duration) {
	for len(due) > 0 && due[0].after <= passed {
		due[0].close()
		due = due[1:]
	}
	if len(due) > 0 {
		next := due[0].after
		time.AfterFunc(next-passed, func() { closeInTime(due, next) })
	}
}

// find returns the streams that are meant, each as it is now.
func (all *streams) find(meant func(*stream) bool) []dueStream {
	var found []dueStream
	for i := range all {
		s := &all[i]
		s.mu.Lock()
		for st := s.first; st != nil; st = st.next {
			if !st.closing.Load() && meant(st) {
				found = append(found, dueStream{stream: st, shard: s, generation: st.generation.Load()})
			}
		}
		s.mu.Unlock()
	}
	return found
}
