package rig

import "errors"

// Stage is the processes of a drill. The zero value with a Dir has none.
type Stage struct {
	Dir string // for their logs

	all []*Process // in the order of their start
}

// Start begins one more; see the function Start.
func (s *Stage) Start(name string, core int, argv ...string) (*Process, error) {
	p, err := Start(name, s.Dir, core, argv...)
	if err == nil {
		s.all = append(s.all, p)
	}
	return p, err
}

// Stop ends all, the last first.
func (s *Stage) Stop() error {
	var errs []error
	for i := len(s.all) - 1; i >= 0; i-- {
		errs = append(errs, s.all[i].Stop())
	}
	return errors.Join(errs...)
}
