package admin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/admin/api"
	"sluice/state"
)

// serviceInput names a service in the path.
type serviceInput struct {
	Service string `path:"s" maxLength:"64" doc:"The service"`
}

type servicesOutput struct{ Body api.Services }

type serviceOutput struct {
	ETag string `header:"ETag" doc:"The service's revision, for If-Match"`
	Body api.Service
}

type statsOutput struct{ Body api.Stats }

// registerServices registers what shows services and numbers.
func (s *Server) registerServices(a huma.API) {
	add(a, huma.Operation{OperationID: "list-services", Method: http.MethodGet, Path: "/v1/services",
		Summary: "Every service with its versions"},
		func(context.Context, *struct{}) (*servicesOutput, error) { return s.services(), nil })
	add(a, huma.Operation{OperationID: "get-service", Method: http.MethodGet, Path: "/v1/services/{s}",
		Summary: "One service with its versions"}, s.service)
	add(a, huma.Operation{OperationID: "get-stats", Method: http.MethodGet, Path: "/v1/stats",
		Summary: "Every counter of this instance"},
		func(context.Context, *struct{}) (*statsOutput, error) { return s.stats(), nil })
}

func (s *Server) services() *servicesOutput {
	st, numbers := s.opts.Control.State(), s.numbers("")
	out := &servicesOutput{Body: api.Services{Revision: st.Revision, Services: []api.Service{}}}
	for _, name := range slices.Sorted(maps.Keys(st.Services)) {
		out.Body.Services = append(out.Body.Services, s.view(st.Services[name], numbers[name]))
	}
	return out
}

func (s *Server) service(_ context.Context, in *serviceInput) (*serviceOutput, error) {
	st := s.opts.Control.State()
	svc, err := lookUp(st, in.Service)
	if err != nil {
		return nil, s.problem(err, false)
	}
	numbers := s.numbers(in.Service)[in.Service]
	out := &serviceOutput{ETag: etag(svc.Revision), Body: s.view(svc, numbers)}
	back := target(st, svc, state.Preview(st, state.Rollback{Service: svc.Name}, s.preview(svc.Name)), numbers)
	out.Body.Rollback = &back
	for i := range out.Body.Versions {
		v := &out.Body.Versions[i]
		v.TakenBack = takenBack(st, svc.Name, v.Name)
	}
	if r := st.Under(svc.Name); r != nil {
		out.Body.Rollout = r.ID
	}
	return out, nil
}

func (s *Server) stats() *statsOutput {
	out := &statsOutput{Body: api.Stats{At: s.opts.Now(), Versions: []api.VersionNumbers{}}}
	for service, versions := range s.numbers("") {
		for version, n := range versions {
			n.ErrorRate = fraction(n.Errors, n.Requests)
			out.Body.Versions = append(out.Body.Versions, api.VersionNumbers{Service: service, Version: version, Numbers: n})
		}
	}
	slices.SortFunc(out.Body.Versions, func(a, b api.VersionNumbers) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Version, b.Version))
	})
	if s.opts.Live != nil {
		out.Body.Totals = s.opts.Live.Totals()
	}
	return out
}

// numbers returns the live numbers of one service, or of all if it is "".
func (s *Server) numbers(service string) map[string]map[string]api.Numbers {
	if s.opts.Live == nil {
		return nil
	}
	return s.opts.Live.Numbers(service)
}

// lookUp returns a service, or a refusal that names those there are.
func lookUp(st state.State, name string) (*state.Service, error) {
	if svc := st.Services[name]; svc != nil {
		return svc, nil
	}
	return nil, &state.Refusal{Reason: state.ErrNotFound, Service: name,
		Message: fmt.Sprintf("there is no service %q", name), Remedy: known("services", st.Services)}
}

// maxKnown bounds how many names an error lists.
const maxKnown = 20

// known names what there is, for the remedy of an error.
func known[V any](what string, all map[string]V) string {
	if len(all) == 0 {
		return "there are no " + what
	}
	names := slices.Sorted(maps.Keys(all))
	more := ""
	if len(names) > maxKnown {
		more = fmt.Sprintf(" and %d more", len(names)-maxKnown)
		names = names[:maxKnown]
	}
	return "known " + what + ": " + strings.Join(names, ", ") + more
}

// etag is the entity tag of a service's revision.
func etag(revision uint64) string { return strconv.Quote(strconv.FormatUint(revision, 10)) }

// view joins what was decided about a service with how it goes.
func (s *Server) view(svc *state.Service, numbers map[string]api.Numbers) api.Service {
	out := api.Service{Name: svc.Name, Revision: svc.Revision, Epoch: svc.Epoch, Level: svc.Level, Barrier: svc.Barrier, Versions: []api.Version{}}
	var weights, sessions, requests uint64
	for name, v := range svc.Versions {
		weights += uint64(v.Weight)
		sessions += numbers[name].LiveSessions
		requests += numbers[name].RequestsLastMinute
	}
	now := s.opts.Now()
	for _, name := range svc.VersionNames() {
		version := viewVersion(svc.Versions[name], numbers[name], now)
		version.Shares = api.Shares{
			NewSessions:  fraction(uint64(version.Weight), weights),
			LiveSessions: fraction(version.Live.LiveSessions, sessions),
			Requests:     fraction(version.Live.RequestsLastMinute, requests),
		}
		out.Versions = append(out.Versions, version)
	}
	return out
}

// viewVersion shows a version without its shares.
func viewVersion(v *state.Version, n api.Numbers, now time.Time) api.Version {
	n.ErrorRate = fraction(n.Errors, n.Requests)
	out := api.Version{
		Name: v.Name, Origin: v.Origin, Mode: v.Mode(now), Weight: v.Weight, LeastEpoch: v.LeastEpoch,
		Endpoints: slices.Concat([]string{}, v.Spec.Endpoints), Shape: v.Spec.Shape, Provides: v.Spec.Provides,
		Requires: v.Spec.Requires, Capacity: v.Spec.Capacity, Tags: v.Spec.Tags, Live: n,
	}
	if out.Mode == state.Draining {
		out.DrainUntil = v.Drain.Until
	}
	return out
}

// fraction returns part by whole, and 0 of nothing.
func fraction(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
