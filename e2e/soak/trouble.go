package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"sluice/admin/api"
	"sluice/e2e/origin"
)

// trouble is what is done to a world, and when.
type trouble struct {
	world *world

	deaths   []moment
	closings []moment // flips that closed streams, with the time that clients are spread over
	flips    int
	reloads  int
	renewals int
	upgrades int
}

// moment is a time when something happened to what was under way.
type moment struct{ from, to time.Time }

// overlaps reports whether something that went on meanwhile was met.
func (m moment) overlaps(began, end time.Time) bool { return !began.After(m.to) && !end.Before(m.from) }

// How often each thing happens. Upgrades end after half of the time, so that
// the last process is watched for the other half.
const (
	flipEvery    = 700 * time.Millisecond
	killEvery    = 5 * time.Second
	deadFor      = 2500 * time.Millisecond
	reloadEvery  = 3 * time.Second
	renewEvery   = 4 * time.Second
	upgradeEvery = 6 * time.Second
)

// make makes trouble until ctx ends, of which the first half is with upgrades.
func (t *trouble) make(ctx context.Context, span time.Duration) error {
	tick := func(d time.Duration) <-chan time.Time { return time.NewTicker(d).C }
	flips, kills, reloads, renewals, upgrades := tick(flipEvery), tick(killEvery), tick(reloadEvery), tick(renewEvery), tick(upgradeEvery)
	half := time.After(span / 2)
	var dead *origin.Origin
	var returns <-chan time.Time
	defer func() {
		if dead != nil {
			_ = dead.Revive() // else nobody stands there when the load ends
		}
	}()
	for {
		var err error
		select {
		case <-flips:
			err = t.flip(ctx)
		case <-kills:
			dead = t.kill()
			returns = time.After(deadFor)
		case <-returns:
			err = dead.Revive()
			dead = nil
		case <-reloads:
			err = t.reload(ctx)
		case <-renewals:
			_, err = t.world.Renew()
			t.renewals++
		case <-upgrades:
			err = t.upgrade(ctx)
		case <-half:
			upgrades = nil
		case <-ctx.Done():
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// flip changes the weights of a service in some way.
func (t *trouble) flip(ctx context.Context) error {
	weights := []map[string]int{{"v1": 100, "v2": 0}, {"v1": 0, "v2": 100}, {"v1": 50, "v2": 50}, {"v1": 95, "v2": 5}}[rand.IntN(4)]
	body := api.Weights{Weights: weights, Pins: []string{"move", "drain:1s", "keep"}[rand.IntN(3)], Reason: "soak"}
	service := []string{"web", "rpc"}[rand.IntN(2)]
	closes := t.flips%5 == 4
	if closes {
		body.Streams = "close"
	}
	from := time.Now()
	if _, err := t.world.Admin.SetWeights(ctx, service, body, 0); err != nil {
		return fmt.Errorf("flip %d of %s: %w", t.flips, service, err)
	}
	if closes {
		t.closings = append(t.closings, moment{from, time.Now().Add(2 * time.Second)})
	}
	t.flips++
	return nil
}

// kill ends an endpoint: each in its turn, so that it is back for long when the
// other of its version dies.
func (t *trouble) kill() *origin.Origin {
	n := len(t.deaths)
	e := t.world.endpoints[[]string{"v1", "v2"}[n%2]][n/2%2]
	from := time.Now()
	e.Kill()
	t.deaths = append(t.deaths, moment{from, time.Now()})
	return e
}

// reload writes another file and has it taken.
func (t *trouble) reload(ctx context.Context) error {
	t.reloads++
	if err := t.world.write(t.reloads); err != nil {
		return err
	}
	if _, err := t.world.Admin.Reload(ctx); err != nil {
		return fmt.Errorf("reload %d: %w", t.reloads, err)
	}
	return nil
}

// upgrade replaces the process, by turns by a signal and by a command.
func (t *trouble) upgrade(ctx context.Context) (err error) {
	if t.upgrades%2 == 0 {
		err = t.world.Upgrade(ctx)
	} else {
		err = t.world.UpgradeByHand(ctx)
	}
	if err != nil {
		return fmt.Errorf("upgrade %d: %w", t.upgrades, err)
	}
	t.upgrades++
	return nil
}

// explains says what policy lets a deed fail, or "".
func (t *trouble) explains(d deed) string {
	for _, m := range t.deaths {
		if m.overlaps(d.began, d.end) {
			return "its endpoint was killed meanwhile"
		}
	}
	if !d.lasts {
		return ""
	}
	for _, m := range t.closings {
		if m.overlaps(d.began, d.end) {
			return "a flip closed streams meanwhile"
		}
	}
	return ""
}
