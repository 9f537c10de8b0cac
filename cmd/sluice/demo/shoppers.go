package demo

import (
	"context"
	"math/rand/v2"
	"sync"
)

// aisles are what shoppers look at.
var aisles = []string{"/shop", "/shop/shelf/3", "/shop/shelf/17", "/shop/till"}

// shoppers are browsers with short visits: many sessions in little time, which is
// what a judge needs to be quick.
type shoppers struct {
	load    *load
	end     context.CancelFunc
	running sync.WaitGroup

	mu       sync.Mutex
	sessions int64
}

// openShop lets shoppers in; they come until closeShop.
func (l *load) openShop() {
	ctx, cancel := context.WithCancel(context.Background())
	s := &shoppers{load: l, end: cancel}
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
			a := v.get(aisles[rand.IntN(len(aisles))])
			a.Service, a.Session, a.First = "shop", id, n == 0
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
