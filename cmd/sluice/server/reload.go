package server

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"go.uber.org/zap"

	"sluice/admin/api"
	"sluice/configs"
	"sluice/routing"
	"sluice/state"
)

// Watch reloads the file whenever it changes, until ctx ends.
func (s *Server) Watch(ctx context.Context) (*configs.Watcher, error) {
	s.mu.Lock()
	file := s.file
	s.mu.Unlock()
	return configs.Watch(ctx, file, func(f *configs.File, err error) {
		if err := s.take(ctx, f, err); err == nil {
			s.log.Info("the file was reloaded", zap.String("file", file.Name()))
		}
	})
}

// Reload reads the file anew. An error means that nothing changed.
func (s *Server) Reload(ctx context.Context) error {
	s.mu.Lock()
	name := s.file.Name()
	s.mu.Unlock()
	f, err := configs.Load(name)
	return s.take(ctx, f, err)
}

// take puts a file in force, or says why not, to whoever wants to know.
func (s *Server) take(ctx context.Context, f *configs.File, err error) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if err == nil {
		err = s.replace(ctx, f)
	}
	s.mu.Lock()
	s.reloadErr = err
	s.mu.Unlock()
	event := api.ConfigEvent{At: s.now(), Revision: s.keeper.State().Revision}
	if err == nil {
		s.stats.Reloaded()
	} else {
		s.stats.ReloadFailed()
		s.log.Error("the file is refused; the one before stays in force", zap.Error(err))
		event.Error = err.Error()
	}
	s.admin.PublishConfig(event)
	return err
}

// replace puts a file in force, all of it or nothing: first all that can be
// tried without effect, then the listeners, then the state.
func (s *Server) replace(ctx context.Context, f *configs.File) error {
	if err := Check(f, s.log); err != nil {
		return err
	}
	listeners, err := listenerConfigs(f)
	if err != nil {
		return err
	}
	if err := s.rehearse(f); err != nil {
		return err
	}
	old := s.swapFile(f)
	if err := s.proxy.Listen(listeners); err != nil {
		s.swapFile(old)
		return err
	}
	if _, err := s.keeper.Do(ctx, declare(f), s.fileMeta()); err != nil {
		s.swapFile(old)
		return errors.Join(fmt.Errorf("%s: %w", f.Name(), err), s.restore(old))
	}
	s.noteRestart(old, f)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.applyErr = s.apply(f, s.keeper.State())
	return s.applyErr
}

// rehearse tries the file against the present state without effect.
func (s *Server) rehearse(f *configs.File) error {
	st, _, err := state.Apply(s.keeper.State(), declare(f), s.fileMeta())
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	if _, err = routing.Build(routingConfig(f, overrideKeys(f), st)); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}

// restore brings the listeners and the table of a file back.
func (s *Server) restore(f *configs.File) error {
	listeners, err := listenerConfigs(f)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.proxy.Listen(listeners), s.apply(f, s.keeper.State()))
}

// swapFile makes a file the one that tables are built of, and returns the one
// before.
func (s *Server) swapFile(f *configs.File) *configs.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.file
	s.file = f
	return old
}

// noteRestart says which changes of a file wait for a restart.
func (s *Server) noteRestart(old, f *configs.File) {
	for what, differ := range map[string]bool{
		"admin": !reflect.DeepEqual(old.Admin, f.Admin),
		"state": !reflect.DeepEqual(old.State, f.State),
		"log":   !reflect.DeepEqual(old.Log, f.Log),
	} {
		if differ {
			s.log.Warn("a change of the file waits for a restart", zap.String("section", what))
		}
	}
}
