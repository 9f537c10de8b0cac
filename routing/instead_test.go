package routing

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// shielded adds a shield to the service.
func shielded(cfg ShieldConfig) func(*ServiceConfig) {
	return func(s *ServiceConfig) { s.Shield = &cfg }
}

func TestShieldIsTheHeaviestLiveVersionOfTheSameShape(t *testing.T) {
	for name, test := range map[string]struct {
		versions []VersionConfig
		baseline string
		want     map[string]string // candidate: baseline
	}{
		"the heaviest":        {[]VersionConfig{{Name: "v1", Weight: 90}, {Name: "v2", Weight: 10}}, "", map[string]string{"v2": "v1"}},
		"the first of equals": {[]VersionConfig{{Name: "v2", Weight: 5}, {Name: "v1", Weight: 5}}, "", map[string]string{"v2": "v1"}},
		"as told":             {[]VersionConfig{{Name: "v1", Weight: 10}, {Name: "v2", Weight: 90}}, "v1", map[string]string{"v2": "v1"}},
		"told, but dark":      {[]VersionConfig{{Name: "v1"}, {Name: "v2", Weight: 90}}, "v1", nil},
		"one version":         {[]VersionConfig{{Name: "v1", Weight: 1}}, "", nil},
		"none is live":        {[]VersionConfig{{Name: "v1"}, {Name: "v2"}}, "", nil},
		"dark and draining ones": {[]VersionConfig{{Name: "v1", Weight: 1}, {Name: "v2"}, {Name: "v3", Draining: true}},
			"", nil},
		"another shape": {[]VersionConfig{{Name: "v1", Weight: 9, Writes: "12"}, {Name: "v2", Weight: 1, Writes: "13"}, {Name: "v3", Weight: 1},
			{Name: "v4", Weight: 1, Writes: "12"}}, "", map[string]string{"v4": "v1"}},
	} {
		cfg := ServiceConfig{Name: "web", Versions: test.versions, Shield: &ShieldConfig{Baseline: test.baseline}}
		s, err := Build(Config{Services: []ServiceConfig{cfg}})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, v := range s.Service("web").Versions {
			got := ""
			if v.Shield != nil {
				got = v.Shield.Name
			}
			if got != test.want[v.Name] {
				t.Errorf("%s: %s shields %s, want %q", name, got, v.Name, test.want[v.Name])
			}
		}
	}
}

func TestShieldIsForSafeRequestsThatNobodyChose(t *testing.T) {
	s := build(t, web(func(s *ServiceConfig) { s.Shield = &ShieldConfig{Statuses: []int{500}} }))
	pinned := "Cookie: sluice_web=3.00000000000000ff.v2"
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "CONNECT"} {
		req := ask(pinned)
		req.Method = method
		d := s.Decide(req)
		if got, want := d.Shields(req) != nil, slices.Contains([]string{"GET", "HEAD", "OPTIONS"}, method); got != want {
			t.Errorf("%s: shielded %v, want %v", method, got, want)
		}
	}
	req := ask("Sluice-Override: web=v2")
	req.Trusted = true
	if d := s.Decide(req); d.Version == nil || d.Version.Name != "v2" || d.Shields(req) != nil {
		t.Errorf("an override to %v is shielded by %v", d.Version, d.Shields(req))
	}
	for status, want := range map[int]bool{200: false, 404: false, 499: false, 500: true, 501: false, 502: true, 503: true, 504: true, 505: false} {
		if got := s.Service("web").FailsShield(status); got != want {
			t.Errorf("%d fails: %v, want %v", status, got, want)
		}
	}
}

func TestAssetsAreAskedOfLiveVersionsByWeightThenDrainingOnes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		svc := drawService(t, "web", 0)
		svc.Rules, svc.AssetPaths = nil, []string{"/a/"}
		s, err := Build(Config{Services: []ServiceConfig{svc}, Routes: []Route{{Service: "web"}}})
		if err != nil {
			t.Skip(err)
		}
		req := drawRequest(t)
		d := s.Decide(req)
		wanted := strings.HasPrefix(req.Path, "/a/") || req.Path == "/a"
		if got := d.IsAsset(req); got != (wanted && d.Reason != Override) {
			t.Fatalf("%s is an asset: %v", req.Path, got)
		}
		if d.Version == nil {
			return
		}
		var got []string
		for v, next := d.NextForAsset(req, 0); v != nil; v, next = d.NextForAsset(req, next) {
			got = append(got, v.Name)
		}
		if want := slowAssetOrder(svc, d.Version.Name, req); !slices.Equal(got, want) {
			t.Fatalf("asked %v, want %v", got, want)
		}
	})
}

// slowAssetOrder is NextForAsset's plain twin.
func slowAssetOrder(svc ServiceConfig, own string, req *Request) []string {
	var live, draining []string
	for weight := MaxWeight; weight > 0; weight-- {
		if !slices.ContainsFunc(svc.Versions, func(v VersionConfig) bool { return v.Weight == weight }) {
			continue
		}
		for _, v := range svc.Versions { // drawn in the order of their names
			if v.Weight == weight {
				live = append(live, v.Name)
			}
		}
	}
	for _, v := range svc.Versions {
		if v.Weight == 0 && v.Draining && (v.DrainUntil == 0 || req.Now < v.DrainUntil) {
			draining = append(draining, v.Name)
		}
	}
	all := slices.DeleteFunc(append(live, draining...), func(name string) bool {
		i := slices.IndexFunc(svc.Versions, func(v VersionConfig) bool { return v.Name == name })
		return name == own || !req.Health.Usable(svc.Versions[i].Slot)
	})
	return all[:min(len(all), 4)]
}

func TestInsteadIsCheckedAndExplained(t *testing.T) {
	_, err := Build(web(func(s *ServiceConfig) {
		s.Shield, s.AssetPaths = &ShieldConfig{Baseline: "v9", Statuses: []int{500, 200}}, []string{"a"}
	}))
	for _, want := range []string{
		"services.web.shield.statuses[1]: 200 is no status of a failure",
		`services.web.shield.baseline: web has no version "v9"`,
		`services.web.asset_fallback.paths[0]: "a" is no path`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	s := build(t, web(shielded(ShieldConfig{}), func(s *ServiceConfig) { s.AssetPaths = []string{"/"} }))
	text := transcript(s.Explain(ask("Cookie: sluice_web=3.00000000000000ff.v2")))
	for _, want := range []string{
		"shield passed: should v2 fail before its answer begins, v1, the baseline, answers",
		"asset_fallback passed: an asset that v2 does not have is asked of v1",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not tell %q", text, want)
		}
	}
	if got := fmt.Sprint(ReasonNames()[Shield:]); got != "[shield asset_fallback]" {
		t.Error(got)
	}
}
