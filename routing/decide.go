package routing

// Decide chooses the version that answers a request. It allocates nothing
// unless overrides came along.
func (s *Snapshot) Decide(req *Request) (d Decision) {
	s.decide(req, &d, nil)
	return d
}

// decide runs the steps in their order. A trace, if any, hears of each.
func (s *Snapshot) decide(req *Request, d *Decision, t *trace) {
	svc, _ := s.routes.find(req.Host, req.Path)
	d.Service = s.at(svc)
	if t != nil {
		t.route(req, d.Service)
	}
	if d.Service == nil {
		return
	}
	if s.override(req, d, t) {
		return
	}
	if !d.Service.rule(req, d, t) {
		s.pinOrSplit(req, d, t)
	}
	d.failover(req, t)
}

// pinOrSplit answers with the session's pin if it holds, else by weight.
func (s *Snapshot) pinOrSplit(req *Request, d *Decision, t *trace) {
	svc := d.Service
	ses := svc.session(req)
	var l leaning
	switch {
	case svc.set != nil:
		l = s.pinOrSplitSet(req, &ses, d)
	case ses.state == pinHolding:
		d.Reason = Pin
		d.hold(&ses)
	default:
		d.Reason = Split
		d.place(req, &ses, &svc.split)
	}
	if t != nil {
		t.pin(d, &ses, req.Now)
		t.split(svc, d, &l)
	}
}

// failover lets another version stand in for a chosen one that can't serve. A
// pin that is held stays, for the session returns once its version serves
// again; a pin that would have been made isn't, or the stand-in would keep the
// session.
func (d *Decision) failover(req *Request, t *trace) {
	if d.Version == nil || req.usable(d.Version) {
		return
	}
	key := d.Session
	if key == 0 {
		key = req.Draw
	}
	d.Failed, d.Reason = d.Version, Failover
	d.Version = d.Service.standIn(req, d.Failed, key)
	if d.Pin == PinMake {
		d.FailedSession = d.Session
		d.Pin, d.Session, d.Epoch, d.Key, d.MovedFrom, d.Voided = NoPin, 0, 0, PinKey{}, nil, nil
	}
	if t != nil {
		t.failover(d)
	}
}

// standIn returns another live version that can serve and writes the same
// shape (both undeclared counts as the same), or nil. It is chosen by weighted
// rendezvous, so that a session meets the same one each time and each version
// gets its weight's part.
func (svc *Service) standIn(req *Request, failed *Version, key uint64) *Version {
	var fit split
	var few [16]choice // keeps the usual number of versions off the heap
	fit.choices = few[:0]
	for _, c := range svc.split.choices {
		if c.version != failed && c.version.Writes == failed.Writes && req.usable(c.version) {
			fit.choices = append(fit.choices, c)
		}
	}
	return fit.rendezvous(mix(key), req.Now, false)
}

// Explain decides as Decide does, for the same request, and tells each step.
func (s *Snapshot) Explain(req *Request) Explanation {
	var t trace
	var d Decision
	s.decide(req, &d, &t)
	t.made(&d)
	t.instead(req, &d)
	return Explanation{Steps: t.steps, Decision: d}
}
