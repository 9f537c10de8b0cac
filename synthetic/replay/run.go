package replay

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
	"time"
)

// Comparer takes what versions answered to one request: the baseline, the
// baseline again (nil where the request is not safe, and so was sent once), and
// the target. It is called by many goroutines, and keeps none of its arguments.
type Comparer interface {
	Add(r *Request, baseline, again, target *Answer)
}

// Config is how to replay.
type Config struct {
	Target      Target
	Against     *Target // each request goes there, too, and is compared; nil: not
	Comparer    Comparer
	Filter      Filter
	Pace        Pace
	Concurrency int           // requests under way at a time; 0: 64
	Timeout     time.Duration // of a connection, and of an answer to its end; 0: 30 s
	Cookies     bool          // sessions keep the cookies that they are given
	Limit       int64         // requests to send; 0: all
	Tolerance   Tolerance

	// Progress is called with the time between that, and at the end.
	Progress func(Progress)
	Every    time.Duration

	Now   func() time.Time                           // nil: time.Now
	Sleep func(ctx context.Context, d time.Duration) // until d has passed or ctx has ended; nil: by a timer
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	if c.Concurrency <= 0 {
		c.Concurrency = 64
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sleep == nil {
		c.Sleep = sleep
	}
	return c
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// errEnough ends a replay that has sent what it was to send.
var errEnough = errors.New("enough")

// runner is a replay under way.
type runner struct {
	cfg       Config
	source    *Source
	parser    *Parser
	sessions  *sessions
	tally     *tally
	kept      memory        // by answers that are being compared
	comparing chan struct{} // as many at a time as there are processors
	stop      context.CancelCauseFunc
}

// Run replays the requests of a source and returns when all were answered, when
// there were too many errors, or when ctx ends. The report says which.
func Run(ctx context.Context, cfg Config, source *Source, parser *Parser) *Report {
	cfg = cfg.withDefaults()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &runner{cfg: cfg, source: source, parser: parser, sessions: newSessions(), stop: stop, tally: newTally(&cfg), comparing: make(chan struct{}, runtime.GOMAXPROCS(0))}
	workers := make([]*worker, cfg.Concurrency)
	for i := range workers {
		workers[i] = newWorker(r)
	}
	defer context.AfterFunc(ctx, func() { r.interrupt(workers) })()
	quit := r.tell()
	var working sync.WaitGroup
	for _, w := range workers {
		working.Go(func() { w.work(ctx) })
	}
	err := r.readUntil(ctx)
	r.sessions.finish()
	working.Wait()
	quit()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return r.report(err)
}

// tell calls Progress from time to time, until its result is called.
func (r *runner) tell() func() {
	if r.cfg.Progress == nil || r.cfg.Every <= 0 {
		return func() {}
	}
	quit, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(r.cfg.Every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				r.cfg.Progress(r.progress())
			case <-quit:
				last := r.progress()
				last.Ended = true
				r.cfg.Progress(last)
				return
			}
		}
	}()
	return func() { close(quit); <-gone }
}

// Progress is how far a replay is.
type Progress struct {
	Done, Total        int64 // bytes of the logs as they are stored; Total 0: not known
	Sent, Errors       int64
	Elapsed            time.Duration
	At                 time.Time // in the log
	Malformed, LeftOut int64
	Ended              bool // it is told of for the last time
}

func (r *runner) progress() Progress {
	p := r.tally.progress(r.cfg.Now())
	p.Done, p.Total = r.source.Progress()
	return p
}

// readUntil reads until the logs or ctx end: a pipe may bring nothing for ever,
// and whoever interrupts a replay doesn't wait for its next line.
func (r *runner) readUntil(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- r.read(ctx) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		r.source.Close()
		return ctx.Err()
	}
}

// read takes the lines one by one and gives their requests to their sessions
// when they are due. It returns why it ended before the end of the logs.
func (r *runner) read(ctx context.Context) error {
	clock := clock{pace: r.cfg.Pace}
	start, sent := r.cfg.Now(), int64(0)
	for ctx.Err() == nil {
		line, where, number, err := r.source.Next()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == io.EOF: // a wrapped one is of a log that was cut off
			return nil
		case errors.Is(err, errLongLine):
			r.tally.malformed(where, number, err)
			continue
		case err != nil:
			return err
		}
		req, err := r.parser.Parse(line)
		if err != nil {
			r.tally.malformed(where, number, err)
			continue
		}
		if !r.tally.take(&req, r.cfg.Filter.look(&req)) {
			continue
		}
		if r.cfg.Limit > 0 && sent == r.cfg.Limit {
			return errEnough
		}
		sent++
		if r.cfg.Pace != (Pace{}) {
			req.due = start.Add(clock.due(req.At))
			if wait := req.due.Sub(r.cfg.Now()); wait > time.Millisecond {
				r.cfg.Sleep(ctx, wait)
			}
		}
		if !r.sessions.put(ctx, &req) {
			return nil
		}
	}
	return nil
}

// interrupt ends what waits and what is under way.
func (r *runner) interrupt(workers []*worker) {
	r.sessions.interrupt()
	for _, w := range workers {
		w.target.interrupt()
		if w.against != nil {
			w.against.interrupt()
		}
	}
}
