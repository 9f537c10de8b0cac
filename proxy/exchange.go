package proxy

import (
	"math/rand/v2"
	"sync"
	"time"

	"sluice/proxy/h1"
	"sluice/proxy/head"
	"sluice/proxy/upstream"
	"sluice/routing"
	"sluice/stats"
	"sluice/stats/trial"
)

// exchange is one request, its response and all that is decided between them.
// Its life is the same for every protocol: begin, decide, forward (acquire,
// send, await the head, relay), record. It is pooled: what costs memory is
// kept, the rest is in course, which is emptied.
type exchange struct {
	course

	req    head.Request
	res    head.Response
	miss   head.Response // of the session's version, held back while others are asked for an asset
	pump   pump          // carries a request body that was not here whole when the head went out
	head   []byte        // of the request, as it goes to the endpoint
	named  []string      // fields that a Connection field names away
	extra  []head.Field  // fields that the proxy adds to the response
	values []byte        // text that values in extra alias
	// cookies is the text of a Cookie field that came in pieces.
	cookies []byte
	stream  stream // its place among what lasts
}

// course is what is known and decided of one request.
type course struct {
	srv   *Server
	peer  *peer
	down  downstream
	table *Table

	start  time.Time
	in     routing.Request
	dec    routing.Decision
	target *Target
	up     *upstream.Conn
	upBody h1.Body

	retained retained // of the request's body

	// lastEndpoint is the one that was asked last, for the log.
	lastEndpoint *upstream.Endpoint
	tries        int     // attempts begun
	failure      fault   // why the last of them came to nothing
	instead      instead // other versions that were asked
	times        times
	trace        trace
	ownID        [32]byte // our X-Request-Id, in hexadecimal; zero: none was made
	outcome      stats.Outcome
	ticket       trial.Ticket // of the version decided on
	shadowed     *shadowed    // what copies of the request need; nil: it is not copied
	bytesIn      int64
	bytesOut     int64

	deadline    time.Time // of a gRPC call that has one; zero: none
	unprocessed uint8     // endpoints that did not look at the request

	grpc      bool // a gRPC call over HTTP/2
	synthetic bool // a journey's, which counts for no customer
	begun     bool // counted as in flight
	streamed  bool // the request's body is not part of head
	informed  bool // the client got an interim response
	hurried   bool // this try got less time than a try has
	retrying  bool // holds a claim on the version's retry budget
	close     bool // the client's connection ends after this exchange
	marked    bool // the response has a field that makes it bad in a trial
	shedding  bool // it is refused for overload
	aborted   bool // the response was cut off, and the client must see that it was
}

// downstream is the client's side of an exchange, as a codec shows it.
// HTTP/1.1 implements it in codec1.go.
type downstream interface {
	// bodyWhole returns the request's body if all of it is already here, and
	// consumes nothing.
	bodyWhole() (body []byte, whole bool)
	// readBody returns the next bytes of the request's body, valid until the
	// next call; io.EOF after the last.
	readBody() ([]byte, error)
	// bodyTrailers returns the request's trailers after io.EOF.
	bodyTrailers() []head.Field
	// bodyDone reports whether the request was read to its end.
	bodyDone() bool
	// stopReading makes readBody return at once, for good.
	stopReading()
	// spliceBody moves the request's body to an endpoint inside the kernel if
	// that is possible and worth while; zero moved means it is not. The error
	// is the client's, or errEndpointGone.
	spliceBody(to *upstream.Conn) (moved int64, err error)
	// watch names what is to be aborted when the client gives up its request;
	// nil ends that.
	watch(up aborter)
	// gone reports whether the client has given up its request.
	gone() bool
	// inform sends an interim (1xx) response at once.
	inform(res *head.Response) error
	// begin starts the final response with the fields of res that are meant
	// for the client, and extra. Nothing need be sent before flush.
	// Nobody reads what follows if close is set.
	begin(res *head.Response, extra []head.Field, close bool) error
	// write sends bytes of the body; they may wait until flush.
	write(p []byte) error
	// splice moves up to n bytes of the body from an endpoint to the client
	// inside the kernel; zero moved means that it cannot.
	splice(from *upstream.Conn, n int64) (moved int64, err error)
	// finish ends the body and flushes.
	finish(trailers []head.Field) error
	// flush sends what waits.
	flush() error
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// acquireExchange takes an exchange from the pool for a request of this peer.
func acquireExchange(srv *Server, p *peer, down downstream) *exchange {
	x := exchanges.Get().(*exchange)
	x.srv, x.peer, x.down = srv, p, down
	return x
}

// release empties the exchange and gives it back.
func (x *exchange) release() {
	x.req.Reset()
	x.res.Reset()
	x.miss.Reset()
	clear(x.named)
	clear(x.extra)
	x.head, x.named, x.extra, x.values = x.head[:0], x.named[:0], x.extra[:0], x.values[:0]
	if x.stream.closing.Load() {
		x.stream.closing.Store(false)
	}
	x.retained.free()
	x.pump.client = nil
	x.course = course{}
	exchanges.Put(x)
}

// serve leads a request whose head was read through its life.
func (x *exchange) serve() {
	x.beginRequest()
	if x.admit() && x.decide() {
		x.forward()
	}
	x.record()
}

// beginRequest stamps the request and gathers what the decision needs.
func (x *exchange) beginRequest() {
	x.table = x.srv.table.Load()
	x.start = time.Now()
	x.close = x.req.Close
	x.joinCookies()
	x.recogniseGRPC()
	x.recogniseSynthetic()
	x.in = routing.Request{
		Method: x.req.Method, Host: x.req.Host, Path: x.req.Path, Query: x.req.Query,
		Fields:  &x.req,
		Client:  x.peer.clientOf(&x.req),
		Trusted: x.peer.trusted || x.peer.synthetic,
		Now:     x.start.UnixNano(),
		Draw:    rand.Uint64(),
		Health:  x.table,
	}
	if x.srv.tracing.record != nil {
		x.beginTrace()
	}
	x.times.taken = x.trace.sampled || x.srv.access.mode != AccessOff
}

// joinCookies makes one Cookie field of several, as HTTP/2's clients send them
// (RFC 9113, section 8.2.3), so that whoever reads cookies sees them all.
func (x *exchange) joinCookies() {
	var kept *head.Field
	x.cookies = x.cookies[:0]
	for i := range x.req.Fields {
		f := &x.req.Fields[i]
		switch {
		case f.ID != head.Cookie:
			continue
		case kept == nil:
			kept = f
			continue
		case len(x.cookies) == 0:
			x.cookies = append(x.cookies, kept.Value...)
		}
		x.cookies = append(x.cookies, "; "...)
		x.cookies = append(x.cookies, f.Value...)
		*f = head.Field{}
	}
	if len(x.cookies) > 0 {
		kept.Value = view(x.cookies)
	}
}

// decide asks the routing table and answers what goes nowhere.
func (x *exchange) decide() bool {
	x.dec = x.table.Routing.Decide(&x.in)
	if x.dec.Token != routing.TokenNone && !x.synthetic {
		x.srv.countToken(x.dec.Token)
	}
	switch {
	case x.dec.Redirect:
		x.redirectToClean()
		return false
	case x.dec.Service == nil:
		x.countNoRoute()
		x.reply(404, "No route leads here.\n")
		return false
	case x.dec.Version == nil:
		x.countFailed()
		x.reply(503, "No endpoint is able to answer.\n")
		return false
	}
	if x.dec.Failed != nil {
		x.countFailed()
	}
	x.target = x.table.Targets[x.dec.Version.Slot]
	if x.synthetic {
		return true // no rate, and no pin, is a customer's
	}
	if r := x.target.Settings.Rates; r != nil && !x.withinServiceRates(r) {
		return false
	}
	x.dec.Remember(x.in.Now)
	x.countPin()
	if x.target.Shadow != nil {
		x.chooseShadow()
	}
	return true
}

// countFailed counts against the version that was chosen and could not answer.
func (x *exchange) countFailed() {
	if x.dec.Failed != nil && !x.synthetic {
		failed := x.table.Targets[x.dec.Failed.Slot]
		failed.Stats.FailedOver(x.peer.shard)
		x.failTrial(failed.Arm)
	}
}

// countPin counts what the decision did to the session's pin.
func (x *exchange) countPin() {
	if x.dec.Pin != routing.PinMake {
		return
	}
	x.target.Stats.PinMade(x.peer.shard)
	if from := x.dec.MovedFrom; from != nil {
		x.table.Targets[from.Slot].Stats.PinMoved(x.peer.shard)
	}
	if v := x.dec.Voided; v != nil {
		x.table.Targets[v.Slot].Stats.PinsVoided(x.peer.shard)
	}
}

// forward brings the request to an endpoint of its version and the answer
// back, trying again where that can do no harm.
func (x *exchange) forward() {
	x.counts(x.target).Begin(x.peer.shard)
	x.begun = true
	x.beginTrial()
	x.streamed = x.isStreamed()
	if !x.retainBody() {
		x.replyFailure()
		return
	}
	for x.attempt() == attemptFailed {
		if x.mayRetry() && x.pause() || x.askAnother() {
			continue
		}
		if !x.answerMiss() {
			x.replyFailure()
		}
		break
	}
	x.leaveRetries()
}

// record ends the exchange in the statistics, the access log and its trace, and
// has it copied if it is to be.
func (x *exchange) record() {
	total := time.Since(x.start)
	o := &x.outcome
	o.Nanos = int64(total - x.instead.apart)
	o.Now = x.in.Now + int64(total)
	o.BytesIn, o.BytesOut = x.bytesIn, x.bytesOut
	o.Reason = uint8(x.reason())
	if x.instead.reason == 0 {
		o.Session = x.dec.Session
	}
	x.leaveOwn(0)
	if x.reason() == routing.Failover {
		o.Flags |= stats.Failover
	}
	if x.tries > 1 {
		o.Retries = uint8(min(x.tries-1, 255))
	}
	if x.begun {
		x.counts(x.target).End(x.peer.shard, o)
		x.endTrial(o)
	}
	if x.synthetic {
		x.countSynthetic()
	}
	x.srv.access.log(x)
	if x.trace.sampled {
		x.endTrace()
	}
	if x.shadowed != nil {
		x.sendShadow()
	}
}

// cutOff reports whether the response was not brought to its end.
func (x *exchange) cutOff() bool { return x.aborted || x.outcome.Flags&stats.Aborted != 0 }
