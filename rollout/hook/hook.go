// Package hook tells others of the transitions of rollouts: it posts them to
// URLs, signed, and gives them to commands. A rollout never waits for it.
//
// Each receiver hears of the transitions in their order; one that fails is
// tried again for a while, and what it never takes is logged and counted. What
// still waits when the process ends is lost: the state keeps every transition,
// and a receiver that must have all of them reads them there.
package hook

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"sluice/state"
)

// Transition is what hooks are told: the body of a POST, the input of a command.
type Transition struct {
	// ID names the transition: the rollout's ID, its count of transitions, and
	// where this one led. It is the same each time that it is sent, so that receivers
	// know a repetition.
	ID      string `json:"id"`
	Rollout string `json:"rollout"`
	// Set is the name of the release set; "" for a single service.
	Set      string           `json:"set,omitempty"`
	Legs     []Leg            `json:"legs"`
	Policy   string           `json:"policy"`
	At       time.Time        `json:"at"`
	From     state.Phase      `json:"from"`
	To       state.Phase      `json:"to"`
	Stage    int              `json:"stage"`
	Share    float64          `json:"share"` // of new sessions, 0 to 1
	By       string           `json:"by"`
	Why      string           `json:"why"`
	Evidence []state.Evidence `json:"evidence,omitempty"`
}

// Leg is the part of a rollout in one service.
type Leg struct {
	Service   string `json:"service"`
	Candidate string `json:"candidate"`
	Baseline  string `json:"baseline,omitempty"`
}

// Transitions describes the moves of a rollout that came after the one of a Seq,
// oldest first.
func Transitions(r *state.Rollout, after uint64) []Transition {
	var all []Transition
	for _, m := range r.Moves {
		if m.Seq <= after {
			continue
		}
		t := Transition{
			ID: fmt.Sprintf("%s-%d-%s", r.ID, m.Seq, m.To), Rollout: r.ID, Set: r.Set, Policy: r.Policy.Name,
			At: m.At, From: m.From, To: m.To, Stage: m.Stage, Share: float64(m.Share) / 1e4,
			By: m.By, Why: m.Why, Evidence: m.Evidence,
		}
		for _, l := range r.Legs {
			t.Legs = append(t.Legs, Leg{Service: l.Service, Candidate: l.Candidate, Baseline: l.Baseline})
		}
		all = append(all, t)
	}
	return all
}

// Options are what a Sender needs.
type Options struct {
	Log *zap.Logger // nil: none
	// Secret returns the secret of a name; nil where there is none.
	Secret func(name string) []byte
	// Failed is called for each transition that a hook never took.
	Failed func()
	// Now is the clock of signatures; nil: time.Now.
	Now func() time.Time
	// Wait waits between two tries, or until ctx ends; nil: by a timer.
	Wait func(ctx context.Context, d time.Duration)
}

// Sender tells hooks. Its methods may be called by several goroutines.
type Sender struct {
	opts   Options
	client *http.Client
	ctx    context.Context // ends the tries
	cancel context.CancelFunc

	mu     sync.Mutex
	lanes  map[string]*lane // by receiver, while it has something to hear
	closed bool
	tasks  sync.WaitGroup
}

// lane is what one receiver has still to hear, oldest first.
type lane struct{ waiting []job }

type job struct {
	hook       state.Hook
	transition Transition
	body       []byte
}

// The bounds of what waits: of a receiver, and how many receivers there are at
// a time. What comes on top is not sent.
const (
	maxWaiting = 100
	maxLanes   = 100
)

// New returns a sender, to be closed.
func New(opts Options) *Sender {
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	if opts.Secret == nil {
		opts.Secret = func(string) []byte { return nil }
	}
	if opts.Failed == nil {
		opts.Failed = func() {}
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Wait == nil {
		opts.Wait = wait
	}
	s := &Sender{opts: opts, client: newClient(), lanes: map[string]*lane{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Tell gives a transition to those of the hooks that want it. It returns at
// once.
func (s *Sender) Tell(t Transition, hooks []state.Hook) {
	body, malformed := json.Marshal(t)
	for _, h := range hooks {
		if len(h.On) > 0 && !slices.Contains(h.On, t.To) {
			continue
		}
		j := job{h, t, body}
		err := malformed
		if err == nil {
			err = s.enqueue(j)
		}
		if err != nil {
			s.failed(j, err)
		}
	}
}

// enqueue lets a job wait behind those of its receiver.
func (s *Sender) enqueue(j job) error {
	key := j.hook.URL + "\x00" + strings.Join(j.hook.Command, "\x00")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	l := s.lanes[key]
	switch {
	case l == nil && len(s.lanes) == maxLanes:
		return fmt.Errorf("%d other hooks have still to be told", maxLanes)
	case l == nil:
		l = &lane{}
		s.lanes[key] = l
		s.tasks.Go(func() { s.run(key, l) })
	case len(l.waiting) == maxWaiting:
		return fmt.Errorf("%d transitions before it have still to be told", maxWaiting)
	}
	l.waiting = append(l.waiting, j)
	return nil
}

// run tells one receiver until nothing waits for it.
func (s *Sender) run(key string, l *lane) {
	for {
		s.mu.Lock()
		if len(l.waiting) == 0 {
			delete(s.lanes, key)
			s.mu.Unlock()
			return
		}
		j := l.waiting[0]
		s.mu.Unlock()
		if err := s.tell(j); err != nil {
			s.failed(j, err)
		}
		s.mu.Lock()
		l.waiting = slices.Delete(l.waiting, 0, 1)
		s.mu.Unlock()
	}
}

// The tries of a webhook: the second comes after about firstPause, each later
// one after twice as long, up to maxPause. All together take some five minutes.
const (
	maxTries   = 9
	firstPause = time.Second
	maxPause   = time.Minute
)

// defaultTimeout is how long one try may take where the hook does not say.
const defaultTimeout = 10 * time.Second

// tell brings one transition to its receiver. A command has one try: nobody
// knows how much of its work it had done.
func (s *Sender) tell(j job) error {
	if s.ctx.Err() != nil {
		return errClosed
	}
	if j.hook.Timeout <= 0 {
		j.hook.Timeout = defaultTimeout
	}
	if len(j.hook.Command) > 0 {
		return s.command(j)
	}
	pause := firstPause
	for try := 1; ; try++ {
		again, err := s.post(j)
		switch {
		case err == nil:
			return nil
		case !again:
			return err
		case try == maxTries:
			return fmt.Errorf("%w, at the last of %d tries", err, maxTries)
		}
		s.log(j).Warn("a hook does not answer; it is tried again", zap.Error(err), zap.Duration("in", pause))
		// Half of the pause is drawn, so that receivers that fail together are not
		// tried together.
		s.opts.Wait(s.ctx, pause/2+rand.N(pause/2))
		if s.ctx.Err() != nil {
			return fmt.Errorf("%w, and the process ends", err)
		}
		pause = min(2*pause, maxPause)
	}
}

func (s *Sender) failed(j job, err error) {
	s.opts.Failed()
	s.log(j).Error("a hook was not told of a transition", zap.Error(err))
}

// log names the hook without what may be secret: of an URL, the host alone; of
// a command, no argument.
func (s *Sender) log(j job) *zap.Logger {
	return s.opts.Log.With(zap.String("hook", display(j.hook)), zap.String("rollout", j.transition.Rollout),
		zap.String("to", string(j.transition.To)))
}

// Close waits until all hooks are told or ctx ends, and then ends what is under
// way. No transition is taken from now on.
func (s *Sender) Close(ctx context.Context) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		s.tasks.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-ctx.Done():
	}
	s.cancel()
	<-idle
	s.client.CloseIdleConnections()
}
