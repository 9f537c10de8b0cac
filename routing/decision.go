package routing

import "slices"

// Decision is where a request goes and why. It keeps nothing of the request.
type Decision struct {
	Service *Service // nil: no route, to be answered 404
	// Version answers the request. With a Service but no Version nobody can: to
	// be answered 503.
	Version *Version
	// Failed is the version that was chosen and has no usable endpoint, whether
	// another stands in for it or not. With neither Version nor Failed the
	// service has no live version at all.
	Failed *Version
	// FailedSession is the session that the split gave to Failed, where its pin is not
	// made for that; 0: none.
	FailedSession uint64
	// Rule is the rule that decided, also where failover followed.
	Rule *Rule
	// MovedFrom is the version that the session was on before, when its pin
	// holds no longer and it is now pinned to another. It is nil where that
	// version no longer exists.
	MovedFrom *Version
	// Voided is the version of the session's pin where its epoch no longer
	// counts, and the session is now pinned anew, there or elsewhere.
	Voided *Version

	Session uint64 // of the pin that is held or made; 0: none
	Epoch   uint64 // in which that pin was made
	Key     PinKey // of the application's key, where Pin is to be remembered

	// Followed says that a release set has given the session its version, since it is
	// on a side in another service. It was not drawn to it here.
	Followed bool
	// Joins says of such a session that its draw there counts in the set's rollout as
	// it stands: it is of those by which the versions are compared.
	Joins bool

	// Overrides are the verified overrides as they go on upstream: the text of
	// an RFC 9651 dictionary, "" if none.
	Overrides string
	// TokenExpires is when the valid token ends, in Unix seconds; 0: none.
	TokenExpires int64

	Reason Reason
	Pin    PinAction
	Token  TokenOutcome
	// Redirect asks for a redirect to the URL without its token, that sets the
	// token as a cookie (AppendTokenCookie). It is set for GET and HEAD alone,
	// since a redirect may lose a body.
	Redirect bool
}

// Reason says which step decided.
type Reason uint8

// The reasons, in the order of the steps.
const (
	NoRoute     Reason = iota // no service for this host and path
	Override                  // an authorised override named the version
	RuleMatched               // a rule of the service
	Pin                       // the session's pin
	Split                     // the service's weights, for a new or voided session
	Failover                  // the version that the steps above chose can't serve

	// What the proxy finds once the version was asked; Decide returns neither.
	Shield        // that version failed, and the baseline answered
	AssetFallback // that version had no such asset, and another had

	reasons = int(iota)
)

var reasonNames = [reasons]string{"no_route", "override", "rule", "pin", "split", "failover", "shield", "asset_fallback"}

// ReasonNames returns the codes of the reasons by their numbers.
func ReasonNames() []string { return slices.Clone(reasonNames[:]) }

// String returns the code of the reason: "no_route", "override", "rule",
// "pin", "split", "failover", "shield" or "asset_fallback".
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "unknown"
}

// ReasonText returns the reason as logs and clients see it: its code, or
// "rule:" and the rule's name.
func ReasonText(d *Decision) string {
	if d.Reason == RuleMatched && d.Rule != nil {
		return d.Rule.reason
	}
	return d.Reason.String()
}

// PinAction says what a decision does with the session's pin.
type PinAction uint8

// The actions.
const (
	NoPin   PinAction = iota // none is held and none is made
	PinHeld                  // a valid pin was used and stays as it is
	PinMake                  // to be made: a cookie to set, or a key to Remember
)

var pinActionNames = [...]string{"none", "held", "make"}

// String returns "none", "held" or "make".
func (a PinAction) String() string {
	if int(a) < len(pinActionNames) {
		return pinActionNames[a]
	}
	return "unknown"
}

// TokenOutcome says what became of the overrides that came with a request. If
// several came, a valid one counts, else the first that failed.
type TokenOutcome uint8

// The outcomes.
const (
	TokenNone              TokenOutcome = iota // none came
	TokenValid                                 // a token was verified
	TokenExpired                               // a token is past its "exp"
	TokenBad                                   // a token is malformed, or signed by no known key
	OverrideValid                              // the header Sluice-Override was believed
	OverrideUntrusted                          // it came from a client that is not
	OverrideBad                                // it is no dictionary of services and versions
	OverrideUnknownVersion                     // it, or a valid token, names a version that the service does not have
)

var tokenOutcomeNames = [...]string{"none", "token_valid", "token_expired", "token_bad",
	"override_valid", "override_untrusted", "override_bad", "override_unknown_version"}

// String returns the outcome as a metric label: "none", "token_valid",
// "token_expired", "token_bad", "override_valid", "override_untrusted",
// "override_bad" or "override_unknown_version".
func (o TokenOutcome) String() string {
	if int(o) < len(tokenOutcomeNames) {
		return tokenOutcomeNames[o]
	}
	return "unknown"
}
