package state

import (
	"fmt"
	"maps"
	"slices"
)

// plan carries out Declare.
//
// A new service takes the file's versions and weights; its first flip comes
// from nothing, and no rollback goes there. A known one gets the versions that
// the file added, dark, and loses those that it dropped, provided they are dark:
// otherwise the whole command is refused, naming each. A version that the API
// registered and the file now declares becomes the file's.
//
// Where the file's weights differ from those last taken from it, they replace
// the weights of the service wholly: versions that only the API knows go to 0
// and drain. A file that gives no version of a service any weight has no say in
// its weights.
func (c Declare) plan(s State, meta Meta) ([]edit, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	names := maps.Clone(s.Services)
	if names == nil {
		names = map[string]*Service{}
	}
	for name := range c.Services {
		names[name] = s.Services[name]
	}
	var edits []edit
	var kept []string // what the file dropped but serves
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old := names[name]
		d, declared := c.Services[name]
		switch {
		case old == nil:
			edits = append(edits, declareNew(name, d, meta))
		case !declared:
			kept = append(kept, old.liveByAPI()...)
			edits = append(edits, edit{service: name, detail: "service removed: the file dropped it"})
		default:
			kept = append(kept, old.droppedButServing(d, meta)...)
			e, err := old.redeclare(d, meta)
			if err != nil {
				return nil, err
			}
			if e.next != nil {
				edits = append(edits, e)
			}
		}
	}
	if len(kept) > 0 {
		return nil, &Refusal{
			Reason: ErrRefused, Field: "services",
			Message: "the file drops versions that serve: " + list(kept),
			Remedy:  "declare them until they are dark: give them weight 0 and let them drain",
		}
	}
	return edits, nil
}

// check refuses a declaration that is malformed whatever the state.
func (c Declare) check() error {
	for _, service := range slices.Sorted(maps.Keys(c.Services)) {
		at := "services." + service
		if !ValidName(service) {
			return &Refusal{Reason: ErrInvalid, Service: service, Field: at, Message: fmt.Sprintf("%q is no name for a service", service), Remedy: nameRemedy}
		}
		d := c.Services[service]
		for _, version := range slices.Sorted(maps.Keys(d.Versions)) {
			at := at + ".versions." + version
			if !ValidName(version) {
				return &Refusal{Reason: ErrInvalid, Service: service, Version: version, Field: at, Message: fmt.Sprintf("%q is no name for a version", version), Remedy: nameRemedy}
			}
			if field, message := d.Versions[version].Spec.faultIn(service); field != "" {
				return &Refusal{Reason: ErrInvalid, Service: service, Version: version, Field: at + "." + field, Message: message}
			}
		}
		if err := checkWeights(service, d.weights()); err != nil {
			return err
		}
	}
	return nil
}

// weights returns the weights above 0.
func (d DeclaredService) weights() map[string]int {
	w := make(map[string]int, len(d.Versions))
	for name, v := range d.Versions {
		w[name] = v.Weight
	}
	return weighted(w)
}

func declareNew(name string, d DeclaredService, meta Meta) edit {
	svc := &Service{Name: name, Versions: make(map[string]*Version, len(d.Versions)), FileWeights: d.weights()}
	for version, v := range d.Versions {
		svc.add(version, v.Spec, FromFile)
	}
	detail := "service declared, weights " + format(svc.FileWeights)
	if next := svc.flip(svc.FileWeights, meta.flip(Declare{}.Kind(), Pins{Mode: PinsMove}), 1); next != nil {
		svc = next
	}
	for _, v := range svc.Versions {
		v.LeastEpoch = svc.Epoch
	}
	return edit{service: name, next: svc, detail: detail}
}

// liveByAPI lists the live versions that only the API knows: they keep the
// file from dropping the service.
func (s *Service) liveByAPI() []string {
	var live []string
	for _, name := range s.VersionNames() {
		if v := s.Versions[name]; v.Origin == FromAPI && v.Weight > 0 {
			live = append(live, fmt.Sprintf("%s/%s (live with weight %d, registered by the API)", s.Name, name, v.Weight))
		}
	}
	return live
}

// dropped lists the file's versions that a new declaration leaves out.
func (s *Service) dropped(d DeclaredService) []string {
	var names []string
	for _, name := range s.VersionNames() {
		if _, stays := d.Versions[name]; !stays && s.Versions[name].Origin == FromFile {
			names = append(names, name)
		}
	}
	return names
}

func (s *Service) droppedButServing(d DeclaredService, meta Meta) []string {
	var serving []string
	for _, name := range s.dropped(d) {
		if v := s.Versions[name]; v.Mode(meta.At) != Dark {
			serving = append(serving, fmt.Sprintf("%s/%s (%s)", s.Name, name, v.standing(meta.At)))
		}
	}
	return serving
}

// redeclare takes a new declaration into a known service; next is nil if it
// changes nothing. The caller sees to versions that must not be dropped.
func (s *Service) redeclare(d DeclaredService, meta Meta) (edit, error) {
	next := s.copy()
	var notes []string
	for _, name := range s.dropped(d) {
		delete(next.Versions, name)
		notes = append(notes, "version "+name+" removed")
	}
	for _, name := range slices.Sorted(maps.Keys(d.Versions)) {
		note, err := next.declareVersion(name, d.Versions[name].Spec, meta)
		if err != nil {
			return edit{}, err
		}
		if note != "" {
			notes = append(notes, note)
		}
	}
	if w := d.weights(); !maps.Equal(w, s.FileWeights) {
		next.FileWeights = w
		notes = append(notes, "the file's weights are now "+format(w))
		pins, _ := Pins{}.resolve(PinsDrain)
		f := meta.flip(Declare{}.Kind(), pins)
		if flipped := next.flip(w, f, 0); w != nil && flipped != nil {
			notes = append(notes, next.flipDetail(flipped, f))
			next = flipped
		}
	}
	if len(notes) == 0 {
		return edit{}, nil
	}
	return edit{service: s.Name, next: next, detail: join(notes, "; ")}, nil
}

// declareVersion takes one version of the file into a copied service and says
// what that changed; "" for nothing.
func (s *Service) declareVersion(name string, spec Spec, meta Meta) (note string, err error) {
	old := s.Versions[name]
	switch {
	case old == nil:
		s.add(name, spec, FromFile)
		return "version " + name + " added", nil
	case old.Spec.equal(spec) && old.Origin == FromFile:
		return "", nil
	}
	if err := s.checkRespec(old, spec, meta.At); err != nil {
		return "", err
	}
	v := s.change(name)
	v.Spec = spec.clone()
	v.Origin = FromFile
	if old.Origin == FromAPI {
		return "version " + name + " is the file's now", nil
	}
	return "version " + name + " changed", nil
}
