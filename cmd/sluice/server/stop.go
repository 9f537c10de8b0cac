package server

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"
)

// Stop is Shutdown with all the time that the file gives.
func (s *Server) Stop() error { return s.Shutdown(context.Background()) }

// Shutdown ends the server: readiness goes first; after the file's stop_delay
// the listeners close; the requests in flight finish within its graceful_stop,
// tunnels too; what is left then is cut off, which the error tells. When ctx
// ends, the rest happens at once.
func (s *Server) Shutdown(ctx context.Context) error {
	if s.door != nil {
		s.door.Close() // a successor that is not ready is none
	}
	select {
	case <-s.replaced:
		soon, cancel := context.WithCancel(ctx)
		cancel()
		return s.Withdraw(soon, ctx)
	default:
	}
	s.setStopping()
	s.mu.Lock()
	delay, grace := s.file.StopDelay, s.file.GracefulStop
	s.mu.Unlock()
	if delay > 0 {
		s.log.Info("no longer ready; the listeners go on for a while", zap.Duration("stop_delay", delay))
		s.proxy.Leave()
		pause(ctx, delay)
	}
	s.unfollow()
	s.stopMatrix()
	err := s.finish(ctx, grace)
	err = errors.Join(err, s.stopAdmin(grace))
	for _, p := range s.keeper.Pending() {
		s.log.Error("a change is lost by the stop, since the store never took it",
			zap.String("kind", p.Command.Kind()), zap.String("by", p.Meta.By), zap.Error(p.Err))
	}
	s.abandon()
	return err
}

// pause waits for a time, or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// setStopping makes the server say that it is not ready.
func (s *Server) setStopping() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
}

// finish ends the data path.
func (s *Server) finish(ctx context.Context, grace time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	return s.proxy.Shutdown(ctx)
}

// adminGrace bounds the time that calls of the admin API have to be answered.
const adminGrace = 5 * time.Second

// stopAdmin ends the admin API.
func (s *Server) stopAdmin(grace time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), min(grace, adminGrace))
	defer cancel()
	s.admin.Close()
	err := s.adminHTTP.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.New("calls of the admin API were cut off")
	}
	return err
}
