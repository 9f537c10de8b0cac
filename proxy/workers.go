package proxy

import "sync"

// workers are the goroutines of HTTP/2's streams. One that has led a request
// has grown the stack that the next needs; growing a new one's, step by step,
// is a twentieth of a small request's cost. The zero value has none.
type workers struct {
	mu    sync.Mutex
	idle  []*worker
	conns int // HTTP/2 connections: idle workers end with the last of them
}

// worker is a goroutine that leads one stream after the other.
type worker struct{ next chan *stream2 }

// maxIdleWorkers is how many wait for a stream: at some 16 KiB each, 4 MiB.
const maxIdleWorkers = 256

// run leads a stream in a goroutine of its own, and does not wait for it.
func (p *workers) run(s *stream2) {
	p.mu.Lock()
	last := len(p.idle) - 1
	if last < 0 {
		p.mu.Unlock()
		go p.work(&worker{next: make(chan *stream2, 1)}, s)
		return
	}
	w := p.idle[last]
	p.idle = p.idle[:last]
	p.mu.Unlock()
	w.next <- s
}

// work is a worker's goroutine.
func (p *workers) work(w *worker, s *stream2) {
	for s != nil {
		s.run()
		if !p.park(w) {
			return
		}
		s = <-w.next
	}
}

// park lets a worker wait for a stream; it reports false if it is to end.
func (p *workers) park(w *worker) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == 0 || len(p.idle) >= maxIdleWorkers {
		return false
	}
	p.idle = append(p.idle, w)
	return true
}

// join counts a connection whose streams will be led.
func (p *workers) join() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns++
}

// leave ends what join began.
func (p *workers) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns--; p.conns > 0 {
		return
	}
	for _, w := range p.idle {
		w.next <- nil
	}
	p.idle = nil
}
