package proxy

import "sync/atomic"

// retryBudget counts the retries and hedges of a version that are under way.
type retryBudget struct {
	running atomic.Int64
}

// take claims a retry for an exchange that has none yet, until giveBack. It
// reports false when the budget is spent.
func (b *retryBudget) take(x *exchange) bool {
	x.retrying = x.retrying || b.claim(x.target)
	return x.retrying
}

// claim claims a retry, or a hedge, until giveBack. It reports false when the
// budget is spent: more than the share of the version's requests in flight that
// may be retries, and more than the floor.
func (b *retryBudget) claim(t *Target) bool {
	allowed := max(int64(t.Settings.RetryBudget*float64(t.Cluster.InUse())), int64(t.Settings.RetryFloor))
	if b.running.Add(1) > allowed {
		b.running.Add(-1)
		return false
	}
	return true
}

// giveBack returns a claim.
func (b *retryBudget) giveBack() { b.running.Add(-1) }
