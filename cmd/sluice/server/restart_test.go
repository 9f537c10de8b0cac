package server

import (
	"strings"
	"testing"

	"sluice/admin/api"
)

// bolt is where the tests of restarts keep the state.
const boltState = "state: {backend: bolt, path: sluice.db}"

func TestARestartKeepsWhatWasDecided(t *testing.T) {
	services := web(t, 100, 0)
	path := write(t, t.TempDir(), plainListener, boltState, services)
	first := start(t, path, Options{})
	b := stranger(t).browser()
	b.get(first.url("", "/")).served(t, "v1")
	first.flip("web", "drain:30m", all("v2"))
	// The browser's pin is bound to its host; another port is the same host.
	b.get(first.url("", "/")).served(t, "v1")
	spec := api.VersionSpec{Endpoints: []string{backend(t, "v3")}}
	if _, err := first.admin.PutVersion(t.Context(), "web", "v3", spec); err != nil {
		t.Fatal(err)
	}
	revision := first.keeper.State().Revision
	first.close()

	second := start(t, path, Options{})
	if got := second.keeper.State().Revision; got != revision {
		t.Errorf("the restart changed revision %d to %d", revision, got)
	}
	stranger(t).get(second.url("", "/")).served(t, "v2")
	b.get(second.url("", "/")).served(t, "v1")
	second.reload() // the file still says v1: 100, but it has not changed
	stranger(t).get(second.url("", "/")).served(t, "v2")
	second.flip("web", "move", all("v3"))
	stranger(t).get(second.url("", "/")).served(t, "v3")
}

func TestAFileWhoseWeightsChangedFlipsInItsOwnName(t *testing.T) {
	services := web(t, 100, 0)
	path := write(t, t.TempDir(), plainListener, boltState, services)
	s := start(t, path, Options{})
	s.flip("web", "move", map[string]int{"v1": 50, "dark": 50})
	rewrite(t, path, plainListener, boltState, strings.Replace(strings.Replace(services, "weight: 0", "weight: 7", 1), "weight: 100", "weight: 0", 1))
	s.reload()
	stranger(t).get(s.url("", "/")).served(t, "v2")
	audit, err := s.admin.Audit(t.Context(), "web", 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	e := audit.Events[0]
	if e.By != "file" || e.Kind != "declare" || e.Before["dark"] != 50 || e.After["v2"] != 7 || !strings.Contains(e.Why, path) {
		t.Errorf("the audit says %+v", e)
	}
	s.close()
	// So does a start with a file that changed while nobody watched.
	rewrite(t, path, plainListener, boltState, strings.Replace(services, "weight: 100", "weight: 3", 1))
	again := start(t, path, Options{})
	stranger(t).get(again.url("", "/")).served(t, "v1")
}

func TestAStartIsRefusedWithTheReason(t *testing.T) {
	services := web(t, 100, 0)
	path := write(t, t.TempDir(), plainListener, boltState, services)
	s := start(t, path, Options{})
	s.flip("web", "move", all("v2"))
	rewrite(t, path, plainListener, boltState, "services: {web: {versions: {v1: {endpoints: [\"127.0.0.1:1\"], weight: 100}}}}")
	if _, err := startFile(t, path, Options{}); err == nil || !strings.Contains(err.Error(), "another process holds it") {
		t.Errorf("with the state file in use: %v", err)
	}
	s.close()
	if _, err := startFile(t, path, Options{}); err == nil || !strings.Contains(err.Error(), "drops versions that serve: web/v2") {
		t.Errorf("without a version that serves: %v", err)
	}
	for want, lines := range map[string]string{
		"address already in use":          `listeners: [{address: "` + dead(t) + `"}, {name: b, address: "` + backend(t, "b") + `"}]`,
		"the etcd backend is not served":  "state: {backend: etcd, etcd: {endpoints: [\"http://127.0.0.1:1\"]}}",
		"does not exist; create it first": `state: {backend: bolt, path: none/sluice.db}`,
	} {
		path := write(t, t.TempDir(), lines, services)
		if _, err := startFile(t, path, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
