package routing

import (
	"math/bits"
	"slices"
)

// A release set is several services whose rollout is one: a session gets the
// candidates of all of them, or none. What ties its pins together is the request,
// which carries those of every service of a host, or the application's key. So a
// session is on the side of the first pin that says one, in the order of the
// services, and a session without any is drawn to a side by one hash for the set.
//
// Services of different hosts, or with different keys, have no session in
// common. Two requests that are the first of a browser without a cookie, at the
// same moment, are two sessions unless PinConfig.First is FirstClient; the next
// request with both pins brings them together again.

// SetConfig is a service's place in a release set.
type SetConfig struct {
	Name string // for explanations
	// Members are all services of the set, this one among them: in each of them
	// the same, in the same order, and with the same Salt.
	Members []SetMember
	// Share is the candidates' part of new sessions in 1/10,000, in place of the
	// weights.
	Share int
	// Over says that the rollout has ended: new sessions are split by weight, but
	// for those that have a pin on a side whose version is not dark yet.
	Over bool
}

// SetMember is one service of a release set.
type SetMember struct {
	Service             string
	Candidate, Baseline string
	// Since is the epoch from which on pins are those of sessions that were drawn to
	// a side in this rollout.
	Since uint64
}

// wholeShare is all new sessions, as SetConfig.Share.
const wholeShare = 10_000

// side is where a session stands in a release set.
type side uint8

const (
	noSide side = iota
	candidateSide
	baselineSide
)

// set is a SetConfig as compiled.
type set struct {
	name    string
	share   uint64
	over    bool
	self    int // the place among members of the service that has it
	members []member
	arms    [baselineSide + 1]*Version // of the service that has it
	rest    split                      // of its versions but the candidate
}

// member is a service of a set. Its versions go by their names, since a snapshot
// may have the service compiled anew.
type member struct {
	place place
	name  string
	arms  [baselineSide + 1]string
	since uint64
}

// side returns on which side a pin to the version is.
func (m *member) side(v *Version) side {
	switch v.Name {
	case m.arms[candidateSide]:
		return candidateSide
	case m.arms[baselineSide]:
		return baselineSide
	}
	return noSide
}

// joinSet compiles a service's place in a set.
func (svc *Service) joinSet(p *problems, cfg *SetConfig, places map[string]place) {
	if cfg == nil {
		return
	}
	field := "services." + svc.Name + ".set"
	if cfg.Share < 0 || cfg.Share > wholeShare {
		p.add(field+".share", "%d is no share; it is 0 to %d", cfg.Share, wholeShare)
	}
	s := &set{name: cfg.Name, share: uint64(cfg.Share), over: cfg.Over, self: -1}
	for i, m := range cfg.Members {
		if places[m.Service] == 0 {
			p.add(field+".members", "there is no service %q", m.Service)
		}
		if m.Service == svc.Name {
			s.self = i
			s.arms[candidateSide] = svc.namedVersion(p, field+".candidate", m.Candidate)
			s.arms[baselineSide] = svc.namedVersion(p, field+".baseline", m.Baseline)
		}
		s.members = append(s.members, member{
			place: places[m.Service], name: m.Service, since: m.Since,
			arms: [...]string{candidateSide: m.Candidate, baselineSide: m.Baseline},
		})
	}
	if s.self < 0 {
		p.add(field+".members", "%s is not among them", svc.Name)
	}
	for _, c := range svc.split.choices {
		if c.version != s.arms[candidateSide] {
			s.rest.add(c.version, int(c.weight))
		}
	}
	svc.set = s
}

// leaning is what the pins of a request say of a session in a set.
type leaning struct {
	side side    // noSide: no pin says one
	by   *member // whose pin says so
	// old says that this pin is from before the set's rollout.
	old bool
	// key stands for the session, where anything does; 0: nothing.
	key uint64
}

// lean reads the pins of a set, those of its services in their order. own is the
// session in the service itself.
func (s *Snapshot) lean(req *Request, svc *Service, own *session) (l leaning) {
	for i := range svc.set.members {
		m, ses := &svc.set.members[i], *own
		if i != svc.set.self {
			ses = s.at(m.place).session(req)
		}
		if l.key == 0 && ses.keyed {
			l.key = nonZero(ses.hash)
		} else if l.key == 0 && ses.id != 0 {
			l.key = nonZero(mix(ses.id + svc.salt))
		}
		if ses.state != pinHolding {
			continue
		}
		if l.side = m.side(ses.version); l.side != noSide {
			l.by, l.old = m, ses.epoch < m.since
			return l
		}
	}
	return l
}

// pinOrSplitSet is pinOrSplit in a release set.
func (s *Snapshot) pinOrSplitSet(req *Request, ses *session, d *Decision) (l leaning) {
	svc := d.Service
	set := svc.set
	l = s.lean(req, svc, ses)
	own := noSide
	holds := ses.state == pinHolding
	if holds {
		own = set.members[set.self].side(ses.version)
	}
	there := set.arms[l.side] // where the session's side is, in this service
	switch {
	case holds && (own == noSide || own == l.side || set.over || there.Mode(req.Now) == Dark):
		d.Reason = Pin
		d.hold(ses)
	case l.side != noSide && there.Mode(req.Now) != Dark:
		d.Reason, d.Followed = Split, true
		d.pin(req, ses, there)
		d.Joins = d.Pin == PinMake && !l.old && !holds
		if since := set.members[set.self].since; d.Pin == PinMake && !d.Joins && since > there.LeastEpoch {
			// The session was not drawn to its side in this rollout, or was on both:
			// its pin is one of before, by which nobody compares.
			d.Epoch = min(d.Epoch, since-1)
		}
	default:
		d.Reason = Split
		if v := svc.drawSide(req, l.key); v != nil && !set.over {
			d.pin(req, ses, v)
		} else {
			d.place(req, ses, &svc.split)
		}
	}
	return l
}

// drawSide draws a new session, given by its key or else by chance, to a version:
// the candidate for the set's share of them, the others by weight. It returns nil
// where these have none.
func (svc *Service) drawSide(req *Request, key uint64) *Version {
	if key == 0 {
		key = req.Draw
		if svc.Pin.By == PinCookie && svc.Pin.First == FirstClient && req.Client.IsValid() {
			agent, _ := req.field("user-agent")
			key = clientHash(svc.salt, req.Client, agent)
		}
	}
	candidate := svc.set.arms[candidateSide]
	if point, _ := bits.Mul64(mix(key+svc.salt), wholeShare); point < svc.set.share && candidate.Mode(req.Now) != Dark {
		return candidate
	}
	return svc.set.rest.rendezvous(key, req.Now, false)
}

// memberNames are the services of a set but its own.
func (s *set) memberNames() []string {
	var names []string
	for i := range s.members {
		if i != s.self {
			names = append(names, s.members[i].name)
		}
	}
	return slices.Sorted(slices.Values(names))
}
