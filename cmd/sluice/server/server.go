// Package server composes a running Sluice from its parts: the file, the store
// and its keeper, the data path and the admin API. It is the one place where
// they meet.
//
// A change's way: a command (from the API or the file) through state.Keeper to
// the store; the keeper calls changed, which builds the table of file and state
// and swaps it in before the command is answered.
package server

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"sluice/admin"
	"sluice/certs"
	"sluice/configs"
	"sluice/handover"
	"sluice/proxy"
	"sluice/proxy/accesslog"
	"sluice/rollout/driver"
	"sluice/rollout/hook"
	"sluice/routing"
	"sluice/state"
	"sluice/state/bolt"
	"sluice/state/memory"
	"sluice/stats"
	"sluice/synthetic/matrix"
	"sluice/tracing"
)

// Options are what a Server is made of besides its file.
type Options struct {
	Log     *zap.Logger // nil: none
	Version string      // the program's
	// AccessLog is where requests are logged, if the file names no file for them;
	// nil: nowhere.
	AccessLog io.Writer
	// Store replaces the store that the file names, for tests. Stop closes it.
	Store state.Store
	// Now is the clock for decisions; nil: time.Now.
	Now func() time.Time
	// Sockets are listening sockets of a predecessor or of the service manager.
	// Listeners that they fit take them; the others bind their own, and what
	// nobody takes is closed.
	Sockets []handover.Socket
	// Reloaded, if set, is called after each reload with what was wrong.
	Reloaded func(error)
}

// Server is a running Sluice.
type Server struct {
	log     *zap.Logger
	now     func() time.Time
	keeper  *state.Keeper
	store   state.Store
	stats   *stats.Registry
	certs   *certs.Keeper
	proxy   *proxy.Server
	admin   *admin.Server
	driver  *driver.Driver // of the rollouts
	hooks   *hook.Sender   // to whom their transitions are told
	probing chan struct{}  // one for each probe on demand that is under way
	// scheduler runs the journeys of services; history is what came of all runs.
	scheduler *matrix.Scheduler
	history   *matrix.History
	// accessLog is nil where requests are not logged.
	accessLog *accesslog.Sink
	tracing   *tracing.Exporter // nil: no request is traced

	// mu orders what changes the table: commands (the keeper calls changed) and
	// reloads. What follows is its.
	mu        sync.Mutex
	file      *configs.File // that tables are made of
	fleet     fleet
	suites    map[string]*suites // by service
	edition   int                // of builds: the last number given out
	inForce   sources            // of the table in force
	applyErr  error              // why the newest state could not be applied; the one before is in force
	reloadErr error              // why the newest file was refused; the one before is in force
	stopping  bool               // no longer ready
	closed    bool               // no table is made any more

	reloading sync.Mutex             // one reload at a time; what follows is its
	listeners []proxy.ListenerConfig // that are open
	sources   []*certs.Source        // their certificates

	started   *configs.File // whose sections admin, state and log are in force
	adminHTTP *http.Server
	adminNet  net.Listener
	adminRaw  net.Listener // the same without TLS
	// adminCerts are those of the admin API; nil: it is served without TLS.
	adminCerts  *certs.Source
	reloaded    func(error)
	failed      chan error                        // what ended the admin listener
	sockets     sockets                           // given to this process, until the start is over
	door        *handover.Door                    // where a successor asks for the sockets; nil: there is none
	replaced    chan struct{}                     // closed when a successor has them
	successor   int                               // which process that is; set before
	predecessor atomic.Pointer[handover.Takeover] // that is still there; nil: there is none

	following context.Context // of the file, ends when Stop begins
	unfollow  context.CancelFunc
	keeping   context.Context // of the store, ends when all else has
	unkeep    context.CancelFunc
	running   sync.WaitGroup
}

// Start opens the store, takes the file in and begins to serve. The file's
// listeners accept when it returns. ctx bounds the start alone; Stop ends what
// was started.
func Start(ctx context.Context, file *configs.File, opt Options) (*Server, error) {
	s := &Server{
		log: cmp.Or(opt.Log, zap.NewNop()), now: opt.Now,
		file: file, started: file, failed: make(chan error, 1), probing: make(chan struct{}, maxDemanded),
		sockets: sockets{free: opt.Sockets}, replaced: make(chan struct{}), reloaded: opt.Reloaded,
	}
	defer s.sockets.closeRest(s.log)
	if s.now == nil {
		s.now = time.Now
	}
	if err := Check(file, s.log); err != nil {
		return nil, err
	}
	s.following, s.unfollow = context.WithCancel(context.WithoutCancel(ctx))
	s.keeping, s.unkeep = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.open(ctx, opt); err != nil {
		s.abandon()
		return nil, err
	}
	if err := s.begin(opt.Version); err != nil {
		s.abandon()
		return nil, err
	}
	return s, nil
}

// open makes the parts; nothing is reachable yet.
func (s *Server) open(ctx context.Context, opt Options) error {
	var err error
	if s.store, err = openStore(s.file, opt.Store); err != nil {
		return err
	}
	if s.keeper, err = state.NewKeeper(ctx, s.store, state.KeeperOptions{Log: s.log, Now: s.now, Facts: s.facts}); err != nil {
		return err
	}
	s.stats = stats.New(stats.Options{Reasons: routing.ReasonNames(), Describe: s.describe, Certificates: s.expiries, Rollouts: s.rolloutsUnderWay, Probes: s.probes, Compared: s.comparedNow})
	s.newDriver()
	s.newMatrix()
	s.certs = certs.NewKeeper(certs.Options{Log: s.log, Failed: s.stats.CertificateReloadFailed})
	s.fleet = newFleet(s.log, s.stats, s.endpointChanged)
	s.fleet.now = s.now
	access, err := s.openAccessLog(opt.AccessLog)
	if err != nil {
		return err
	}
	trace, err := s.openTracing(opt.Version)
	if err != nil {
		return err
	}
	s.proxy = proxy.New(proxy.Options{
		Stats: s.stats, Log: s.log, Access: access, Trace: trace, Inherit: s.sockets.take,
		OverloadTarget: overloadTarget(s.file.Overload),
	})
	if _, err = s.keeper.Do(ctx, declare(s.file), s.fileMeta()); err != nil {
		return refusedFile(s.file, err)
	}
	return s.renewCohorts(ctx)
}

// begin makes the parts reachable: the table first, so that no request comes
// too early for it.
func (s *Server) begin(version string) error {
	var err error
	s.listeners = listenerConfigs(s.file)
	if s.sources, err = s.secure(s.file, s.listeners); err != nil {
		return err
	}
	if err = s.bindAdmin(version); err != nil {
		return err
	}
	s.keeper.OnChange(s.changed)
	if s.applyErr != nil {
		return s.applyErr
	}
	if err = s.proxy.Listen(s.listeners); err != nil {
		return err
	}
	s.driver.Start()
	s.scheduler.Start()
	s.keepCertificates()
	s.running.Go(func() {
		if err := s.keeper.Run(s.keeping); err != nil {
			s.log.Error("following the store ended", zap.Error(err))
		}
	})
	s.running.Go(s.serveAdmin)
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

// abandon closes whatever is open.
func (s *Server) abandon() {
	s.stopMatrix()
	s.stopDriver()
	s.unfollow()
	s.unkeep()
	s.parted(s.predecessor.Load())
	if s.adminHTTP != nil {
		s.adminHTTP.Close()
		s.adminNet.Close()
	}
	s.running.Wait()
	if s.certs != nil {
		s.certs.Close()
	}
	s.mu.Lock()
	s.closed = true
	s.fleet.close()
	s.mu.Unlock()
	s.closeAccessLog()
	s.closeTracing()
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error("closing the store failed", zap.Error(err))
		}
	}
}
