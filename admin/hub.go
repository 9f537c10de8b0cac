package admin

import (
	"crypto/rand"
	"encoding/json"
	"strconv"
	"strings"
	"sync"

	"sluice/admin/api"
)

// backlog is how many messages the hub keeps: how far a reader may fall behind
// or stay away before it loses any.
const backlog = 1024

// maxStreams bounds the event streams that are open at once.
const maxStreams = 256

// maxBatch bounds how many messages a reader takes at once.
const maxBatch = 64

// hub keeps the newest messages in a ring that all readers share. Each reader
// has a cursor of its own, so a slow one costs no memory and delays nobody.
type hub struct {
	instance string // tells message ids of this process from those of another

	mu      sync.Mutex
	ring    [backlog]message
	next    uint64        // the number of the next message; the first is 1
	wake    chan struct{} // closed at the next message, or at the end
	closed  bool
	streams int
}

// message is one message of the ring, encoded once for all readers.
type message struct {
	kind    string
	service string // "": concerns all
	data    []byte
}

func newHub() *hub {
	return &hub{instance: rand.Text(), next: 1, wake: make(chan struct{})}
}

// publish adds a message and wakes the readers. It never waits for them.
func (h *hub) publish(kind, service string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		return // the types of package api always encode
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.ring[h.next%backlog] = message{kind, service, data}
	h.next++
	close(h.wake)
	h.wake = make(chan struct{})
}

// close ends all streams.
func (h *hub) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.closed = true
		close(h.wake)
	}
}

// changed returns a channel that is closed at the next message, and whether the
// hub is closed, so that there will be none.
func (h *hub) changed() (wake <-chan struct{}, closed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wake, h.closed
}

// join admits a stream, unless there are too many or the hub is closed.
func (h *hub) join() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.streams == maxStreams {
		return false
	}
	h.streams++
	return true
}

// leave ends what join began.
func (h *hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams--
}

// id is the id of the message with a number.
func (h *hub) id(n uint64) string { return h.instance + "-" + strconv.FormatUint(n, 10) }

// after returns the cursor of a reader whose last message had an id; "" is a
// new reader, who gets what comes from now on. An id of another process, or
// none at all, returns false: what was missed in between is unknown.
func (h *hub) after(id string) (cursor uint64, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id == "" {
		return h.next, true
	}
	instance, number, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || instance != h.instance || n >= h.next {
		return h.next, false
	}
	return n + 1, true
}

// batch is what a reader gets next.
type batch struct {
	first    uint64 // the number of messages[0]
	messages []message
	lost     uint64          // how many messages before first are gone
	wake     <-chan struct{} // closed when there is more
	closed   bool            // the hub is closed: there will be no more
}

// read returns the messages from a cursor on, or none yet.
func (h *hub) read(cursor uint64) batch {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := batch{first: cursor, wake: h.wake, closed: h.closed}
	if oldest := h.oldest(); cursor < oldest {
		b.lost, b.first = oldest-cursor, oldest
	}
	for n := b.first; n < h.next && len(b.messages) < maxBatch; n++ {
		b.messages = append(b.messages, h.ring[n%backlog])
	}
	return b
}

// oldest returns the number of the oldest message in the ring.
func (h *hub) oldest() uint64 {
	if h.next <= backlog {
		return 1
	}
	return h.next - backlog
}

// lost encodes that messages were missed; 0: it is unknown how many.
func lost(count uint64) []byte {
	data, _ := json.Marshal(api.Lost{Count: count})
	return data
}
