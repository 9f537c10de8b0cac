package state

import (
	"fmt"
	"time"
)

// plan carries out PutVersion. Registering what is registered already, in the
// very same words, changes nothing.
func (c PutVersion) plan(s State, meta Meta) ([]edit, error) {
	svc, err := s.service(c.Service)
	if err != nil {
		return nil, err
	}
	if !ValidName(c.Version) {
		return nil, &Refusal{
			Reason: ErrInvalid, Service: c.Service, Version: c.Version, Field: "version",
			Message: fmt.Sprintf("%q is no name for a version", c.Version), Remedy: nameRemedy,
		}
	}
	if err := c.Spec.checkIn(c.Service); err != nil {
		return nil, err
	}
	old := svc.Versions[c.Version]
	next := svc.copy()
	switch {
	case old == nil:
		next.add(c.Version, c.Spec, FromAPI)
		return []edit{{service: c.Service, next: next, version: c.Version, detail: fmt.Sprintf("version %s registered, dark", c.Version)}}, nil
	case old.Origin == FromFile:
		return nil, &Refusal{
			Reason: ErrRefused, Service: c.Service, Version: c.Version, Field: "version",
			Message: fmt.Sprintf("version %q of service %q is declared by the file", c.Version, c.Service),
			Remedy:  "edit the file, or register the version under another name",
		}
	case old.Spec.equal(c.Spec):
		return nil, nil
	}
	if err := svc.checkRespec(old, c.Spec, meta.At); err != nil {
		return nil, err
	}
	next.change(c.Version).Spec = c.Spec.clone()
	return []edit{{service: c.Service, next: next, version: c.Version, detail: fmt.Sprintf("version %s registered anew", c.Version)}}, nil
}

// add gives a copied service a dark version. It accepts no pin of an earlier
// epoch: those were made to an earlier version of the same name.
func (s *Service) add(name string, spec Spec, origin Origin) {
	s.Versions[name] = &Version{Name: name, Spec: spec.clone(), Origin: origin, LeastEpoch: s.Epoch}
}

func (c RemoveVersion) plan(s State, meta Meta) ([]edit, error) {
	svc, err := s.service(c.Service)
	if err != nil {
		return nil, err
	}
	v, err := svc.version(c.Version, "version")
	if err != nil {
		return nil, err
	}
	r := &Refusal{Reason: ErrRefused, Service: c.Service, Version: c.Version, Field: "version"}
	switch {
	case v.Origin == FromFile:
		r.Message = fmt.Sprintf("version %q of service %q is declared by the file", c.Version, c.Service)
		r.Remedy = "take it out of the file"
		return nil, r
	case v.Mode(meta.At) != Dark:
		r.Message = fmt.Sprintf("version %q of service %q is %s", c.Version, c.Service, v.standing(meta.At))
		r.Remedy = darkRemedy
		return nil, r
	}
	next := svc.copy()
	delete(next.Versions, c.Version)
	return []edit{{service: c.Service, next: next, version: c.Version, detail: fmt.Sprintf("version %s removed", c.Version)}}, nil
}

const darkRemedy = "give it weight 0 and let it drain, or end its drain, and then remove it"

// standing says where a version stands and until when.
func (v *Version) standing(now time.Time) string {
	switch v.Mode(now) {
	case Live:
		return fmt.Sprintf("live with weight %d", v.Weight)
	case Draining:
		return v.Drain.String()
	}
	return string(Dark)
}

// String writes the drain for people.
func (d Drain) String() string {
	switch {
	case !d.On:
		return "not draining"
	case d.Until.IsZero():
		return "draining without a deadline"
	}
	return "draining until " + d.Until.UTC().Format(time.RFC3339)
}

func (c VoidPins) plan(s State) ([]edit, error) {
	svc, err := s.service(c.Service)
	if err != nil {
		return nil, err
	}
	if _, err := svc.version(c.Version, "version"); err != nil {
		return nil, err
	}
	next := svc.copy()
	next.Epoch++
	next.change(c.Version).LeastEpoch = next.Epoch
	return []edit{{
		service: c.Service, next: next, version: c.Version,
		detail: fmt.Sprintf("pins to version %s made before epoch %d are void", c.Version, next.Epoch),
	}}, nil
}

func (c SetDrain) plan(s State, meta Meta) ([]edit, error) {
	svc, err := s.service(c.Service)
	if err != nil {
		return nil, err
	}
	v, err := svc.version(c.Version, "version")
	if err != nil {
		return nil, err
	}
	drain, err := c.Drain.resolve(meta.At)
	if err != nil {
		return nil, err
	}
	r := &Refusal{Reason: ErrRefused, Service: c.Service, Version: c.Version, Field: "version"}
	switch {
	case v.Weight > 0:
		r.Message = fmt.Sprintf("version %q of service %q is %s: only weight 0 drains", c.Version, c.Service, v.standing(meta.At))
		r.Remedy = "give it weight 0 first; setting weights can start the drain"
		return nil, r
	case drain.On && len(v.Spec.Endpoints) == 0:
		r.Message = fmt.Sprintf("version %q of service %q has no endpoints to serve its sessions", c.Version, c.Service)
		r.Remedy = "register its endpoints first"
		return nil, r
	case drain == v.Drain:
		return nil, nil
	}
	next := svc.copy()
	next.change(c.Version).Drain = drain
	return []edit{{service: c.Service, next: next, version: c.Version, detail: fmt.Sprintf("version %s is %s", c.Version, drain)}}, nil
}

// resolve refuses a drain that makes no sense and returns it as it is stored.
func (d Drain) resolve(now time.Time) (Drain, error) {
	switch {
	case !d.On && !d.Until.IsZero():
		return d, invalid("drain.until", "a drain that is off has no deadline", "leave the deadline out, or switch the drain on")
	case d.Until.IsZero():
		return d, nil
	case !d.Until.After(now):
		return d, invalid("drain.until", fmt.Sprintf("the deadline %s has passed", d.Until.UTC().Format(time.RFC3339)), "name a later one, or switch the drain off")
	case d.Until.Sub(now) > MaxDrain:
		return d, invalid("drain.until", fmt.Sprintf("the deadline %s is more than %v away", d.Until.UTC().Format(time.RFC3339), MaxDrain), "name an earlier one, or none")
	}
	d.Until = d.Until.Round(0).UTC()
	return d, nil
}
