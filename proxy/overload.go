package proxy

import (
	"io"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/proxy/limit"
)

// Requests that are ready wait in two queues: the kernel's list of sockets that
// can be read, and the scheduler's of goroutines that can run. How long, tells a
// probe that waits in both: a byte through a pipe. Above all other measures it
// is the same whatever the requests cost, and whoever else uses the machine.

// DefaultOverloadTarget is how long ready work may wait, at the least in a tenth
// of a second, before requests are refused. A request waits twice, for itself
// and for its answer.
const DefaultOverloadTarget = 20 * time.Millisecond

// Constants of overload.
const (
	// overloadFloor is the least number of connections and streams under which
	// anything is refused. With fewer, each waits for as many turns as there are
	// others at most, and what takes longer is not the queue's doing.
	overloadFloor = 256
	calmProbe     = 100 * time.Millisecond // between two probes
	watchfulProbe = 10 * time.Millisecond  // the same, once one was late

	// holdTime is how long a refusal is held back. Refusing costs a good part of
	// what serving does, and a client that asks again at once would spend it all
	// on refusals.
	holdTime = 100 * time.Millisecond
	// maxHeld bounds the memory of those: a request in the buffer, 16 KiB each.
	maxHeld = 2048
)

// overload sheds load. It is off where limit is nil.
type overload struct {
	limit *limit.Overload
	probe func() (time.Duration, error) // waits like a request does
	load  func() int                    // connections and streams
	held  atomic.Int64
	stop  chan struct{} // closed to end watchOverload; nil: it did not begin. Under Server.mu
	ended chan struct{} // closed when it has ended
}

// newOverload makes what sheds above the target of opt.
func (s *Server) newOverload(opt Options) {
	target := opt.OverloadTarget
	if target == 0 {
		target = DefaultOverloadTarget
	}
	s.overload.probe, s.overload.load = opt.probe, opt.load
	if opt.load == nil {
		s.overload.load = s.load
	}
	if target > 0 {
		s.overload.limit = limit.NewOverload(target)
	}
}

// beginOverload starts watchOverload with the first listener. It is called under
// Server.mu.
func (s *Server) beginOverload() {
	if o := &s.overload; o.limit != nil && o.stop == nil {
		o.stop, o.ended = make(chan struct{}), make(chan struct{})
		go s.watchOverload(o.stop)
	}
}

// endOverload ends watchOverload, and with it all shedding. It may be called
// again, after the last beginOverload.
func (s *Server) endOverload() {
	o := &s.overload
	s.mu.Lock()
	stop := o.stop
	o.stop = nil
	s.mu.Unlock()
	if stop != nil {
		close(stop)
		<-o.ended
	}
}

// load returns how many connections and streams could have work.
func (s *Server) load() int {
	n := int(s.clients.Load())
	if n >= overloadFloor {
		return n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if m, ok := c.(interface{ streams() int }); ok {
			n += m.streams()
		}
	}
	return n
}

// watchOverload probes until the server stops.
func (s *Server) watchOverload(stop <-chan struct{}) {
	o := &s.overload
	defer close(o.ended)
	defer o.limit.Reset()
	if o.probe == nil {
		p, err := newPipeProbe()
		if err != nil {
			s.log.Error("overload is not watched", zap.Error(err))
			return
		}
		defer p.close()
		o.probe = p.wait
	}
	timer := time.NewTimer(calmProbe)
	defer timer.Stop()
	for {
		select {
		case <-stop:
			return
		case <-timer.C:
		}
		if err := s.watchOnce(); err != nil {
			s.log.Error("overload is not watched any more", zap.Error(err))
			return
		}
		pause := calmProbe
		if !o.limit.Calm() {
			pause = watchfulProbe
		}
		timer.Reset(pause)
	}
}

// watchOnce takes one sample, and tells of what follows from it.
func (s *Server) watchOnce() error {
	o := &s.overload
	before, _ := o.limit.Admitted()
	if o.load() < overloadFloor {
		if !o.limit.Calm() {
			o.limit.Reset()
			s.overloadChanged(before)
		}
		return nil
	}
	delay, err := o.probe()
	if err != nil {
		o.limit.Reset()
		return err
	}
	if o.limit.Observe(int64(time.Since(s.began)), delay) {
		s.overloadChanged(before)
	}
	return nil
}

// overloadChanged tells where the share of admitted requests stands.
func (s *Server) overloadChanged(before float64) {
	admitted, delay := s.overload.limit.Admitted()
	s.stats.SetOverload(admitted, int64(delay))
	switch {
	case before == 1 && admitted < 1:
		s.log.Warn("overload: requests are being refused", zap.Duration("ready_work_waits", delay), zap.Int64("connections", s.clients.Load()))
	case before < 1 && admitted == 1:
		s.log.Info("the overload is over: all requests are admitted")
	}
}

// shed refuses a request for overload.
func (x *exchange) shed() {
	o := &x.srv.overload
	x.shedding = true
	x.srv.stats.Shed()
	if o.held.Add(1) <= maxHeld {
		time.Sleep(holdTime)
	}
	o.held.Add(-1)
	x.reply(503, "The server is overloaded.\n")
}

// draw is the random number of a decision to shed. It is not the one that
// versions are chosen by: those admitted would all have drawn high.
func draw() uint64 { return rand.Uint64() }

// pipeProbe is a pipe that a byte goes through.
type pipeProbe struct {
	r, w    *os.File
	sent    time.Time
	failure error
}

func newPipeProbe() (*pipeProbe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &pipeProbe{r: r, w: w}, nil
}

func (p *pipeProbe) close() {
	p.r.Close()
	p.w.Close()
}

// wait sends a byte and returns how long it took to hear of it. The byte is
// written inside the wait for it: a wait that begins later would be told at
// once.
func (p *pipeProbe) wait() (time.Duration, error) {
	p.sent = time.Time{}
	one := []byte{0}
	raw, err := p.r.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = raw.Read(func(fd uintptr) bool {
		if p.sent.IsZero() {
			p.sent = time.Now()
			_, p.failure = p.w.Write(one)
			return p.failure != nil
		}
		return true
	})
	delay := time.Since(p.sent)
	if err == nil && p.failure == nil {
		_, err = io.ReadFull(p.r, one)
	}
	if err == nil {
		err = p.failure
	}
	return delay, err
}
