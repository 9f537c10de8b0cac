package upstream

import "time"

// failed counts a failed request or dial, and ejects the endpoint when there
// were too many in a row.
func (c *Cluster) failed(e *Endpoint) {
	e.failures.Add(1)
	cfg := &c.view.Load().cfg.Outlier
	// Where the endpoint may not be ejected the row grows on; asking again
	// only at its multiples keeps failing requests off the lock.
	if n := e.inARow.Add(1); cfg.Disabled || n%int64(max(1, cfg.Consecutive)) != 0 {
		return
	}
	if until, ok := c.eject(e); ok {
		c.emit(Ejected, e, until, nil)
	} else {
		c.noteFailing(e)
	}
}

// eject takes the endpoint out of the choice if it may be, and returns until
// when.
func (c *Cluster) eject(e *Endpoint) (until time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := c.view.Load()
	if e.removed || !e.usable() || v.healthy < 2 || v.ejected() >= maxEjected(len(v.all), v.cfg.Outlier.MaxPercent) {
		return time.Time{}, false
	}
	until = e.ejection.begin(c.now(), v.cfg.Outlier.Base)
	c.refresh()
	return until, true
}

// ejected counts the endpoints that are ejected. The caller holds the
// cluster's mu.
func (v *view) ejected() int {
	n := 0
	for _, e := range v.all {
		if e.ejection.on {
			n++
		}
	}
	return n
}

// recall ends the ejections whose time is up.
func (c *Cluster) recall() {
	now := c.now()
	var returned []*Endpoint
	c.mu.Lock()
	for _, e := range c.view.Load().all {
		if e.ejection.over(now) {
			e.comeBack(now)
			returned = append(returned, e)
		}
	}
	if len(returned) > 0 {
		c.refresh()
	}
	c.mu.Unlock()
	for _, e := range returned {
		c.emit(Returned, e, time.Time{}, nil)
	}
}

// returnExcess ends ejections, those that would end first, until no more are
// left than a new configuration allows. The caller holds mu.
func (c *Cluster) returnExcess(next *view) (returned []*Endpoint) {
	allowed := 0
	if !next.cfg.Outlier.Disabled {
		allowed = maxEjected(len(next.all), next.cfg.Outlier.MaxPercent)
	}
	now := c.now()
	for n := next.ejected(); n > allowed; n-- {
		var first *Endpoint
		for _, e := range next.all {
			if e.ejection.on && (first == nil || e.ejection.until.Before(first.ejection.until)) {
				first = e
			}
		}
		first.comeBack(now)
		returned = append(returned, first)
	}
	return returned
}

// comeBack ends the endpoint's ejection; failures count from nothing, and its
// part of the requests begins small. The caller holds the cluster's mu.
func (e *Endpoint) comeBack(now time.Time) {
	e.ejection.end(now)
	e.inARow.Store(0)
	e.warmUp(now)
}
