package demo

import (
	"context"
	"encoding/json"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"sluice/admin/api"
)

// inFlight is how many slow requests are under way when the proxy stops.
const inFlight = 8

// graceful stops the proxy while requests are under way. It is the end also of a
// demo whose ctx has ended, so it has none.
func (s *story) graceful() {
	s.say("The clients leave. %d people still wait for a slow report when the proxy is told to stop: it takes no new "+
		"connection, and finishes what it has accepted.", inFlight)
	s.load.stop()
	var waiting sync.WaitGroup
	got := make(answers, inFlight)
	for i := range got {
		waiting.Go(func() { got[i] = newVisitor(s.proxyURL, s.load.transport).get(slowPath) })
	}
	accepted, _ := s.await(context.Background(), func() bool { return s.slowWaiting() == inFlight })
	s.command("kill -TERM $(pidof sluice)")
	called := time.Now()
	time.AfterFunc(s.pace.Slow, func() { close(s.reports) })
	err := s.stop()
	took := time.Since(called)
	waiting.Wait()
	s.result("stopped after %s", span(took))
	s.line("")
	answered := got.count(func(a *answer) bool { return a.Version != "" })
	s.promise(accepted && err == nil && answered == inFlight, "of %d requests under way, %d were answered", inFlight, answered)
	s.promise(!reachable(s.proxyURL), "nobody listens at %s any more", s.proxyURL)
}

// slowWaiting returns how many slow requests the backends have under way.
func (s *story) slowWaiting() int {
	n := int64(0)
	for _, b := range s.backends {
		n += b.waiting.Load()
	}
	return int(n)
}

// reachable reports whether somebody accepts connections.
func reachable(base string) bool {
	u, err := url.Parse(base)
	if err != nil {
		return false
	}
	c, err := net.DialTimeout("tcp", u.Host, time.Second)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// remembered is how long a demo that goes on remembers what clients saw.
const remembered = 10 * time.Second

// play goes on until ctx ends, and tells of each change that somebody makes.
func (s *story) play(ctx context.Context) error {
	s.heading("Now you")
	s.say("The load goes on until Ctrl-C. Things to try in another terminal:")
	s.line("\n" + strings.Join(s.invitations(), "\n") + "\n")
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watcher, err := s.server.Watch(ctx)
	if err != nil {
		return err
	}
	var background sync.WaitGroup
	defer func() {
		cancel(nil)
		background.Wait()
		<-watcher.Done()
	}()
	background.Go(func() {
		for pause(ctx, time.Second) {
			s.load.journal.forget(time.Now().Add(-remembered))
		}
	})
	failed := s.server.Failed()
	background.Go(func() {
		select {
		case err := <-failed:
			cancel(err)
		case <-ctx.Done():
		}
	})
	return s.narrate(ctx)
}

// invitations are commands to copy.
func (s *story) invitations() []string {
	p := "  " + s.program
	return []string{
		"  export SLUICE_ADMIN=" + s.adminURL,
		p + " status",
		p + " shift web v3 20%          # v3 fails on every third request",
		p + " rollback web",
		p + " weights api v2=70 v3=30 --pins move",
		p + " history web",
		p + " explain GET " + s.proxyURL + "/cart",
		p + " matrix books              # and: matrix show books v2 order",
		p + " shadow report books",
		"  curl -i " + s.proxyURL + "/",
		"  curl -i -H \"Sluice-Token: $(" + s.program + " token web=v3)\" " + s.proxyURL + "/",
		"  curl -i -H 'X-Tenant: acme' " + s.proxyURL + "/api/orders",
		"  $EDITOR " + s.file + "          # is read anew when you save it",
	}
}

// narrate tells of changes, each with the shares some time after it. Only ctx
// and the server's failure end it.
func (s *story) narrate(ctx context.Context) error {
	for m, err := range s.admin.Events(ctx, "", "") {
		switch {
		case ctx.Err() != nil:
			if cause := context.Cause(ctx); cause != ctx.Err() {
				return cause
			}
			return nil
		case err != nil:
			return err
		case m.Kind != api.KindState:
			continue
		}
		var e api.Event
		if json.Unmarshal(m.Data, &e) != nil || e.Service == "" {
			continue
		}
		s.result("%s: %s, by %s", e.Service, e.Detail, e.By)
		since := time.Now()
		if s.watch(ctx, 1) == nil {
			if _, err := s.shares(ctx, e.Service, since); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
	return nil
}
