package server

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"go.uber.org/zap"

	"sluice/admin/api"
	"sluice/configs"
)

// Watch reloads the file whenever it changes, until ctx ends or Stop begins.
func (s *Server) Watch(ctx context.Context) (*configs.Watcher, error) {
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(s.following, cancel)
	s.mu.Lock()
	file := s.file
	s.mu.Unlock()
	w, err := configs.Watch(ctx, file, func(f *configs.File, err error) {
		_ = s.take(ctx, f, err) // told to all who want to know
	})
	if err != nil {
		cancel()
		return nil, err
	}
	s.running.Go(func() {
		defer cancel()
		<-w.Done()
	})
	return w, nil
}

// Reload reads the file anew. An error means that nothing changed.
func (s *Server) Reload(ctx context.Context) error {
	s.mu.Lock()
	name := s.file.Name()
	s.mu.Unlock()
	f, err := configs.Load(name)
	return s.take(ctx, f, err)
}

// errStopping is returned for a reload that comes after Stop.
var errStopping = errors.New("the server is stopping")

// take puts a file in force, or says why not, to whoever wants to know.
func (s *Server) take(ctx context.Context, f *configs.File, err error) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	s.reopenAccessLog()
	if s.following.Err() != nil {
		return errStopping
	}
	if err == nil {
		err = s.replace(ctx, f)
	}
	s.mu.Lock()
	s.reloadErr = err
	s.mu.Unlock()
	event := api.ConfigEvent{At: s.now(), Revision: s.keeper.State().Revision}
	if err == nil {
		s.stats.Reloaded()
		s.log.Info("the file was reloaded", zap.String("file", f.Name()))
	} else {
		s.stats.ReloadFailed()
		s.log.Error("the file is refused; the one before stays in force", zap.Error(err))
		event.Error = err.Error()
	}
	s.admin.PublishConfig(event)
	if s.reloaded != nil {
		s.reloaded(err)
	}
	return err
}

// replace puts a file in force, all of it or nothing: first what can be tried
// without effect, then the listeners that are new, then the state and the table,
// and at last the listeners that go.
func (s *Server) replace(ctx context.Context, f *configs.File) error {
	if err := servable(f); err != nil {
		return err
	}
	meta := s.fileMeta()
	meta.Facts = s.facts(nil)
	if err := fits(f, s.keeper.State(), meta); err != nil {
		return err
	}
	defer s.keepCertificates() // of the listeners then in force
	listeners := listenerConfigs(f)
	sources, err := s.secure(f, listeners)
	if err != nil {
		return err
	}
	if err := s.proxy.Listen(slices.Concat(s.listeners, listeners)); err != nil {
		return err
	}
	old := s.swapFile(f)
	if _, err := s.keeper.Do(ctx, declare(f), s.fileMeta()); err != nil {
		s.swapFile(old)
		return errors.Join(refusedFile(f, err), s.proxy.Listen(s.listeners), s.applyFile())
	}
	err = errors.Join(s.applyFile(), s.proxy.Listen(listeners))
	s.listeners, s.sources = listeners, sources
	logNotes(s.log, newNotes(f, old))
	s.noteRestart(old, f)
	return err
}

// applyFile makes the table that of the present file and state, if it isn't yet:
// a file that changed nothing of the state calls nothing.
func (s *Server) applyFile() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply(sources{s.file, s.keeper.State()})
	return s.applyErr
}

// swapFile makes a file the one that tables are made of, and returns the one
// before.
func (s *Server) swapFile(f *configs.File) *configs.File {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.file
	s.file = f
	return old
}

// noteRestart says which changes of a file wait for a restart, once.
func (s *Server) noteRestart(old, f *configs.File) {
	waits := func(section string, now, before, started any) {
		if !reflect.DeepEqual(now, started) && !reflect.DeepEqual(now, before) {
			s.log.Warn("a change of the file waits for a restart", zap.String("section", section))
		}
	}
	waits("admin", f.Admin, old.Admin, s.started.Admin)
	waits("overload", f.Overload, old.Overload, s.started.Overload)
	waits("state", f.State, old.State, s.started.State)
	waits("log", f.Log, old.Log, s.started.Log)
	waits("tracing", f.Tracing, old.Tracing, s.started.Tracing)
}
