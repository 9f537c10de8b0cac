package sock

import (
	"os"
	"sync"
	"syscall"
	"unsafe"
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

	// What control asks for, under rests.mu; a function for each call would be an
	// allocation.
	control func(fd uintptr)
	op      int
	event   syscall.EpollEvent
	refused error
}

// add lets c rest, and reports whether it can. Each rest has a place of its own:
// what the kernel reports late, of a rest that is over, finds nobody there.
// Whatever is reported before add returns waits for the lock.
func (r *rests) add(c *Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.poll == nil && !r.begin() {
		return false
	}
	r.last++
	if !r.poll.watch(c, r.last) {
		return false
	}
	c.polled, c.restedAt = r.poll, Now()
	c.place.Store(r.last)
	r.conns[r.last] = c
	return true
}

// watch asks for one report, at the place, when c can be read.
func (p *poll) watch(c *Conn, place uint64) bool {
	p.op = syscall.EPOLL_CTL_ADD
	if c.polled == p {
		p.op = syscall.EPOLL_CTL_MOD
	}
	p.event = syscall.EpollEvent{
		Events: syscall.EPOLLIN | syscall.EPOLLONESHOT,
		Fd:     int32(uint32(place)), Pad: int32(uint32(place >> 32)),
	}
	return c.raw.Control(p.control) == nil && p.refused == nil
}

// take ends a rest, and reports whether c did rest.
func (r *rests) take(c *Conn) bool {
	if c.place.Load() == 0 {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.takeAt(c.place.Load()) != nil
}

// takeAt ends the rest of a place; nil: there is none. It is called under mu.
func (r *rests) takeAt(place uint64) *Conn {
	c := r.conns[place]
	if c != nil {
		delete(r.conns, place)
		c.place.Store(0)
		c.slow = Now()-c.restedAt >= longRest
	}
	return c
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
	p := &poll{file: os.NewFile(uintptr(fd), "epoll"), fd: fd}
	p.control = func(fd uintptr) { p.refused = syscall.EpollCtl(p.fd, p.op, int(fd), &p.event) }
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
		n, err := p.ready(events[:])
		for _, e := range events[:n] {
			r.mu.Lock()
			c := r.takeAt(uint64(uint32(e.Fd)) | uint64(uint32(e.Pad))<<32)
			r.mu.Unlock()
			if c != nil {
				go c.onWake()
			}
		}
		if err != syscall.EINTR && n < len(events) {
			return
		}
	}
}

// ready returns what is ready now. It never blocks, so the scheduler need not be
// told: that would let it take this for a call that may, and go on in another
// thread.
func (p *poll) ready(events []syscall.EpollEvent) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(unsafe.SliceData(events))), uintptr(len(events)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
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
