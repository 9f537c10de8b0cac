package server

import (
	"maps"
	"slices"

	"sluice/configs"
	"sluice/proxy"
	"sluice/routing"
	"sluice/state"
)

// sources are what a table was made of. Both are never changed, so that a
// pointer that is the same stands for the same content.
type sources struct {
	file  *configs.File
	state state.State
}

// changes returns the services in which the state differs, or that have another
// trial, shadow stage or release set, by their names in order, and false where the table must be
// built whole: it has another file, or the state has other services.
func (s *sources) changes(next sources) (names []string, ok bool) {
	if s.file != next.file || len(s.state.Services) != len(next.state.Services) {
		return nil, false
	}
	regrouped := s.regrouped(next)
	for name, svc := range next.state.Services {
		switch old := s.state.Services[name]; {
		case old == nil:
			return nil, false
		case (old != svc || regrouped[name]) && next.file.Services[name] != nil:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, true
}

// services returns the names of the services that file and state have in common.
func (s *sources) services() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.file.Services)) {
		if s.state.Services[name] != nil {
			names = append(names, name)
		}
	}
	return names
}

// whole builds the table of a file and a state.
func (f *fleet) whole(from sources) (*proxy.Table, error) {
	services, changed, err := f.compile(from, from.services())
	if err != nil {
		return nil, err
	}
	config := routing.Config{
		Revision: from.state.Revision, Keys: overrideKeys(from.file),
		Routes: routes(from.file, from.state), Services: services,
	}
	snapshot, err := routing.Build(config)
	if err != nil {
		return nil, err
	}
	targets := make([]proxy.Target, f.size)
	for slot, target := range changed {
		targets[slot] = target
	}
	return proxy.NewTable(snapshot, targets), nil
}

// part builds the table in which some services differ from the table before.
func (f *fleet) part(before *proxy.Table, from sources, names []string) (*proxy.Table, error) {
	services, changed, err := f.compile(from, names)
	if err != nil {
		return nil, err
	}
	snapshot, err := before.Routing.With(from.state.Revision, services...)
	if err != nil {
		return nil, err
	}
	return before.With(snapshot, names, changed), nil
}

// compile returns what routing needs of services, and by slot where their
// versions are reached. On an error nothing has changed but that new versions
// have members.
func (f *fleet) compile(from sources, names []string) ([]routing.ServiceConfig, map[int]proxy.Target, error) {
	services := make([]routing.ServiceConfig, 0, len(names))
	targets := make(map[int]proxy.Target, 2*len(names))
	trials, sets, stages := legs(from.state), sets(from.file, from.state), shadowStages(from.state)
	for _, name := range names {
		declared, svc := from.file.Services[name], from.state.Services[name]
		service := serviceConfig(name, declared, svc)
		service.Pins = f.pinTable(name, declared)
		rates := f.serviceRates(name, declared)
		f.trialOf(name, trials[name], declared, svc)
		shieldBy(&service, trials[name].baseline)
		service.Set = sets[name].config(from.state)
		for i := range service.Versions {
			v := svc.Versions[service.Versions[i].Name]
			m, err := f.member(name, declared, v)
			if err != nil {
				return nil, nil, err
			}
			service.Versions[i].Slot = m.slot
			target := m.target(declared, v)
			target.Settings.Rates = rates
			if now, has := f.trials[name]; has {
				now.arm(v.Name, &target)
			}
			targets[m.slot] = target
		}
		if err := f.shadow(name, declared, svc, stages[name], targets); err != nil {
			return nil, nil, err
		}
		services = append(services, service)
	}
	return services, targets, nil
}
