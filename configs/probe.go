package configs

import "time"

// Probe is how the journeys of a service are run against each of its versions,
// dark ones too: when a version is new, and then again and again.
type Probe struct {
	// Every is the time from one run to the next, give or take a tenth: 1s to 24h,
	// default 1m. 0: they are run by rollouts and when somebody asks for it alone.
	Every time.Duration `yaml:"every"`
	// Deadline bounds a run of all journeys of a version: 1s to 1h, default 1m.
	Deadline time.Duration `yaml:"deadline"`
}

// Probes is what holds for the probes of all services.
type Probes struct {
	// Concurrency is how many versions are probed at the same time: 1 to 1,000,
	// default 4.
	Concurrency int `yaml:"concurrency"`
}

// DefaultProbe returns a run each minute.
func DefaultProbe() Probe { return Probe{Every: time.Minute, Deadline: time.Minute} }

// DefaultProbes returns four at the same time.
func DefaultProbes() Probes { return Probes{Concurrency: 4} }

func (c *checker) probe(path string, p Probe) {
	if p.Every != 0 {
		c.ranged(path+".every", p.Every, time.Second, 24*time.Hour)
	}
	c.ranged(path+".deadline", p.Deadline, time.Second, time.Hour)
}
