package proxy

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"sluice/proxy/head"
	"sluice/stats"
)

// maxShadowAllocs is how many allocations a request that is copied may cost, its
// copy included: the goroutine's closure, and what the answer's fields or body
// outgrow now and then.
const maxShadowAllocs = 4

// newShadowRig is a proxy that copies a share of the requests to a second version.
func newShadowRig(t testing.TB, share float64, again bool) *rig {
	addr := plainBackend(t, "\r\n\r\n")
	return newRig(t, map[string]string{"v1": addr, "v2": addr}, func(r *rig) {
		r.options.Access = AccessLog{Mode: AccessErrors, Write: func([]byte) {}}
		r.shadows = map[string]*Shadow{"v1": {To: 1, Share: share, Again: again, Tell: func(*ShadowPair) {}}}
		r.service.Versions[1].Weight = 0
	})
}

// TestRequestsThatAreNotCopiedAllocateNothing, though others are.
func TestRequestsThatAreNotCopiedAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r := newShadowRig(t, 0, false)
	if n := allocsPerRequest(t, newAsker(t, r.addr, get("/", "Cookie: sluice_web=1.94f1492df24517ec.v1"))); n > maxAllocs {
		t.Errorf("%.3f allocations a request", n)
	}
}

// TestCopiesAllocateLittle: what a copy keeps is used again.
func TestCopiesAllocateLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r := newShadowRig(t, 1, false)
	n := allocsPerRequest(t, newAsker(t, r.addr, get("/", "Cookie: sluice_web=1.94f1492df24517ec.v1")))
	t.Logf("%.3f allocations a request", n)
	if n > maxShadowAllocs {
		t.Errorf("%.3f allocations a request", n)
	}
}

// BenchmarkProxyGetCopied is BenchmarkProxyGet with a copy of each request.
func BenchmarkProxyGetCopied(b *testing.B) {
	for _, share := range []float64{0, 0.1, 1} {
		b.Run(fmt.Sprintf("share=%v", share), func(b *testing.B) {
			r := newShadowRig(b, share, false)
			a := newAsker(b, r.addr, get("/", "Cookie: sluice_web=1.94f1492df24517ec.v1"))
			for range 100 {
				a.ask(b)
			}
			b.ReportAllocs()
			for b.Loop() {
				a.ask(b)
			}
		})
	}
}

// TestKeptAnswersAreWhole: whatever the pieces, a body is kept if it is within its
// limit, and nothing of a longer one, and all memory is counted and given back.
func TestKeptAnswersAreWhole(t *testing.T) {
	registry := stats.New(stats.Options{})
	rapid.Check(t, func(t *rapid.T) {
		srv := &Server{}
		srv.shadows.init(ShadowLimits{Bytes: rapid.SampledFrom([]int64{0, 4 << 10, 40 << 10}).Draw(t, "memory")})
		target := Target{Stats: registry.Version("web", "v2")}.prepared("v2", nil)
		sh := new(shadowed)
		sh.srv, sh.to, sh.maxBody = srv, target, int64(rapid.IntRange(1, 30_000).Draw(t, "limit"))
		var pieces [][]byte
		for i, n := range rapid.SliceOfN(rapid.IntRange(1, 4000), 0, 20).Draw(t, "pieces") {
			pieces = append(pieces, bytes.Repeat([]byte{byte(i)}, n))
		}
		body := bytes.Join(pieces, nil)
		res := head.Response{Status: 200, Length: head.Chunked, Fields: []head.Field{{Name: "A", Value: "b"}, {Name: "", Value: "gone"}, {Name: "Cc", Value: ""}}}
		if rapid.Bool().Draw(t, "declared") {
			res.Length = int64(len(body))
		}
		a := &sh.baseline
		room := a.keepHead(sh, &res)
		if room && (len(a.Fields) != 2 || a.Fields[0].Name != "A" || a.Fields[0].Value != "b" || a.Fields[1].Name != "Cc") {
			t.Fatalf("kept the fields %v", a.Fields)
		}
		for _, p := range pieces {
			room = room && a.keepBody(sh, p)
		}
		cut := int64(len(body)) > sh.maxBody
		switch {
		case !room && srv.shadows.bytes.most == DefaultShadowBytes:
			t.Fatal("no room in an empty memory")
		case room && a.Cut != cut:
			t.Fatalf("%d bytes, cut %v", len(body), a.Cut)
		case room && !cut && !bytes.Equal(a.Body, body):
			t.Fatalf("kept %d bytes of %d", len(a.Body), len(body))
		case room && cut && a.Body != nil:
			t.Fatalf("kept %d bytes of a body that is cut", len(a.Body))
		}
		if used := srv.shadows.bytes.used.Load(); used != int64(sh.memory()) || used > srv.shadows.bytes.half() {
			t.Fatalf("%d bytes are counted, %d are held of %d", used, sh.memory(), srv.shadows.bytes.half())
		}
		sh.release()
		if used := srv.shadows.bytes.used.Load() + target.shadows.bytes.Load(); used != 0 {
			t.Fatalf("%d bytes are still counted", used)
		}
	})
}
