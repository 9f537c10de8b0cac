package proxy

import "sync/atomic"

// retryBudget counts the retries of a version that are under way.
type retryBudget struct {
	running atomic.Int64
}

// take claims a retry for an exchange that has none yet, until giveBack. It
// reports false when the budget is spent: more than the share of the version's
// requests in flight that may be retries, and more than the floor.
func (b *retryBudget) take(x *exchange, s *Settings) bool {
	if x.retrying {
		return true
	}
	allowed := max(int64(s.RetryBudget*float64(x.target.Cluster.InUse())), int64(s.RetryFloor))
	if b.running.Add(1) > allowed {
		b.running.Add(-1)
		return false
	}
	x.retrying = true
	return true
}

// giveBack returns the claim of an exchange that ends.
func (b *retryBudget) giveBack() { b.running.Add(-1) }
