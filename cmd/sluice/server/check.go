package server

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"sluice/configs"
	"sluice/routing"
	"sluice/state"
)

// Check reports all that keeps this build from serving a file, and logs what it
// only passes over or doubts.
func Check(file *configs.File, log *zap.Logger) error {
	logNotes(log, notes(file))
	if err := servable(file); err != nil {
		return err
	}
	err := fits(file, state.State{}, state.Meta{By: "file", At: time.Now()})
	if doubt := unsafe(err); doubt != nil {
		logNotes(log, []string{doubt.Error()})
		return nil
	}
	return err
}

// unsafe returns the refusal of a file's own weights by a rule of safety, with
// its place. That is a doubt about the file and no fault of it: where the state
// has decided otherwise since, these weights are not taken, and what they need
// may be there.
func unsafe(err error) *configs.Error {
	var m *misfit
	if !errors.As(err, &m) || m.refusal.Rule == "" {
		return nil
	}
	return &m.place
}

// Doubts lists what a rule of safety has against a file on an empty state.
func Doubts(file *configs.File) []configs.Error {
	if doubt := unsafe(fits(file, state.State{}, state.Meta{By: "file", At: time.Now()})); doubt != nil {
		return []configs.Error{*doubt}
	}
	return nil
}

// notes are the doubts about a file that don't keep it from being served.
func notes(file *configs.File) []string {
	var all []string
	for _, w := range file.Warnings {
		all = append(all, w.Error())
	}
	for _, d := range CertificateDoubts(file) {
		all = append(all, d.Error())
	}
	for _, f := range file.Unsupported() {
		if !f.Fatal {
			all = append(all, f.String()+", and has no effect")
		}
	}
	return all
}

func logNotes(log *zap.Logger, notes []string) {
	for _, n := range notes {
		log.Warn("a doubt about the file", zap.String("doubt", n))
	}
}

// newNotes are the notes of a file that those of another do not hold: a doubt is
// logged once, not at every reload.
func newNotes(file, before *configs.File) []string {
	known := notes(before)
	return slices.DeleteFunc(notes(file), func(n string) bool { return slices.Contains(known, n) })
}

// servable reports all that keeps this build from serving a file, whatever the
// state.
func servable(file *configs.File) error {
	var errs []error
	for _, f := range file.Unsupported() {
		if f.Fatal {
			errs = append(errs, errors.New(f.String()))
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%s: %w", file.Name(), errors.Join(errs...))
	}
	if err := checkCertificates(file); err != nil {
		return fmt.Errorf("%s: %w", file.Name(), err)
	}
	for _, name := range slices.Sorted(maps.Keys(file.Services)) {
		svc := file.Services[name]
		for _, version := range slices.Sorted(maps.Keys(svc.Versions)) {
			v := &state.Version{Name: version, Spec: specOf(svc.Versions[version])}
			if err := clusterConfig(name, svc, v).Validate(); err != nil {
				errs = append(errs, fmt.Errorf("services.%s.versions.%s: %w", name, version, err))
			}
		}
	}
	if len(errs) > 0 {
		return fmt.Errorf("%s: %w", file.Name(), errors.Join(errs...))
	}
	return nil
}

// fits reports why a file can't follow a state, as rehearsed without effect.
func fits(file *configs.File, st state.State, meta state.Meta) error {
	st, _, err := state.Apply(st, declare(file), meta)
	if err != nil {
		return refusedFile(file, err)
	}
	config := routing.Config{Keys: overrideKeys(file), Routes: routes(file, st)}
	for name, declared := range file.Services {
		config.Services = append(config.Services, serviceConfig(name, declared, st.Services[name]))
	}
	if _, err = routing.Build(config); err != nil {
		return fmt.Errorf("%s: %w", file.Name(), err)
	}
	return nil
}
