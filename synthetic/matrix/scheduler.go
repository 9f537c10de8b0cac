package matrix

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Suite is the journeys of a service against one of its versions, as the
// scheduler runs them.
type Suite struct {
	Place
	Every    time.Duration // from one begin to the next, give or take a tenth; 0: it is not run
	Deadline time.Duration // of a run of the whole suite; above 0
	// Build tells apart what is run: another one is run at once.
	Build string
}

// soonest is how soon a suite is run again that has not passed yet: a version that
// is still starting is not to wait for long.
const soonest = 10 * time.Second

// Options are what a Scheduler works with.
type Options struct {
	// Run runs a suite and tells whether it passed. It keeps to its context, which
	// ends with the deadline or when the suite is no more. It is called by many
	// goroutines.
	Run  func(ctx context.Context, s Suite, cause Cause) bool
	Now  func() time.Time // nil: time.Now
	Rand func() float64   // 0 to 1, for the jitter
	// Timer returns what is sent to after a time, and what ends that; nil: a
	// time.Timer.
	Timer func(time.Duration) (<-chan time.Time, func())
}

// Scheduler runs suites: each at once, and then again and again, no more at the
// same time than its concurrency. A suite that is still running when its time
// comes is skipped.
type Scheduler struct {
	opts  Options
	wake  chan struct{} // something is to be looked at
	tasks sync.WaitGroup
	stop  context.CancelFunc

	mu          sync.Mutex
	suites      map[string]map[Place]*entry // by service
	running     int
	concurrency int
}

// entry is a suite and where it stands.
type entry struct {
	Suite
	due     time.Time // of the next run
	begun   bool      // it was run at least once
	proven  bool      // it has passed
	running bool
	cancel  context.CancelFunc // while it runs
	skipped uint64
}

// NewScheduler returns one that runs nothing before Start.
func NewScheduler(opts Options) *Scheduler {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Timer == nil {
		opts.Timer = func(d time.Duration) (<-chan time.Time, func()) {
			t := time.NewTimer(d)
			return t.C, func() { t.Stop() }
		}
	}
	return &Scheduler{opts: opts, wake: make(chan struct{}, 1), suites: map[string]map[Place]*entry{}, concurrency: 1}
}

// Start begins to run what is due, until Stop.
func (s *Scheduler) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.tasks.Go(func() {
		for {
			idle, timed := s.begin(ctx)
			var due <-chan time.Time
			stop := func() {}
			if timed {
				due, stop = s.opts.Timer(idle)
			}
			select {
			case <-due:
			case <-s.wake:
			case <-ctx.Done():
				stop()
				return
			}
			stop()
		}
	})
}

// Stop ends what runs and waits for it. Nothing is run afterwards.
func (s *Scheduler) Stop() {
	if s.stop != nil {
		s.stop()
		s.tasks.Wait()
	}
}

// SetConcurrency says how many suites run at the same time; at least 1.
func (s *Scheduler) SetConcurrency(n int) {
	s.mu.Lock()
	s.concurrency = max(n, 1)
	s.mu.Unlock()
	s.poke()
}

// Follow replaces the suites of a service. One that is new, or of another build,
// is run at once; one that is no more is ended.
func (s *Scheduler) Follow(service string, suites []Suite) {
	s.mu.Lock()
	defer s.poke()
	defer s.mu.Unlock()
	old, now := s.suites[service], map[Place]*entry{}
	for _, suite := range suites {
		if suite.Every <= 0 {
			continue
		}
		e := old[suite.Place]
		switch {
		case e == nil || e.Build != suite.Build:
			e = &entry{Suite: suite, due: s.opts.Now()}
		case e.Every != suite.Every:
			e.due = s.after(suite.Every)
		}
		e.Suite = suite
		now[suite.Place] = e
	}
	for place, e := range old {
		if now[place] != e && e.cancel != nil {
			e.cancel()
		}
	}
	s.suites[service] = now
	if len(now) == 0 {
		delete(s.suites, service)
	}
}

// Skipped returns how often each suite was skipped, since the one before still ran
// or others took all the room.
func (s *Scheduler) Skipped() map[Place]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[Place]uint64{}
	for _, suites := range s.suites {
		for place, e := range suites {
			all[place] = e.skipped
		}
	}
	return all
}

func (s *Scheduler) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// begin starts what is due, as far as there is room, and returns how long it is
// until more is; false: nobody knows, somebody will poke.
func (s *Scheduler) begin(ctx context.Context) (idle time.Duration, timed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Now()
	for _, e := range s.due(now) {
		switch {
		case e.running:
			e.skipped++
			e.due = s.after(e.Every)
		case s.running < s.concurrency && ctx.Err() == nil:
			s.run(ctx, e, now)
		}
	}
	for _, suites := range s.suites {
		for _, e := range suites {
			if left := e.due.Sub(now); left > 0 && (!timed || left < idle) {
				idle, timed = left, true
			}
		}
	}
	return idle, timed
}

// due returns what is due: what was never run first, then what is due for longest.
func (s *Scheduler) due(now time.Time) []*entry {
	var all []*entry
	for _, suites := range s.suites {
		for _, e := range suites {
			if !e.due.After(now) {
				all = append(all, e)
			}
		}
	}
	slices.SortFunc(all, func(a, b *entry) int {
		if a.begun != b.begun {
			if a.begun {
				return 1
			}
			return -1
		}
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Version, b.Version))
	})
	return all
}

// run starts a suite.
func (s *Scheduler) run(ctx context.Context, e *entry, now time.Time) {
	if e.begun {
		e.skipped += uint64(now.Sub(e.due) / e.Every) // while it waited for room
	}
	cause := Scheduled
	if !e.begun {
		cause = Registered
	}
	e.begun, e.running = true, true
	e.due = s.after(e.Every)
	s.running++
	suite := e.Suite
	ctx, e.cancel = context.WithTimeout(ctx, suite.Deadline)
	s.tasks.Go(func() {
		passed := s.opts.Run(ctx, suite, cause)
		s.mu.Lock()
		defer s.poke()
		defer s.mu.Unlock()
		e.cancel()
		e.running, e.proven = false, e.proven || passed
		s.running--
		if soon := s.after(min(e.Every, soonest)); !e.proven && soon.Before(e.due) {
			e.due = soon
		}
	})
}

// after returns the moment that is a time from now, give or take a tenth.
func (s *Scheduler) after(d time.Duration) time.Time {
	return s.opts.Now().Add(d*9/10 + time.Duration(float64(d)/5*s.opts.Rand()))
}
