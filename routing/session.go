package routing

import "net/netip"

// session is what a request says about the session that it belongs to.
type session struct {
	id      uint64   // 0: unknown
	epoch   uint64   // of its pin
	version *Version // of its pin; nil where there is none or that version is gone
	state   pinState
	keyed   bool   // the application's own key tells it
	hash    uint64 // of that key, for the split
	key     PinKey // of that key, for the table
}

// pinState says whether a pin holds, or why it does not.
type pinState uint8

const (
	pinAbsent pinState = iota
	pinForged          // a cookie under the pin's name that is none, or from an epoch yet to come
	pinGone            // its version does not exist
	pinDark            // its version is dark
	pinVoided          // its version accepts pins of later epochs alone
	pinHolding
)

// session reads the session of a request. It is read only where a step needs
// it.
func (svc *Service) session(req *Request) session {
	switch svc.Pin.By {
	case PinCookie:
		return svc.cookieSession(req)
	case PinAppCookie:
		field, _ := req.field("cookie")
		key, _ := findCookie(field, svc.Pin.Name)
		return svc.keyedSession(req, key)
	case PinHeader:
		key, _ := req.field(svc.Pin.Name)
		return svc.keyedSession(req, key)
	case PinClientIP:
		if !req.Client.IsValid() {
			return session{}
		}
		ip := addressKey(req.Client)
		return svc.keyedSession(req, string(ip[:]))
	}
	return session{}
}

// addressKey returns an address as a key: the same for an IPv4 address and its
// form in IPv6, without zone.
func addressKey(client netip.Addr) [16]byte { return client.As16() }

// cookieSession reads the pin cookies: the first that holds, else the first
// that is a pin at all.
func (svc *Service) cookieSession(req *Request) (ses session) {
	rest, _ := req.field("cookie")
	for {
		value, more, ok := nextCookie(rest, svc.Pin.Name)
		if !ok {
			return ses
		}
		rest = more
		pin := svc.cookiePin(value, req.Now)
		if pin.state == pinHolding {
			return pin
		}
		if ses.state == pinAbsent || ses.state == pinForged && pin.state != pinForged {
			ses = pin
		}
	}
}

// cookiePin reads one pin cookie.
func (svc *Service) cookiePin(value string, now int64) session {
	name, epoch, id, ok := ParsePin(value)
	if !ok || epoch > svc.Epoch {
		return session{state: pinForged}
	}
	v := svc.Version(name)
	return session{id: id, epoch: epoch, version: v, state: v.accepts(epoch, now)}
}

// accepts says whether a pin to the version, made in epoch, holds. A nil
// version is one that does not exist.
func (v *Version) accepts(epoch uint64, now int64) pinState {
	switch {
	case v == nil:
		return pinGone
	case v.Mode(now) == Dark:
		return pinDark
	case epoch < v.LeastEpoch:
		return pinVoided
	}
	return pinHolding
}

// keyedSession looks up the pin of an application's key. Requests with an
// empty key have no session: they would all be one.
func (svc *Service) keyedSession(req *Request, key string) (ses session) {
	if key == "" {
		return session{}
	}
	ses.keyed = true
	ses.hash = saltedHash(svc.salt, key)
	ses.id = nonZero(saltedHash(svc.hash, key))
	if svc.pins == nil {
		return ses
	}
	ses.key = svc.pins.key(svc.hash, key)
	pin, ok := svc.pins.get(ses.key, req.Now)
	if !ok {
		return ses
	}
	ses.epoch = pin.epoch
	if pin.epoch > svc.Epoch {
		ses.state = pinForged
		return ses
	}
	ses.version = svc.Version(pin.version)
	ses.state = ses.version.accepts(pin.epoch, req.Now)
	return ses
}

// hold answers with the version of the session's pin.
func (d *Decision) hold(ses *session) {
	d.Version = ses.version
	d.Pin, d.Session, d.Epoch = PinHeld, ses.id, ses.epoch
}

// place splits the session anew and makes its pin. It reports false, with
// nothing done, if the split is empty.
func (d *Decision) place(req *Request, ses *session, sp *split) bool {
	v := d.Service.choose(req, ses, sp)
	if v == nil {
		return false
	}
	d.pin(req, ses, v)
	return true
}

// pin pins a session to a version, if it can be pinned.
func (d *Decision) pin(req *Request, ses *session, v *Version) {
	d.Version = v
	if by := d.Service.Pin.By; by == PinNone || by != PinCookie && !ses.keyed {
		return
	}
	d.Pin, d.Epoch, d.Key = PinMake, d.Service.Epoch, ses.key
	d.Session = ses.id
	if d.Session == 0 {
		d.Session = nonZero(req.Draw)
	}
	if ses.version != nil && ses.version != v {
		d.MovedFrom = ses.version
	}
	if ses.state == pinVoided {
		d.Voided = ses.version
	}
}

// choose picks a version of a split for a session. One whose cookie no longer
// holds is split by its id and the epoch, not by the draw, so that all the
// requests that it has under way at a flip are moved to the same version.
func (svc *Service) choose(req *Request, ses *session, sp *split) *Version {
	switch {
	case ses.keyed:
		return sp.rendezvous(ses.hash, req.Now, false)
	case ses.id != 0:
		return sp.at(mix(ses.id + mix(svc.Epoch+svc.salt)))
	case svc.Pin.By == PinCookie && svc.Pin.First == FirstClient && req.Client.IsValid():
		agent, _ := req.field("user-agent")
		return sp.rendezvous(clientHash(svc.salt, req.Client, agent), req.Now, false)
	}
	return sp.at(req.Draw)
}
