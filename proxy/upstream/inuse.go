package upstream

// InUse returns how many connections are between Acquire and Release: the
// version's requests in flight.
func (c *Cluster) InUse() int64 { return c.busy.Load() }
