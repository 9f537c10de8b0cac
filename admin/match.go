package admin

import (
	"fmt"
	"strconv"
	"strings"

	"sluice/state"
)

// match returns the revision to which an If-Match field binds a change of a
// service; 0: to none. A field with several entity tags, of which any may hold,
// is bound to the one that holds now. A tag that can't be a service's revision
// holds never, and weak tags don't count (RFC 9110, section 13.1.1).
func (s *Server) match(service, field string) (uint64, error) {
	field = strings.TrimSpace(field)
	if field == "" {
		return 0, nil
	}
	svc, err := lookUp(s.opts.Control.State(), service)
	if err != nil {
		return 0, err
	}
	if field == "*" {
		return 0, nil
	}
	for tag := range strings.SplitSeq(field, ",") {
		if strings.TrimSpace(tag) == etag(svc.Revision) {
			return svc.Revision, nil
		}
	}
	return 0, &state.Refusal{Reason: state.ErrConflict, Service: service,
		Message: fmt.Sprintf("the service has moved on to revision %s", strconv.FormatUint(svc.Revision, 10)),
		Remedy:  "read the service anew and repeat the change if it still fits"}
}
