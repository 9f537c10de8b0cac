package driver

import "context"

// feed is a trial that a runner listens to.
type feed struct {
	trial  Trial
	cancel context.CancelFunc
}

// listen lets the bad events of a service's trial wake the runner; nil: it has
// none any more.
func (r *runner) listen(service string, t Trial) {
	f := r.feeds[service]
	if f.trial == t {
		return
	}
	if f.trial != nil {
		f.cancel()
		delete(r.feeds, service)
	}
	if t == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.feeds[service] = feed{t, cancel}
	r.tasks.Go(func() {
		for {
			select {
			case <-t.Wake():
				poke(r.poke)
			case <-ctx.Done():
				return
			}
		}
	})
}
