package limit

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	target = 20 * time.Millisecond
	tick   = int64(10 * time.Millisecond)
)

// share returns the share of draws that are admitted.
func (o *Overload) share() float64 {
	refused := 0
	for i := range 1000 {
		if o.Refuses(func() uint64 { return uint64(i) * (math.MaxUint64 / 1000) }) {
			refused++
		}
	}
	return 1 - float64(refused)/1000
}

// TestABurstIsNoOverload: late samples with one among them that is not.
func TestABurstIsNoOverload(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, now := NewOverload(target), int64(0)
		for range 200 {
			now += tick
			delay := time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "delay"))
			if o.samples == leastSamples-2 {
				delay = target
			}
			o.Observe(now, delay)
			if share, _ := o.Admitted(); share < 1 || o.Refuses(func() uint64 { return 0 }) {
				t.Fatalf("admits %v", share)
			}
		}
	})
}

// TestOverloadComesAndGoes: a queue that stands is cut within two intervals, and
// a second after it has gone all is admitted.
func TestOverloadComesAndGoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o, now := NewOverload(target), int64(0)
		least := time.Duration(rapid.Int64Range(int64(target)+1, int64(3*time.Second)).Draw(t, "least"))
		for range rapid.IntRange(11, 500).Draw(t, "samples") {
			now += tick
			o.Observe(now, least+time.Duration(rapid.Int64Range(0, int64(least)).Draw(t, "more")))
		}
		share, _ := o.Admitted()
		if share >= 1 || share < leastAdmitted || math.Abs(o.share()-share) > 0.002 || o.Calm() {
			t.Fatalf("admits %v, by draws %v", share, o.share())
		}
		for range 100 {
			now += tick
			o.Observe(now, target/2)
		}
		if share, _ := o.Admitted(); share < 1 || o.share() < 1 || !o.Calm() {
			t.Fatalf("a second later admits %v", share)
		}
	})
}

// TestOverloadSettles between half of the target and the target.
func TestOverloadSettles(t *testing.T) {
	o, now := NewOverload(target), int64(0)
	for range 1000 {
		now += tick
		share, _ := o.Admitted()
		o.Observe(now, time.Duration(share*5*float64(target))) // five times the load
	}
	if share, delay := o.Admitted(); share < 0.1 || share > 0.2 || delay > target {
		t.Errorf("admits %v with a delay of %v", share, delay)
	}
	o.Reset()
	if share, _ := o.Admitted(); share != 1 || o.share() != 1 || !o.Calm() {
		t.Error("Reset leaves something")
	}
	if (*Overload)(nil).Refuses(nil) {
		t.Error("nothing refuses")
	}
}
