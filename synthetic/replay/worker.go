package replay

import (
	"context"
	"fmt"
	"time"
)

// worker sends one request after another, over connections of its own.
type worker struct {
	*runner
	target, against         *client // against is nil where nothing is compared
	baseline, again, answer Answer
}

func newWorker(r *runner) *worker {
	w := &worker{runner: r, target: newClient(&r.cfg.Target, &r.cfg)}
	if r.cfg.Against != nil {
		w.against = newClient(r.cfg.Against, &r.cfg)
	}
	if r.cfg.Comparer != nil {
		for _, a := range []*Answer{&w.baseline, &w.again, &w.answer} {
			a.kept = &r.kept
		}
	}
	return w
}

// work serves sessions while there are any.
func (w *worker) work(ctx context.Context) {
	for s := range w.sessions.ready {
		if ctx.Err() == nil {
			w.serve(ctx, s)
		}
		w.sessions.done(s)
	}
	w.target.close()
	if w.against != nil {
		w.against.close()
	}
}

// serve sends a session's next request.
func (w *worker) serve(ctx context.Context, s *session) {
	req := w.sessions.first(s)
	var lag time.Duration
	if !req.due.IsZero() {
		lag = w.cfg.Now().Sub(req.due)
	}
	var jars [2]*jar
	if w.cfg.Cookies && !s.alone {
		jars = [2]*jar{&s.jars[0], &s.jars[1]}
	}
	baseline, again := w.askBaseline(ctx, req, jars[1])
	w.target.ask(ctx, req, jars[0], &w.answer)
	if ctx.Err() != nil {
		return // it was cut off by us
	}
	if w.tally.record(req, &w.answer, baseline, lag) {
		w.stop(fmt.Errorf("%w: %s", errTooMany, w.cfg.Tolerance))
	}
	if baseline != nil && w.cfg.Comparer != nil {
		w.compare(req, baseline, again)
	}
}

// askBaseline asks the other version where there is one, twice where nothing can
// be harmed: what differs between its own answers is noise.
func (w *worker) askBaseline(ctx context.Context, req *Request, cookies *jar) (baseline, again *Answer) {
	if w.against == nil {
		return nil, nil
	}
	w.against.ask(ctx, req, cookies, &w.baseline)
	if !isSafe(req.Method) || w.cfg.Comparer == nil {
		return &w.baseline, nil
	}
	w.against.ask(ctx, req, cookies, &w.again)
	return &w.baseline, &w.again
}

// compare has the answers compared, and lets go of their bodies.
func (w *worker) compare(req *Request, baseline, again *Answer) {
	w.comparing <- struct{}{}
	w.cfg.Comparer.Add(req, baseline, again, &w.answer)
	<-w.comparing
	for _, a := range []*Answer{&w.baseline, &w.again, &w.answer} {
		a.reset()
	}
}
