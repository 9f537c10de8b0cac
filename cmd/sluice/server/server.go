// Package server composes a running Sluice from its parts: the file, the store
// and its keeper, the data path and the admin API. It is the one place where
// they meet.
//
// A change's way: a command (from the API or the file) through state.Keeper to
// the store; the keeper calls apply, which builds a routing.Snapshot of file and
// state and swaps it in before the command is answered.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"sluice/admin"
	"sluice/admin/api"
	"sluice/configs"
	"sluice/proxy"
	"sluice/proxy/upstream"
	"sluice/state"
	"sluice/state/bolt"
	"sluice/state/memory"
	"sluice/stats"
)

// Options are what a Server is made of besides its file.
type Options struct {
	Log     *zap.Logger // nil: none
	Version string      // the program's
	// Store replaces the store that the file names, for tests.
	Store state.Store
	// Now is the clock for decisions; nil: time.Now.
	Now func() time.Time
}

// Server is a running Sluice.
type Server struct {
	log    *zap.Logger
	now    func() time.Time
	keeper *state.Keeper
	store  state.Store
	stats  *stats.Registry
	proxy  *proxy.Server
	admin  *admin.Server

	// mu orders what changes the table: commands (the keeper calls apply) and
	// reloads. What follows is its.
	mu        sync.Mutex
	file      *configs.File
	fleet     fleet
	applyErr  error // why the newest state could not be applied; the one before is in force
	reloadErr error // why the newest file was refused; the one before is in force

	reloading sync.Mutex // one reload at a time
	adminHTTP *http.Server
	adminNet  net.Listener
	stop      context.CancelFunc // ends keeper and watcher
	running   sync.WaitGroup
	failed    chan error // what ended the admin listener
}

// Start opens the store, takes the file in and begins to serve. The file's
// listeners accept when it returns.
func Start(ctx context.Context, file *configs.File, opt Options) (*Server, error) {
	if opt.Log == nil {
		opt.Log = zap.NewNop()
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if err := Check(file, opt.Log); err != nil {
		return nil, err
	}
	s := &Server{log: opt.Log, now: opt.Now, file: file, failed: make(chan error, 1)}
	if err := s.open(ctx, opt); err != nil {
		s.abandon()
		return nil, err
	}
	if err := s.begin(ctx, opt); err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}

// Check reports what this build can't serve, and logs what it only passes over.
func Check(file *configs.File, log *zap.Logger) error {
	for _, w := range file.Warnings {
		log.Warn("the file is doubtful", zap.String("at", w.Error()))
	}
	var fatal []error
	for _, f := range file.Unsupported() {
		if f.Fatal {
			fatal = append(fatal, errors.New(f.String()))
			continue
		}
		log.Warn("the file asks for what has no effect", zap.String("what", f.String()))
	}
	return errors.Join(fatal...)
}

// open makes the parts; nothing is reachable yet.
func (s *Server) open(ctx context.Context, opt Options) error {
	var err error
	if s.store, err = openStore(s.file, opt.Store); err != nil {
		return err
	}
	if s.keeper, err = state.NewKeeper(ctx, s.store, state.KeeperOptions{Log: s.log, Now: s.now}); err != nil {
		return err
	}
	s.stats = stats.New(stats.Options{Reasons: reasonNames(), Describe: s.describe})
	s.fleet = newFleet(s.stats, upstream.Deps{Log: s.log, OnEvent: s.endpointChanged})
	s.proxy = proxy.New(proxy.Options{
		Stats: s.stats, Log: s.log, Access: accessLog(s.file.Log.Access),
	})
	if _, err = s.keeper.Do(ctx, declare(s.file), s.fileMeta()); err != nil {
		return fmt.Errorf("%s: %w", s.file.Name(), err)
	}
	return nil
}

// begin makes the parts reachable.
func (s *Server) begin(ctx context.Context, opt Options) error {
	listeners, err := listenerConfigs(s.file)
	if err != nil {
		return err
	}
	if err = s.startAdmin(opt.Version); err != nil {
		return err
	}
	s.keeper.OnChange(s.changed)
	if s.applyErr != nil {
		return s.applyErr
	}
	if err = s.proxy.Listen(listeners); err != nil {
		return err
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.running.Go(func() {
		if err := s.keeper.Run(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("following the store ended", zap.Error(err))
		}
	})
	s.running.Go(func() {
		if err := s.adminHTTP.Serve(s.adminNet); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("admin API: %w", err)
		}
	})
	return nil
}

// openStore opens the store that the file names.
func openStore(file *configs.File, given state.Store) (state.Store, error) {
	switch {
	case given != nil:
		return given, nil
	case file.State.Backend == configs.Memory:
		return memory.New(), nil
	}
	store, err := bolt.Open(file.State.Path)
	if err != nil {
		return nil, fmt.Errorf("state.path: %w", err)
	}
	return store, nil
}

// fileMeta is in whose name the file's commands are issued.
func (s *Server) fileMeta() state.Meta {
	return state.Meta{By: "file", Why: "taken from " + s.file.Name(), At: s.now()}
}

// Addrs returns where the data path listens, by listener.
func (s *Server) Addrs() map[string]net.Addr { return s.proxy.Addrs() }

// AdminAddr returns where the admin API listens.
func (s *Server) AdminAddr() net.Addr { return s.adminNet.Addr() }

// Failed gets what makes going on pointless.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop refuses new connections, lets the requests in flight finish within the
// file's graceful_stop, and closes everything. The error says what was cut off.
func (s *Server) Stop() error {
	s.mu.Lock()
	grace := s.file.GracefulStop
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := s.proxy.Shutdown(ctx)
	s.admin.Close()
	err = errors.Join(err, s.adminHTTP.Shutdown(ctx))
	s.abandon()
	return err
}

// abandon closes whatever is open.
func (s *Server) abandon() {
	if s.stop != nil {
		s.stop()
	}
	if s.adminHTTP != nil {
		s.adminHTTP.Close()
		s.adminNet.Close()
	}
	s.running.Wait()
	s.mu.Lock()
	s.fleet.close()
	s.mu.Unlock()
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error("closing the store failed", zap.Error(err))
		}
	}
}

// metrics returns the handler of /metrics.
func (s *Server) metrics() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(stats.Collector(s.stats), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// endpointChanged tells the event streams and the statistics of an endpoint.
func (s *Server) endpointChanged(e upstream.Event) {
	if e.Kind == upstream.Ejected {
		s.stats.Version(e.Service, e.Version).Ejected(1)
	}
	detail := ""
	if e.Err != nil {
		detail = e.Err.Error()
	}
	s.admin.PublishHealth(api.HealthEvent{At: e.At, Service: e.Service, Version: e.Version,
		Endpoint: e.Endpoint, Kind: string(e.Kind), Detail: detail})
}
