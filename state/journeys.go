package state

import (
	"fmt"
	"strings"
	"time"
)

// maxFailing is how many failing journeys a refusal tells of; the others are
// counted.
const maxFailing = 3

// unproven says which dark versions get weight though journeys of their service
// stand against them. A version that the state did not know before is taken as it
// comes: the file declares it live, and nobody had the time to look at it. One that
// drains has passed what its sessions do.
func (f *Facts) unproven(prev, next *Service, now time.Time) []*Refusal {
	if f == nil || prev == nil {
		return nil
	}
	var against []*Refusal
	for _, name := range next.VersionNames() {
		before, why := prev.Versions[name], f.Failing[next.Name][name]
		if len(why) == 0 || next.Versions[name].Weight == 0 || before == nil || before.Mode(now) != Dark {
			continue
		}
		told := strings.Join(why[:min(len(why), maxFailing)], "; ")
		if more := len(why) - maxFailing; more > 0 {
			told += fmt.Sprintf("; and %d more", more)
		}
		against = append(against, &Refusal{
			Reason: ErrRefused, Rule: RuleJourneys, Service: next.Name, Version: name, Field: "weights." + name,
			Message: fmt.Sprintf("version %q of service %q is dark and has not passed its journeys: %s", name, next.Name, told),
			Remedy:  fmt.Sprintf("sluice probe run %s %s runs them now, sluice matrix %s %s tells what they did; force passes over them", next.Name, name, next.Name, name),
		})
	}
	return against
}
