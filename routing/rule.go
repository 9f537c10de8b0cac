package routing

import "strings"

// Rule is a rule as compiled. Its fields are for reading alone.
type Rule struct {
	Name string
	Dark bool // may reach dark versions

	reason  string // "rule:" and the name
	match   match
	version *Version // nil: the rule splits
	by      keySource
	split   split // weights as declared, of every version; for keys
	live    split // of those that new sessions may go to; for sessions
}

// keySource is where the key of a rule's split comes from.
type keySource struct {
	kind keyKind
	name string // of a header (in lower case), cookie or parameter
}

type keyKind uint8

const (
	bySession keyKind = iota
	byHeader
	byCookie
	byQuery
	byClientIP
)

// hash returns the hash of the key that a request carries; ok is false if it
// carries none.
func (k keySource) hash(salt uint64, req *Request) (hash uint64, ok bool) {
	var key string
	switch k.kind {
	case byHeader:
		key, ok = req.field(k.name)
	case byCookie:
		field, _ := req.field("cookie")
		key, ok = findCookie(field, k.name)
	case byQuery:
		key, ok = findParam(req.Query, k.name)
		key = decoded(key)
	case byClientIP:
		if !req.Client.IsValid() {
			return 0, false
		}
		ip := addressKey(req.Client)
		return saltedHash(salt, string(ip[:])), true
	}
	if !ok {
		return 0, false
	}
	return saltedHash(salt, key), true
}

// ruleOutcome says what became of a rule at a request.
type ruleOutcome uint8

const (
	ruleUnmatched ruleOutcome = iota
	ruleTook
	ruleDark  // it matches, but leads to dark versions alone
	ruleNoKey // it matches, but the request has no key to split by
)

// rule takes the first rule that leads a request anywhere. It reports whether
// there is one.
func (svc *Service) rule(req *Request, d *Decision, t *trace) bool {
	for _, r := range svc.Rules {
		outcome := ruleUnmatched
		if kind, _ := r.match.unmet(req); kind == "" {
			outcome = r.lead(req, d)
		}
		if t != nil {
			t.rule(req, d, r, outcome)
		}
		if outcome == ruleTook {
			d.Rule, d.Reason = r, RuleMatched
			return true
		}
	}
	return false
}

// lead chooses the version for a request that the rule matches.
func (r *Rule) lead(req *Request, d *Decision) ruleOutcome {
	switch {
	case r.version != nil:
		if !r.Dark && r.version.Mode(req.Now) == Dark {
			return ruleDark
		}
		d.Version = r.version
		return ruleTook
	case r.by.kind == bySession:
		return r.leadSession(req, d)
	}
	key, ok := r.by.hash(d.Service.hash, req)
	if !ok {
		return ruleNoKey
	}
	v := r.split.rendezvous(key, req.Now, r.Dark)
	if v == nil {
		return ruleDark
	}
	d.Version = v
	return ruleTook
}

// leadSession splits by session, as the service itself does: a pin to one of
// the rule's versions holds, any other session is split among them and pinned.
func (r *Rule) leadSession(req *Request, d *Decision) ruleOutcome {
	ses := d.Service.session(req)
	if ses.state == pinHolding && r.split.weightOf(ses.version) > 0 {
		d.hold(&ses)
		return ruleTook
	}
	if !d.place(req, &ses, &r.live) {
		return ruleDark
	}
	return ruleTook
}

// parseBy reads SplitConfig.By.
func parseBy(by string) (k keySource, ok bool) {
	if by == "" {
		return keySource{}, true
	}
	if by == "client_ip" {
		return keySource{kind: byClientIP}, true
	}
	kind, name, _ := strings.Cut(by, ":")
	switch kind {
	case "header":
		return keySource{byHeader, strings.ToLower(name)}, validToken(name)
	case "cookie":
		return keySource{byCookie, name}, validToken(name)
	case "query":
		return keySource{byQuery, name}, name != "" && !hasControl(name)
	}
	return keySource{}, false
}
