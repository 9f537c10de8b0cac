package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sluice/configs"
	"sluice/state"
	"sluice/synthetic/journey"
	"sluice/synthetic/matrix"
)

// probeTimeout bounds a round of single requests. Journeys have limits of their
// own.
const probeTimeout = 10 * time.Second

// probe sends one round of a stage's synthetic requests to a version: the
// journeys that the stage names, or else those of the service, one after another;
// or one request to each healthy endpoint, where there are none.
func (s *Server) probe(ctx context.Context, service, version string, stage state.Stage) error {
	s.mu.Lock()
	file := s.file
	s.mu.Unlock()
	journeys, err := journeysOf(file, service, stage.Journeys)
	if err != nil {
		return err
	}
	if len(journeys) == 0 {
		c := s.clusterOf(service, version)
		if c == nil {
			return fmt.Errorf("version %q of service %q is not served here", version, service)
		}
		ctx, cancel := context.WithTimeout(ctx, probeTimeout)
		defer cancel()
		_, err = c.Probe(ctx)
		return err
	}
	runs, err := s.runJourneys(ctx, service, version, journeys, matrix.Rollout)
	for _, r := range runs {
		if r.Err != nil {
			return r.failure()
		}
	}
	return err
}

// journeysOf compiles journeys of the file, those of a service where no names are
// given.
func journeysOf(file *configs.File, service string, names []string) ([]*journey.Journey, error) {
	if svc := file.Services[service]; len(names) == 0 && svc != nil {
		names = svc.Journeys
	}
	var all []*journey.Journey
	for _, name := range names {
		declared := file.Journeys[name]
		if declared == nil {
			return nil, fmt.Errorf("the file has no journey %q", name)
		}
		spec := journeyOf(name, declared)
		if spec.Host == "" {
			spec.Host = hostOf(file, service)
		}
		j, err := journey.New(spec)
		if err != nil {
			return nil, err
		}
		all = append(all, j)
	}
	return all, nil
}

// hostOf returns the first exact host that leads to a service; "": none does.
func hostOf(file *configs.File, service string) string {
	for _, r := range file.Routes {
		if r.Service != service {
			continue
		}
		for _, host := range r.Hosts {
			if !strings.HasPrefix(host, "*") {
				return host
			}
		}
	}
	return ""
}

// journeyOf translates a journey of the file.
func journeyOf(name string, j *configs.Journey) journey.Spec {
	spec := journey.Spec{Name: name, Host: j.Host, Direct: j.Direct, Timeout: j.Timeout, Values: j.Variables, Secrets: map[string]string{}}
	for name, secret := range j.Secrets {
		spec.Secrets[name] = string(secret.Bytes())
	}
	for i := range j.Steps {
		spec.Steps = append(spec.Steps, stepOf(&j.Steps[i]))
	}
	return spec
}

func stepOf(s *configs.JourneyStep) journey.Step {
	e := &s.Expect
	step := journey.Step{
		Name: s.Name, Method: s.Method, Path: s.Path, Headers: s.Headers, Timeout: s.Timeout, Retries: s.Retries,
		Expect: journey.Expect{Header: e.Header, Contains: e.Contains, Regex: e.Regex, JSON: e.JSON, Schema: e.Schema, Latency: e.Latency},
	}
	step.TLS, step.GRPC = stepKinds(s)
	if b := s.Body; b != nil {
		step.Body = journey.Body{Text: b.Text, Content: b.Content, Form: b.Form, JSON: b.JSON}
	}
	for _, st := range e.Status {
		step.Expect.Status = append(step.Expect.Status, journey.Statuses{From: st.From, To: st.To})
	}
	for _, name := range slices.Sorted(maps.Keys(s.Capture)) {
		c := s.Capture[name]
		step.Capture = append(step.Capture, journey.Capture{Name: name, JSON: c.JSON, Header: c.Header, Cookie: c.Cookie, Regex: c.Regex, Show: c.Show})
	}
	return step
}
