package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"

	"sluice/configs"
	"sluice/handover"
)

// TakeOver asks the process that runs by the same file for its listening
// sockets. The error wraps handover.ErrNobody where there is none.
func TakeOver(ctx context.Context, file *configs.File) (*handover.Takeover, error) {
	if file.Upgrade.Socket == "" {
		return nil, errors.New("there is no upgrade.socket; set one in the file, and start the running process anew once")
	}
	// The running process has upgrade.timeout to get ready, and more is silence.
	ctx, cancel := context.WithTimeout(ctx, file.Upgrade.Timeout+5*time.Second)
	defer cancel()
	taken, err := handover.Take(ctx, file.Upgrade.Socket)
	if err != nil {
		return nil, fmt.Errorf("upgrade: %w", err)
	}
	return taken, nil
}

// lendable is a store that another process can have for a time.
type lendable interface {
	Release() error
	Reacquire() error
}

// errNotLendable is returned for the stores that a successor could not open.
var errNotLendable = errors.New("the state is in memory and would be lost; an upgrade needs a durable store (state.backend: bolt)")

// Offer lets another process take this one's place from now on. Where the file
// has no socket for that, it says so and does nothing.
func (s *Server) Offer() error {
	u := s.started.Upgrade
	if u.Socket == "" {
		s.log.Info("no upgrade is possible without upgrade.socket")
		return nil
	}
	door, err := handover.Offer(u.Socket, handover.Terms{
		Freeze: s.freeze, Thaw: s.thaw, Timeout: u.Timeout, Log: s.log,
		Left: func(pid int) { s.successor = pid; close(s.replaced) },
		News: s.adopt,
	})
	if err != nil {
		return fmt.Errorf("upgrade.socket: %w", err)
	}
	s.door = door
	return nil
}

// Replaced is closed when another process has taken over. Withdraw is due.
func (s *Server) Replaced() <-chan struct{} { return s.replaced }

// Successor is the process that has taken over, once Replaced is closed.
func (s *Server) Successor() int { return s.successor }

// freeze brings the state to where a successor finds it, lets go of the store
// and returns the listening sockets. No file and no command is taken until thaw.
func (s *Server) freeze(ctx context.Context) ([]handover.Socket, error) {
	store, ok := s.store.(lendable)
	if !ok {
		return nil, errNotLendable
	}
	s.reloading.Lock()
	s.driver.Pause() // its evidence is in the store then
	if err := s.keeper.Pause(ctx); err != nil {
		s.driver.Resume()
		s.reloading.Unlock()
		return nil, fmt.Errorf("the state can't be handed over: %w", err)
	}
	if err := store.Release(); err != nil {
		s.thaw(err)
		return nil, fmt.Errorf("the store can't be closed: %w", err)
	}
	given := []handover.Socket{{Name: adminSocket, Network: "tcp", Address: s.started.Admin.Address, Listener: s.adminRaw}}
	for _, l := range s.proxy.Sockets() {
		given = append(given, handover.Socket(l))
	}
	return given, nil
}

// reacquireEvery is how often a store is tried that a failed successor has left.
const reacquireEvery = time.Second

// thaw goes back to work after freeze.
func (s *Server) thaw(error) {
	defer s.reloading.Unlock()
	err := s.store.(lendable).Reacquire()
	if err != nil {
		s.log.Error("the store can't be opened again; it is tried every second, and changes are refused until then", zap.Error(err))
		s.running.Go(s.reacquire)
		return
	}
	s.resume()
}

// resume lets the keeper work.
func (s *Server) resume() {
	if err := s.keeper.Resume(s.keeping); err != nil && s.keeping.Err() == nil {
		s.log.Error("the state can't be read again yet", zap.Error(err))
	}
	s.driver.Resume()
}

// reacquire tries to open the store until it can.
func (s *Server) reacquire() {
	tick := time.NewTicker(reacquireEvery)
	defer tick.Stop()
	for s.store.(lendable).Reacquire() != nil {
		select {
		case <-tick.C:
		case <-s.keeping.Done():
			return
		}
	}
	s.log.Info("the store is open again")
	s.resume()
}

// Withdraw ends a server that was replaced: it accepts no more, finishes what it
// has within the file's upgrade.drain, and closes everything but the sockets
// that are now the successor's. When soon ends, what is left has graceful_stop,
// as at a stop; when now does, nothing more. The error says what was cut off.
func (s *Server) Withdraw(soon, now context.Context) error {
	s.setStopping()
	s.unfollow()
	s.stopMatrix()
	s.reloading.Unlock() // of freeze; whoever waits to reload finds the server stopping
	s.proxy.Leave()
	s.proxy.Release()
	adminErr := s.stopAdmin(s.started.GracefulStop)
	drain := s.started.Upgrade.Drain
	last := min(s.started.GracefulStop, drain/2)
	idle, cancel := context.WithTimeout(soon, drain-last)
	s.proxy.Await(idle)
	cancel()
	err := s.finish(now, last)
	s.door.Close() // until now the successor's changes were followed
	s.abandon()
	return errors.Join(err, adminErr)
}

// bind opens the admin API's socket, unless the process was given it.
func (s *Server) bind(address string) (net.Listener, error) {
	var err error
	if s.adminRaw = s.sockets.take(adminSocket, "tcp", address); s.adminRaw == nil {
		s.adminRaw, err = net.Listen("tcp", address)
	}
	return s.adminRaw, err
}
