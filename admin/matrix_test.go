package admin

import (
	"testing"

	"sluice/admin/api"
)

// cells is a matrix of one service: v1 passes, v2 fails, v3 was never asked.
type cells struct{}

func (cells) Matrix(service string) []api.ServiceMatrix {
	return []api.ServiceMatrix{{Service: "web", Journeys: []string{"buy"}, Versions: []api.MatrixVersion{{Name: "v1"}, {Name: "v2"}}, Cells: []api.MatrixCell{
		{Version: "v1", Journey: "buy", State: api.CellPassed}, {Version: "v2", Journey: "buy", State: api.CellFailed},
	}}}
}

func (cells) Cell(service, version, journey string) (api.CellHistory, bool) {
	return api.CellHistory{Service: service, Version: version, Journey: journey, State: api.CellNever}, journey == "buy"
}

func TestMatrix(t *testing.T) {
	s := newServer(t, Options{Matrix: cells{}})
	if m := want[api.Matrix](t, ask(s, "GET", "/v1/matrix", ""), 200); m.Passed || len(m.Services[0].Cells) != 2 {
		t.Errorf("%+v", m)
	}
	if m := want[api.Matrix](t, ask(s, "GET", "/v1/matrix?service=web&version=v1", ""), 200); !m.Passed || len(m.Services[0].Cells) != 1 || len(m.Services[0].Versions) != 1 {
		t.Errorf("%+v", m)
	}
	if m := want[api.Matrix](t, ask(s, "GET", "/v1/matrix?service=web&version=v2", ""), 200); m.Passed || m.Services[0].Cells[0].Version != "v2" {
		t.Errorf("%+v", m)
	}
	if h := want[api.CellHistory](t, ask(s, "GET", "/v1/matrix/web/v2/buy", ""), 200); h.Service != "web" || h.Version != "v2" || h.Journey != "buy" {
		t.Errorf("%+v", h)
	}
	for path, status := range map[string]int{
		"/v1/matrix?service=wbe": 404, "/v1/matrix?service=web&version=v9": 404, "/v1/matrix?version=v1": 404, "/v1/matrix?servce=web": 422,
		"/v1/matrix/web/v9/buy": 404, "/v1/matrix/wbe/v1/buy": 404, "/v1/matrix/web/v1/sell": 404,
	} {
		wantProblem(t, ask(s, "GET", path, ""), status)
	}
	none := newServer(t, Options{})
	wantProblem(t, ask(none, "GET", "/v1/matrix", ""), 501)
	wantProblem(t, ask(none, "GET", "/v1/matrix/web/v1/buy", ""), 501)
}
