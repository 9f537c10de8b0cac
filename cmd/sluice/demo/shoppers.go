package demo

import (
	"context"
	"math/rand/v2"
	"sync"
)

// aisles are what shoppers of shop look at, shelves those of books.
var (
	aisles  = []string{"/shop", "/shop/shelf/3", "/shop/shelf/17", "/shop/till"}
	shelves = []string{"/books", "/books/3", "/books/17", "/books/42"}
)

// shoppers are browsers with short visits: many sessions in little time, which is
// what a judge needs to be quick.
type shoppers struct {
	load    *load
	service string
	paths   []string
	end     context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	sessions int64
}

// open lets shoppers in a service, who look at these paths; they come until
// closeShop.
func (l *load) open(service string, paths []string) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &shoppers{load: l, service: service, paths: paths, end: cancel}
	for range l.pace.Shoppers {
		s.running.Go(func() { s.browse(ctx) })
	}
	l.shop = s
}

// closeShop ends the visits, after the requests under way.
func (l *load) closeShop() {
	if l.shop == nil {
		return
	}
	l.shop.end()
	l.shop.running.Wait()
	l.shop = nil
}

func (s *shoppers) browse(ctx context.Context) {
	for pause(ctx, jitter(s.load.pace.Stroll)) {
		v := newVisitor(s.load.base, s.load.transport)
		id := s.next()
		for n := range 1 + rand.IntN(2) {
			if n > 0 && !pause(ctx, jitter(s.load.pace.Stroll)) {
				return
			}
			a := v.get(s.paths[rand.IntN(len(s.paths))])
			a.Service, a.Session, a.First = s.service, id, n == 0
			s.load.journal.add(a)
		}
	}
}

func (s *shoppers) next() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions++
	return s.sessions
}
