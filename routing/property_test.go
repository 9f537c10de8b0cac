package routing

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"

	"pgregory.net/rapid"
)

// drawWeights returns 2 to 10 weights, from 1 in 10,000 up.
func drawWeights(t *rapid.T) []int {
	weights := rapid.SliceOfN(rapid.IntRange(1, 1000), 2, 10).Draw(t, "weights")
	if rapid.Bool().Draw(t, "tiny") {
		weights[0] = 1
		weights[1] += 9999
	}
	return weights
}

func weighted(by PinBy, weights []int) Config {
	return web(func(svc *ServiceConfig) {
		svc.Pin.By, svc.Versions = by, nil
		if by == PinHeader {
			svc.Pin.Name = "X-Session"
		}
		for i, w := range weights {
			svc.Versions = append(svc.Versions, VersionConfig{Name: fmt.Sprintf("v%d", i), Slot: i, Weight: w})
		}
	})
}

// checkShares decides n times and compares the counts with the weights: each
// within six standard deviations, and six more sessions for shares that are
// hardly seen, whose counts are not normal. A fair split fails once in some
// million runs.
func checkShares(t *rapid.T, weights []int, n int, decide func(i int) int) {
	counts := make([]int, len(weights))
	for i := range n {
		counts[decide(i)]++
	}
	total := 0
	for _, w := range weights {
		total += w
	}
	for i, w := range weights {
		share := float64(w) / float64(total)
		mean, deviation := float64(n)*share, math.Sqrt(float64(n)*share*(1-share))
		if math.Abs(float64(counts[i])-mean) > 6*deviation+6 {
			t.Fatalf("version %d has %d of %d sessions, expected %.1f ± %.1f (weights %v)", i, counts[i], n, mean, deviation, weights)
		}
	}
}

func TestSharesAreTheWeights(t *testing.T) {
	const n = 4000
	rapid.Check(t, func(t *rapid.T) {
		weights := drawWeights(t)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		cookie, err := Build(weighted(PinCookie, weights))
		if err != nil {
			t.Fatal(err)
		}
		keyed, err := Build(weighted(PinHeader, weights))
		if err != nil {
			t.Fatal(err)
		}
		salt := random.Uint64()
		checkShares(t, weights, n, func(int) int {
			req := ask()
			req.Draw = random.Uint64()
			return cookie.Decide(req).Version.Slot
		})
		checkShares(t, weights, n, func(i int) int {
			return keyed.Decide(ask(fmt.Sprintf("X-Session: %d-%d", salt, i))).Version.Slot
		})
	})
}

func TestSharesPartitionTheDrawsExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := drawWeights(t)
		s, err := Build(weighted(PinCookie, weights))
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		for _, w := range weights {
			total += w
		}
		// One draw in the middle of each of total equal parts.
		counts := make([]int, len(weights))
		part := math.MaxUint64 / uint64(total)
		for i := range uint64(total) {
			counts[s.Service("web").split.at(i*part+part/2).Slot]++
		}
		for i, w := range weights {
			if counts[i] != w {
				t.Fatalf("version %d has %d of %d parts, weight %d", i, counts[i], total, w)
			}
		}
	})
}

func TestMovedSessionsAreSplitByWeight(t *testing.T) {
	const n = 20_000
	weights := []int{5, 95, 0}
	s := build(t, weighted(PinCookie, weights))
	random := rand.New(rand.NewPCG(1, 2))
	counts := [3]int{}
	for range n {
		counts[s.Decide(ask(fmt.Sprintf("Cookie: sluice_web=7.%016x.v2", random.Uint64()|1))).Version.Slot]++
	}
	if math.Abs(float64(counts[0])-n*0.05) > 5*math.Sqrt(n*0.05*0.95) {
		t.Errorf("counts %v", counts)
	}
}

func TestRaisingAWeightMovesKeysOnlyTowardsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := drawWeights(t)
		raised := rapid.IntRange(0, len(weights)-1).Draw(t, "raised")
		before, err := Build(weighted(PinHeader, weights))
		if err != nil {
			t.Fatal(err)
		}
		weights[raised] += rapid.IntRange(1, 10_000).Draw(t, "by")
		after, err := Build(weighted(PinHeader, weights))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			req := ask(fmt.Sprintf("X-Session: %d", i))
			was, is := before.Decide(req).Version.Slot, after.Decide(req).Version.Slot
			if was != is && is != raised {
				t.Fatalf("key %d moved from v%d to v%d, though only v%d was raised", i, was, is, raised)
			}
		}
	})
}

// A session goes through random flips, its pin cookie kept as a browser keeps
// it: it changes version only when its own is dark, gone or voided.
func TestAPinnedSessionStays(t *testing.T) {
	for _, by := range []PinBy{PinCookie, PinHeader} {
		rapid.Check(t, func(t *rapid.T) {
			table := NewPinTable(100)
			cookie, on := "", ""
			for epoch := range uint64(20) {
				cfg := weighted(by, rapid.SliceOfN(rapid.SampledFrom([]int{0, 1, 50}), 4, 4).Draw(t, "weights"))
				svc := &cfg.Services[0]
				svc.Epoch, svc.Pins = epoch, table
				for i := range svc.Versions {
					svc.Versions[i].Draining = rapid.Bool().Draw(t, "draining")
				}
				s, err := Build(cfg)
				if err != nil {
					t.Fatal(err)
				}
				req := ask("X-Session: alice", "Cookie: "+cookie)
				req.Draw = rapid.Uint64().Draw(t, "draw")
				d := s.Decide(req)
				if pinned := s.Service("web").Version(on); pinned != nil && pinned.Mode(now) != Dark && d.Version != pinned {
					t.Fatalf("epoch %d: the session left %s, which is %v, for %v", epoch, on, pinned.Mode(now), d.Version)
				}
				if d.Pin == PinMake {
					cookie = string(AppendPinCookie(nil, &d, d.Service, false))
					on = d.Version.Name
					d.Remember(now)
				}
			}
		})
	}
}

// Whatever a client sends without authority, it never reaches a dark version.
func TestADarkVersionIsNeverReachedWithoutAuthority(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := drawConfig(t)
		for i := range cfg.Services {
			for j := range cfg.Services[i].Rules {
				cfg.Services[i].Rules[j].Dark = false
			}
		}
		s, err := Build(cfg)
		if err != nil {
			return
		}
		for range 8 {
			req := drawRequest(t)
			req.Trusted = false
			f := req.Fields.(fields)
			f["sluice-token"] = rapid.SampledFrom([]string{"", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzbHVpY2UiOnsid2ViIjoidjEifX0."}).Draw(t, "token")
			if d := s.Decide(req); d.Version != nil && d.Version.Mode(req.Now) == Dark {
				t.Fatalf("%v reached the dark version %s by %s", f, d.Version.Name, ReasonText(&d))
			}
		}
	})
}

// keyedChoices is a hash of where 10,000 keys go.
func keyedChoices(t *testing.T) string {
	s := build(t, weighted(PinHeader, []int{1, 20, 300, 4000}))
	sum := sha256.New()
	for i := range 10_000 {
		d := s.Decide(ask(fmt.Sprintf("X-Session: user-%d", i)))
		fmt.Fprintf(sum, "%s %x\n", d.Version.Name, d.Session)
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// goldenChoices was written by the first version of this code. If it changes,
// every keyed session in the world moves: that needs a very good reason.
const goldenChoices = "bac437db0e993e192b394fedb997453d85d39e3a0cf9406226e957abd143ad5a"

func TestKeysGoWhereTheyAlwaysWent(t *testing.T) {
	if got := keyedChoices(t); got != goldenChoices {
		t.Errorf("keyed choices hash to %s, want %s", got, goldenChoices)
	}
}

func TestKeysGoTheSameWayInAnotherProcess(t *testing.T) {
	const variable = "SLUICE_TEST_KEYED_CHOICES"
	if os.Getenv(variable) != "" {
		fmt.Printf("choices=%s\n", keyedChoices(t))
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestKeysGoTheSameWayInAnotherProcess$")
	cmd.Env = append(os.Environ(), variable+"=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var other string
	if _, err := fmt.Sscanf(string(out), "choices=%s", &other); err != nil || other != keyedChoices(t) {
		t.Errorf("the other process says %q, this one %s", out, keyedChoices(t))
	}
}
