package sock

import (
	"os"
	"sync"
	"syscall"
)

// canRest tells that there is an epoll(7) of our own. The runtime has one too,
// which serves goroutines alone; a socket may be in both.
const canRest = true

// resting are the connections without a goroutine.
var resting rests

// rests waits for connections. Its goroutine begins with the first and ends with
// the sweeper, that is when no connection is left.
type rests struct {
	mu    sync.Mutex
	poll  *poll
	last  uint64           // place that was given
	conns map[uint64]*Conn // by place
}

// poll is an epoll instance. It is a file, so that its goroutine waits for it
// without holding a thread.
type poll struct {
	file *os.File
	fd   int
}

// add lets c rest, and reports whether it can. Each rest has a place of its own:
// what the kernel reports late, of a rest that is over, finds nobody there.
func (r *rests) add(c *Conn, wake func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.poll == nil && !r.begin() {
		return false
	}
	r.last++
	op := syscall.EPOLL_CTL_ADD
	if c.polled == r.poll {
		op = syscall.EPOLL_CTL_MOD
	}
	event := syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLONESHOT,
		Fd:     int32(uint32(r.last)), Pad: int32(uint32(r.last >> 32)),
	}
	var refused error
	poll := r.poll
	err := c.raw.Control(func(fd uintptr) { refused = syscall.EpollCtl(poll.fd, op, int(fd), &event) })
	if err != nil || refused != nil {
		return false
	}
	// Whatever is reported meanwhile waits for the lock.
	c.polled, c.onWake = r.poll, wake
	c.place.Store(r.last)
	r.conns[r.last] = c
	return true
}

// take ends a rest and returns what is to be called; nil if c does not rest.
func (r *rests) take(c *Conn) func() {
	if c.place.Load() == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.takeAt(c.place.Load())
}

// takeAt is called under mu.
func (r *rests) takeAt(place uint64) func() {
	c := r.conns[place]
	if c == nil {
		return nil
	}
	delete(r.conns, place)
	c.place.Store(0)
	wake := c.onWake
	c.onWake = nil
	return wake
}

// begin makes the epoll instance. It is called under mu.
func (r *rests) begin() bool {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return false
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // else os.NewFile takes it for a file that blocks
		syscall.Close(fd)
		return false
	}
	p := &poll{os.NewFile(uintptr(fd), "epoll"), fd}
	raw, err := p.file.SyscallConn()
	if err != nil {
		p.file.Close()
		return false
	}
	r.poll, r.conns = p, map[uint64]*Conn{}
	go raw.Read(func(uintptr) bool {
		r.wakeReady(p)
		return false // until the file is closed
	})
	return true
}

// wakeReady wakes all that the kernel has found ready. What gets ready after the
// last look is reported by a notice of its own.
func (r *rests) wakeReady(p *poll) {
	var events [128]syscall.EpollEvent
	for {
		n, err := syscall.EpollWait(p.fd, events[:], 0)
		for _, e := range events[:max(n, 0)] {
			r.mu.Lock()
			wake := r.takeAt(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32)
			r.mu.Unlock()
			if wake != nil {
				go wake()
			}
		}
		if err != syscall.EINTR && n < len(events) {
			return
		}
	}
}

// end ends the goroutine, unless a connection rests.
func (r *rests) end() {
	r.mu.Lock()
	var over *poll
	if len(r.conns) == 0 {
		over, r.poll, r.conns = r.poll, nil, nil
	}
	r.mu.Unlock()
	if over != nil {
		over.file.Close() // it waits for the goroutine, which may want the lock
	}
}
