package admin

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"sluice/admin/api"
)

// maxProfile is the longest time, in seconds, that a profile may be taken for:
// one of the CPU slows requests down while it is taken.
const maxProfile = 60

// registerProfiles registers the profiles of the running process, as go tool
// pprof fetches them. They are for administrators, since they show what is in
// memory, and not in the OpenAPI document, since no client is made from it that
// could read them.
func (s *Server) registerProfiles() {
	get := func(path string, h http.HandlerFunc) { s.routes.HandleFunc("GET /debug/pprof/"+path, profile(h)) }
	get("{$}", pprof.Index)
	get("{profile}", pprof.Index)
	get("cmdline", pprof.Cmdline)
	get("profile", pprof.Profile)
	get("symbol", pprof.Symbol)
	get("trace", pprof.Trace)
}

// profile bounds the time of a profile. The handlers themselves put the deadline
// of the answer off by that time; the request's, which would end it, goes.
func profile(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if text := r.URL.Query().Get("seconds"); text != "" {
			if seconds, err := strconv.Atoi(text); err != nil || seconds < 1 || seconds > maxProfile {
				writeProblem(w, &api.Problem{Status: http.StatusBadRequest,
					Detail: fmt.Sprintf("a profile of %q seconds is not taken", text), Remedy: fmt.Sprintf("use seconds=1 to %d", maxProfile)})
				return
			}
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a recorder of tests has none
		h(w, r)
	}
}
