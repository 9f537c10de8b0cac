package routing

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Two ways in which another version may answer after the one that was chosen
// has been asked. Neither touches a pin: the session stays where it is.

// ShieldConfig has a service's baseline answer what its candidates fail.
type ShieldConfig struct {
	// Baseline is the version trusted now, as long as it is not dark; "": the live
	// version with the most weight, among equals the first by name.
	Baseline string
	// Statuses count as failures beside 502, 503 and 504.
	Statuses []int
}

// maxAssetAsks is how many other versions are asked for an asset.
const maxAssetAsks = 4

// addShield gives each candidate its stand-in: every live version that is not the
// baseline and writes the same shape.
func (svc *Service) addShield(p *problems, field string, cfg *ShieldConfig) {
	if cfg == nil {
		return
	}
	for i, status := range cfg.Statuses {
		if status < 400 || status > 599 {
			p.add(fmt.Sprintf("%s.statuses[%d]", field, i), "%d is no status of a failure; it is 400 to 599", status)
		}
	}
	svc.shieldStatuses = slices.Clone(cfg.Statuses)
	baseline := svc.heaviest()
	if cfg.Baseline != "" {
		baseline = svc.namedVersion(p, field+".baseline", cfg.Baseline)
	}
	if baseline == nil || baseline.Weight == 0 && !baseline.Draining {
		return
	}
	for _, v := range svc.Versions {
		if v != baseline && v.Weight > 0 && v.Writes == baseline.Writes {
			v.Shield = baseline
		}
	}
}

// heaviest returns the live version with the most weight, the first by name
// among equals, or nil.
func (svc *Service) heaviest() *Version {
	var most *Version
	for _, v := range svc.Versions {
		if v.Weight > 0 && (most == nil || v.Weight > most.Weight) {
			most = v
		}
	}
	return most
}

// addAssets notes where assets lie, and in which order versions are asked for
// them.
func (svc *Service) addAssets(p *problems, field string, paths []string) {
	for i, path := range paths {
		if !strings.HasPrefix(path, "/") {
			p.add(fmt.Sprintf("%s.paths[%d]", field, i), `%q is no path; it begins with "/"`, path)
		}
		svc.assets = append(svc.assets, strings.TrimRight(path, "/"))
	}
	if len(paths) == 0 {
		return
	}
	for _, v := range svc.Versions {
		if v.Weight > 0 || v.Draining {
			svc.assetOrder = append(svc.assetOrder, v)
		}
	}
	slices.SortStableFunc(svc.assetOrder, func(a, b *Version) int { return cmp.Compare(b.Weight, a.Weight) })
}

// Shields returns the version that answers a request in place of the one decided
// on if that fails before its answer begins, or nil. It is the baseline, for a
// safe request to a candidate. A tester who chose a version by an override sees
// it fail.
func (d *Decision) Shields(req *Request) *Version {
	if d.Version == nil || d.Version.Shield == nil || d.Reason == Override || !shieldedMethod(req.Method) ||
		d.Version.Shield.Mode(req.Now) == Dark {
		return nil
	}
	return d.Version.Shield
}

// shieldedMethod reports whether asking two versions does no harm.
func shieldedMethod(method string) bool {
	return method == "GET" || method == "HEAD" || method == "OPTIONS"
}

// FailsShield reports whether an answer of a candidate with this status counts
// as a failure.
func (s *Service) FailsShield(status int) bool {
	return status >= 502 && status <= 504 || slices.Contains(s.shieldStatuses, status)
}

// IsAsset reports whether a request asks for an asset that another version may
// have. A tester who chose a version by an override gets what that version has.
func (d *Decision) IsAsset(req *Request) bool {
	if d.Service == nil || len(d.Service.assets) == 0 || d.Reason == Override || req.Method != "GET" && req.Method != "HEAD" {
		return false
	}
	for _, prefix := range d.Service.assets {
		if hasPathPrefix(req.Path, prefix) {
			return true
		}
	}
	return false
}

// NextForAsset returns the next version to ask for an asset that the version
// decided on does not have, or nil when enough were asked. Asked is what stood
// in the order before, 0 at first, and next is what to pass then: the live
// versions come by weight, then those that drain, as far as they can serve.
// Shapes do not count: an asset is no data.
func (d *Decision) NextForAsset(req *Request, asked int) (v *Version, next int) {
	usable := 0
	for i, v := range d.Service.assetOrder {
		if v == d.Version || v.Mode(req.Now) == Dark || !req.usable(v) {
			continue
		}
		if usable++; usable > maxAssetAsks {
			return nil, i
		}
		if i >= asked {
			return v, i + 1
		}
	}
	return nil, len(d.Service.assetOrder)
}
