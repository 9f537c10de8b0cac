package upstream

// noteFailing tells of an endpoint that failed as often as ejects one, and is
// kept all the same, since too few are left. Without it nothing but the access
// log would tell that every endpoint of a version fails.
func (c *Cluster) noteFailing(e *Endpoint) {
	c.mu.Lock()
	kept := !e.removed && e.usable()
	c.mu.Unlock()
	if !kept {
		return
	}
	now := c.now().UnixNano()
	said := c.failingSaid.Load()
	fresh := (said == 0 || now-said >= int64(sayAgainAfter)) && c.failingSaid.CompareAndSwap(said, now)
	c.tell(Event{Kind: Failing, Endpoint: e.Address, Repeated: !fresh})
}
