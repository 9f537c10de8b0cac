package proxy

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"sluice/proxy/head"
	"sluice/proxy/upstream"
	"sluice/stats"
)

// gRPC over HTTP/2, as github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
// has it: what the proxy must know of it to answer in its terms, to keep its
// deadlines and to tell good answers from bad ones.

// grpcCode is the outcome of a call (google/rpc/code.proto).
type grpcCode uint8

// The codes that the proxy itself gives.
const (
	grpcCanceled          grpcCode = 1
	grpcUnknown           grpcCode = 2
	grpcDeadlineExceeded  grpcCode = 4
	grpcPermissionDenied  grpcCode = 7
	grpcResourceExhausted grpcCode = 8
	grpcUnimplemented     grpcCode = 12
	grpcInternal          grpcCode = 13
	grpcUnavailable       grpcCode = 14
	grpcUnauthenticated   grpcCode = 16
)

// grpcStatuses are, by code, the HTTP statuses that mean the same
// (google/rpc/code.proto): what statistics count and the access log shows.
var grpcStatuses = [...]int{
	0: 200, 1: 499, 2: 500, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429,
	9: 400, 10: 409, 11: 400, 12: 501, 13: 500, 14: 503, 15: 500, 16: 401,
}

// recogniseGRPC notes whether the request is a call, and until when it is of use.
func (x *exchange) recogniseGRPC() {
	if x.req.Proto != head.HTTP2 {
		return
	}
	kind, _ := x.req.Lookup(head.ContentType)
	if x.grpc = isGRPC(kind); !x.grpc {
		return
	}
	if value, has := x.req.Get("grpc-timeout"); has {
		if d, ok := parseGRPCTimeout(value); ok {
			x.deadline = x.start.Add(d)
		}
	}
}

// isGRPC reports whether a Content-Type is gRPC's. gRPC-Web is another protocol.
func isGRPC(contentType string) bool {
	const name = "application/grpc"
	if len(contentType) < len(name) || !head.EqualFold(contentType[:len(name)], name) {
		return false
	}
	rest := contentType[len(name):]
	return rest == "" || rest[0] == '+' || rest[0] == ';'
}

// parseGRPCTimeout reads a Grpc-Timeout: one to eight digits and a unit.
func parseGRPCTimeout(s string) (time.Duration, bool) {
	last := len(s) - 1
	if last < 1 || last > 8 {
		return 0, false
	}
	n := int64(0)
	for _, c := range []byte(s[:last]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int64(c-'0')
	}
	var unit time.Duration
	switch s[last] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0, false
	}
	// The most that is asked for, 99,999,999 hours, is more than a Duration holds.
	const most = 365 * 24 * time.Hour
	if n > int64(most/unit) {
		return most, true
	}
	return time.Duration(n) * unit, true
}

// pastDeadline reports whether the call's deadline has passed, or does so at this
// very moment: an endpoint keeps the deadline too, and may end the call before we
// have looked at the time.
func (x *exchange) pastDeadline() bool {
	return !x.deadline.IsZero() && time.Until(x.deadline) < deadlineSkew
}

// deadlineSkew is by how much an endpoint may be ahead: it is told of the time left
// in whole units, and clocks have ticks.
const deadlineSkew = 5 * time.Millisecond

// responseTimeout is how long the endpoint may take to the head of its response.
// A call has no other limit than its own deadline; one without may be a stream
// on which nothing is to tell for a while.
func (x *exchange) responseTimeout() time.Duration {
	if x.grpc {
		return x.bodyTimeout()
	}
	return x.target.Settings.ResponseTimeout
}

// bodyTimeout is how long the response's body may stand still; 0: no limit but
// the call's deadline.
func (x *exchange) bodyTimeout() time.Duration {
	if x.grpc && !x.deadline.IsZero() {
		return 0
	}
	return x.target.Settings.BodyTimeout
}

// grpcCodeOf is the code for a status of the proxy's own.
func grpcCodeOf(status int) grpcCode {
	switch status {
	case 401:
		return grpcUnauthenticated
	case 403:
		return grpcPermissionDenied
	case 404, 501:
		return grpcUnimplemented
	case 413, 429:
		return grpcResourceExhausted
	case 408, 504:
		return grpcDeadlineExceeded
	case 502, 503:
		return grpcUnavailable
	case 400, 414, 431:
		return grpcInternal
	}
	return grpcUnknown
}

// sendGRPC answers a call itself: by fields alone, which are header and trailers
// in one.
func (x *exchange) sendGRPC(status int, text string) {
	x.outcome.Status = status
	x.res.Reset()
	x.res.Status = 200
	x.extra = append(x.extra[:0],
		head.Field{ID: head.ContentType, Name: "Content-Type", Value: "application/grpc"},
		head.Field{ID: head.Date, Name: "Date", Value: x.srv.date(x.start)})
	x.extra = appendGRPCStatus(x.extra, grpcCodeOf(status), text)
	if x.peer.synthetic {
		x.tell()
	}
	err := x.down.begin(&x.res, x.extra, x.close)
	if err == nil {
		err = x.down.finish(nil)
	}
	if err != nil {
		x.outcome.Flags |= stats.Aborted
		x.aborted, x.close = true, true
	}
}

// appendGRPCStatus appends a code, and a message of plain ASCII without '%',
// which needs no encoding.
func appendGRPCStatus(fields []head.Field, code grpcCode, message string) []head.Field {
	return append(fields,
		head.Field{Name: "Grpc-Status", Value: strconv.Itoa(int(code))},
		head.Field{Name: "Grpc-Message", Value: strings.TrimSuffix(message, "\n")})
}

// noteGRPC takes the code of a call that was answered for the status of its
// response: HTTP's own is 200 whatever came of the call.
func (x *exchange) noteGRPC(fields []head.Field) {
	if !x.grpc {
		return
	}
	for i := range fields {
		if f := &fields[i]; f.ID == head.Other && head.EqualFold(f.Name, "grpc-status") {
			code, err := strconv.ParseUint(f.Value, 10, 8)
			if err != nil || code >= uint64(len(grpcStatuses)) {
				code = uint64(grpcUnknown)
			}
			x.outcome.Status = grpcStatuses[code]
			return
		}
	}
}

// endGRPC ends a call whose response was cut off by saying so, and reports
// whether it did: its client understands that better than a reset.
func (x *exchange) endGRPC() bool {
	if !x.grpc || x.res.Declared >= 0 {
		return false
	}
	code, text := grpcCutOff(x.failure.err)
	x.outcome.Status = grpcStatuses[code]
	return x.down.finish(appendGRPCStatus(nil, code, text)) == nil
}

// grpcCutOff is the code for what cut a response off. Those for resets are of
// the protocol's table.
func grpcCutOff(err error) (grpcCode, string) {
	var reset *upstream.ResetError
	switch {
	case errors.Is(err, upstream.ErrDeadline):
		return grpcDeadlineExceeded, "The call's deadline has passed."
	case errors.Is(err, os.ErrDeadlineExceeded):
		return grpcDeadlineExceeded, "The endpoint sent nothing for too long."
	case errors.As(err, &reset):
		return grpcResetCode(reset.Code), "The endpoint reset the stream."
	case errors.Is(err, upstream.ErrMalformed):
		return grpcInternal, "The endpoint's response is malformed."
	}
	return grpcUnavailable, "The endpoint broke off its response."
}

// grpcResetCode is the code for a reset (RFC 9113, section 7).
func grpcResetCode(code uint32) grpcCode {
	switch code {
	case 0x7: // REFUSED_STREAM
		return grpcUnavailable
	case 0x8: // CANCEL
		return grpcCanceled
	case 0xb: // ENHANCE_YOUR_CALM
		return grpcResourceExhausted
	case 0xc: // INADEQUATE_SECURITY
		return grpcPermissionDenied
	}
	return grpcInternal
}
