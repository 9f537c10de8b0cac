package journey

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"strings"
)

// GRPC asks for the health of a gRPC service (grpc.health.v1.Health/Check), which
// must be SERVING. Of a Step, Headers are sent as metadata, and Expect.Latency
// holds; Method, Path, Body and the rest of Expect follow from it.
// https://github.com/grpc/grpc/blob/master/doc/health-checking.md
type GRPC struct {
	Service string // "": the server as a whole
}

// step returns a step with its call as a request of HTTP.
// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
func (g *GRPC) step(s Step) Step {
	message := []byte{}
	if g.Service != "" {
		message = append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(g.Service))), g.Service...) // string service = 1
	}
	s.Method, s.Path = "POST", "/grpc.health.v1.Health/Check"
	s.Body = Body{Content: append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)}
	s.Headers = maps.Clone(s.Headers)
	if s.Headers == nil {
		s.Headers = map[string]string{}
	}
	s.Headers["Content-Type"], s.Headers["TE"] = "application/grpc", "trailers"
	return s
}

// checkHealth reports why an answer does not say that the service serves.
func (g *GRPC) checkHealth(a *answer) error {
	if a.StatusCode != 200 {
		return fmt.Errorf("status %d, which is no answer of gRPC", a.StatusCode)
	}
	if kind := a.Header.Get("Content-Type"); kind != "application/grpc" && !strings.HasPrefix(kind, "application/grpc+") && !strings.HasPrefix(kind, "application/grpc;") {
		return fmt.Errorf("the answer is of type %q, not application/grpc", excerpt(kind))
	}
	if a.long {
		return fmt.Errorf("the answer has more than the %d bytes that are read", MaxBody)
	}
	if err := g.checkStatus(a); err != nil {
		return err
	}
	message, err := messageOf(a)
	if err != nil {
		return err
	}
	status, err := readHealth(message)
	switch {
	case err != nil:
		return err
	case status != serving:
		return fmt.Errorf("%s is %s, not SERVING", g.name(), healthName(status))
	}
	return nil
}

// checkStatus looks at the status of the call, which stands in the trailers, or
// in the head where no message follows.
func (g *GRPC) checkStatus(a *answer) error {
	status := cmp.Or(a.Trailer.Get("Grpc-Status"), a.Header.Get("Grpc-Status"))
	switch status {
	case "":
		return errors.New("there is no grpc-status: the answer was cut off")
	case "0":
		return nil
	}
	code := -1
	if n, err := strconv.ParseUint(status, 10, 8); err == nil && int(n) < len(callStatuses) {
		code = int(n)
	}
	why := "grpc-status " + excerpt(status)
	if code > 0 {
		why += " " + callStatuses[code]
	}
	text := cmp.Or(a.Trailer.Get("Grpc-Message"), a.Header.Get("Grpc-Message"))
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	if text != "" {
		why += ": " + excerpt(text)
	}
	switch code {
	case 5:
		why += fmt.Sprintf(" (its health service does not know %s)", g.name())
	case 12:
		why += " (it has no service grpc.health.v1.Health)"
	}
	return errors.New(why)
}

func (g *GRPC) name() string {
	if g.Service == "" {
		return "the server"
	}
	return "service " + g.Service
}

// callStatuses are the names of the statuses of calls.
// https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
var callStatuses = []string{"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
	"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"}

// messageOf returns the one message of an answer, from behind its prefix.
func messageOf(a *answer) ([]byte, error) {
	const prefix = 5 // compressed or not, and a length of four bytes
	switch body := a.body; {
	case len(body) < prefix:
		return nil, errors.New("the answer holds no message")
	case body[0] != 0:
		return nil, errors.New("the message is compressed, which was not asked for")
	case uint64(binary.BigEndian.Uint32(body[1:])) != uint64(len(body)-prefix):
		return nil, fmt.Errorf("the message is said to have %d bytes, and %d follow", binary.BigEndian.Uint32(body[1:]), len(body)-prefix)
	default:
		return body[prefix:], nil
	}
}

// serving is the status of a service that serves.
const serving = 1

func healthName(status uint64) string {
	if names := []string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}; status < uint64(len(names)) {
		return names[status]
	}
	return fmt.Sprintf("in status %d", status)
}

var errHealth = errors.New("the message is no HealthCheckResponse")

// readHealth reads a HealthCheckResponse, "ServingStatus status = 1", and passes
// over fields that it doesn't know. The last one counts, and none is UNKNOWN.
// https://protobuf.dev/programming-guides/encoding/
func readHealth(m []byte) (status uint64, err error) {
	for len(m) > 0 {
		tag, n := binary.Uvarint(m)
		if n <= 0 || tag>>3 == 0 {
			return 0, errHealth
		}
		m = m[n:]
		length := uint64(0)
		switch tag & 7 {
		case 0:
			value, n := binary.Uvarint(m)
			if n <= 0 {
				return 0, errHealth
			}
			if tag>>3 == 1 {
				status = value
			}
			length = uint64(n)
		case 1:
			length = 8
		case 2:
			size, n := binary.Uvarint(m)
			if n <= 0 || size > uint64(len(m)) {
				return 0, errHealth
			}
			length = uint64(n) + size
		case 5:
			length = 4
		default: // groups, which proto3 has not
			return 0, errHealth
		}
		if length > uint64(len(m)) || tag>>3 == 1 && tag&7 != 0 {
			return 0, errHealth
		}
		m = m[length:]
	}
	return status, nil
}
