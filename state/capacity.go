package state

import "fmt"

// shortages says which versions get a larger share than their endpoints can
// serve, as far as this process has looked at them. A version without a declared
// capacity needs one healthy endpoint. nil facts know of no shortage.
func (f *Facts) shortages(prev, next *Service) []*Refusal {
	if f == nil {
		return nil
	}
	var short []*Refusal
	total := next.totalWeight()
	for _, name := range next.VersionNames() {
		v := next.Versions[name]
		known := f.Known[next.Name][name]
		if v.Weight == 0 || known == 0 || prev != nil && !prev.raised(v, total) {
			continue
		}
		if r := f.shortage(next, v, known); r != nil {
			short = append(short, r)
		}
	}
	return short
}

// raised tells whether a version has a larger share after a flip than in s.
func (s *Service) raised(after *Version, total int64) bool {
	before := s.Versions[after.Name]
	return before == nil || share{int64(before.Weight), s.totalWeight()}.less(share{int64(after.Weight), total})
}

func (f *Facts) shortage(s *Service, v *Version, known int) *Refusal {
	r := &Refusal{Reason: ErrRefused, Rule: RuleCapacity, Service: s.Name, Version: v.Name, Field: "weights." + v.Name}
	healthy := f.Healthy[s.Name][v.Name]
	if healthy == 0 {
		r.Message = fmt.Sprintf("version %q of service %q has no healthy endpoint of %d", v.Name, s.Name, known)
		r.Remedy = "wait until its health checks pass"
		return r
	}
	rate := f.Rate[s.Name]
	part := float64(v.Weight) / float64(s.totalWeight())
	able := float64(healthy) * float64(v.Spec.Capacity)
	if v.Spec.Capacity == 0 || able >= part*rate {
		return nil
	}
	r.Message = fmt.Sprintf("version %q of service %q would get %.3g%% of %.4g requests a second, which is %.4g, and its %d healthy endpoints of %d serve %.4g",
		v.Name, s.Name, 100*part, rate, part*rate, healthy, known, able)
	r.Remedy = fmt.Sprintf("give it at most %.3g%%, or more endpoints", 100*able/rate)
	return r
}
