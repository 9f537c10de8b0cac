package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// ends makes endpoints of one host from addresses.
func ends(addresses string) []Endpoint {
	var all []Endpoint
	for _, a := range strings.Fields(addresses) {
		all = append(all, Endpoint{Addr: netip.AddrPortFrom(netip.MustParseAddr(a), 80), Host: "web", Weight: 1})
	}
	return all
}

// recorder is a follower that writes down what it says.
func recorder() (*Follower, *[]string) {
	said := new([]string)
	say := func(format string, args ...any) { *said = append(*said, fmt.Sprintf(format, args...)) }
	f := &Follower{
		Name:      Name{Host: "web", Port: 80},
		Found:     func(all []Endpoint) { say("found %s", written(Answer{Endpoints: all})) },
		Failed:    func(err error, n int) { say("failed %d: %v", n, err) },
		Recovered: func() { say("recovered") },
	}
	return f, said
}

func TestFollow(t *testing.T) {
	down := errors.New("down")
	f, said := recorder()
	for i, step := range []struct {
		answer Answer
		err    error
		wait   time.Duration
		said   string
	}{
		{Answer{Endpoints: ends("10.0.0.1 10.0.0.2"), TTL: 30 * time.Second}, nil, 30 * time.Second, "found 10.0.0.1:80 10.0.0.2:80"},
		{Answer{Endpoints: ends("10.0.0.2 10.0.0.1"), TTL: 0}, nil, MinTTL, ""},
		{Answer{Endpoints: ends("10.0.0.3 10.0.0.1"), TTL: time.Hour}, nil, MaxTTL, "found 10.0.0.1:80 10.0.0.3:80"},
		{Answer{}, down, 1 * time.Second, "failed 1: down"},
		{Answer{}, down, 2 * time.Second, "failed 2: down"},
		{Answer{TTL: 7 * time.Second}, nil, 7 * time.Second, "failed 3: the DNS has no address for web"},
		{Answer{TTL: time.Hour}, nil, maxBackoff, "failed 4: the DNS has no address for web"},
		{Answer{Endpoints: ends("10.0.0.1 10.0.0.3"), TTL: 5 * time.Second}, nil, 5 * time.Second, "recovered"},
		{Answer{Endpoints: ends("10.0.0.1"), TTL: 5 * time.Second, Unknown: []Question{{"web", true}}}, nil, 5 * time.Second, "found 10.0.0.1:80"},
		{Answer{Endpoints: ends("10.0.0.1 fd00::1"), TTL: 5 * time.Second}, nil, 5 * time.Second, "found 10.0.0.1:80 [fd00::1]:80"},
		{Answer{Endpoints: ends("10.0.0.4"), TTL: 5 * time.Second, Unknown: []Question{{"web", true}}}, nil, 5 * time.Second, "found 10.0.0.4:80 [fd00::1]:80"},
		{Answer{Endpoints: ends("10.0.0.4"), TTL: 5 * time.Second, Unknown: []Question{{"api", true}}}, nil, 5 * time.Second, "found 10.0.0.4:80"},
	} {
		*said = nil
		wait := f.take(step.answer, step.err)
		if got := strings.Join(*said, ", "); got != step.said || wait != step.wait {
			t.Fatalf("step %d: said %q and waits %v; want %q, %v", i, got, wait, step.said, step.wait)
		}
	}
}

// Whatever the DNS says, nobody loses all endpoints, and the time from one
// lookup to the next has bounds.
func TestFollowKeepsSomething(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, _ := recorder()
		r := rapid.Uint64().Draw(t, "random")
		f.Rand = func() uint64 { return r }
		f.Found = func(all []Endpoint) {
			if len(all) == 0 {
				t.Fatal("nothing was found, and told")
			}
		}
		for range rapid.IntRange(1, 50).Draw(t, "lookups") {
			var err error
			a := Answer{TTL: time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(t, "ttl"))}
			for range rapid.IntRange(0, 3).Draw(t, "found") {
				a.Endpoints = append(a.Endpoints, ends(fmt.Sprintf("10.0.0.%d", rapid.IntRange(1, 4).Draw(t, "address")))...)
			}
			if rapid.Bool().Draw(t, "fails") {
				a, err = Answer{}, errors.New("down")
			}
			if d := f.take(a, err); d < MinTTL || d > MaxTTL+MaxTTL/10 {
				t.Fatalf("waits %v", d)
			}
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	f, _ := recorder()
	ctx, cancel := context.WithCancel(context.Background())
	asked, waits := 0, 0
	f.Lookup = func(context.Context, Name) (Answer, error) {
		asked++
		return Answer{Endpoints: ends("10.0.0.1"), TTL: time.Second}, nil
	}
	f.Wait = func(context.Context, time.Duration) {
		if waits++; waits == 3 {
			cancel()
		}
	}
	f.Run(ctx)
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
}

func TestWait(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	Wait(ctx, time.Millisecond)
	cancel()
	Wait(ctx, time.Hour)
}
