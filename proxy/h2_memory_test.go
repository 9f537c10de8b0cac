package proxy

import "testing"

// TestIdleHTTP2ConnectionsOwnNoMemory: whichever ends last, the write of an
// answer or its stream, gives back what frames are gathered in.
func TestIdleHTTP2ConnectionsOwnNoMemory(t *testing.T) {
	t.Parallel()
	b := newRecorder(t, nil)
	r := newRig(t, map[string]string{"v1": b.addr}, h2c)
	client := r.dial2()
	for id := uint32(1); id < 20; id += 2 {
		client.alive(id)
		client.expect("DATA")
		c := r.onlyConn2()
		eventually(t, "nothing is held", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return len(c.open) == 0 && c.out.mem == nil && c.out.spare == nil
		})
	}
}
