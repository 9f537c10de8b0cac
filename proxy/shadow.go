package proxy

import (
	"time"

	"sluice/proxy/head"
	"sluice/routing"
)

// Copies of customers' requests go to a version whose answers are wanted, and no
// customer ever sees what it answers: shadows. A copy is sent once the customer
// has the answer. Nothing that a copy does counts for the versions that serve
// customers, nor is it waited for; where room for it is short, it is dropped.

// Shadow says which of the requests that a version answers are copied to another
// version. It hangs on the Target of each version that may answer. It must not
// change.
type Shadow struct {
	// To is the slot of the version that gets the copies, in the request's own
	// table. Where nothing has the slot, or the version itself has answered,
	// nothing is copied.
	To int
	// Again sends a second copy to the version that answered, at the same time, to
	// tell noise from difference.
	Again bool
	// Share is the part of the requests taken by Match and Methods that is copied,
	// 0 to 1.
	Share float64
	Match *routing.Matcher // nil: every request
	// Methods are those of the requests to copy; nil: DefaultShadowMethods.
	Methods []string
	// MaxBody is how many bytes the body of a request may have to be copied, and
	// how many are kept of an answer's; 0: DefaultShadowBody. A request with more
	// is not copied, an answer with more is cut.
	MaxBody int64
	// Timeout is how long a copy may take, its answer's body included; 0:
	// DefaultShadowTimeout.
	Timeout time.Duration
	// Tell is called with each request that was copied, by several goroutines. What
	// it is given is gone when it returns. Nil: the answers are dropped.
	Tell func(*ShadowPair)
}

// Defaults of a Shadow.
const (
	DefaultShadowBody    = 64 << 10
	DefaultShadowTimeout = 10 * time.Second
)

// DefaultShadowMethods are those of requests that ask for nothing to change.
var DefaultShadowMethods = []string{"GET", "HEAD", "OPTIONS"}

// ShadowPair is a request and how it was answered.
type ShadowPair struct {
	Service, Method string
	Path            string        // without the query
	Baseline        ShadowAnswer  // that the customer got
	Candidate       ShadowAnswer  // to the copy
	Again           *ShadowAnswer // to the second copy; nil: there was none
}

// ShadowAnswer is how one version answered.
type ShadowAnswer struct {
	Version string
	Status  int
	Fields  []head.Field  // as the endpoint sent them, but for those of its connection
	Body    []byte        // empty where it is cut
	Cut     bool          // the body is longer than Shadow.MaxBody, or was broken off
	Took    time.Duration // to the head of the answer, with the time to get a connection
	Failure string        // why there is no answer; "": there is one
}

// ShadowLimits bound what all copies may use together. One version may take half
// of each, so that one that hangs keeps no copies from the others.
type ShadowLimits struct {
	Copies int   // under way at once; 0: DefaultShadowCopies; below 0: none
	Bytes  int64 // of requests and answers held for them; 0: DefaultShadowBytes
}

// Defaults of ShadowLimits.
const (
	DefaultShadowCopies = 128
	DefaultShadowBytes  = 64 << 20
)
