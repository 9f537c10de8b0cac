package journey

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"time"
)

// Target is what a run asks.
type Target struct {
	// Host is the Host where the journey says none.
	Host string
	// Send sends one request and returns the response, whose body it closes. It
	// follows no redirect and keeps to the request's context.
	Send func(*http.Request) (*http.Response, error)
	// TLS opens a connection that a TLS handshake comes next on, for a host, and
	// says how the other side is asked and verified where a step does not. Its
	// error is ErrNoTLS where none is spoken; nil: nowhere.
	TLS func(ctx context.Context, host string) (net.Conn, *tls.Config, error)
	Now func() time.Time // nil: time.Now
}

// Result is what came of a run. Nothing in it shows a secret.
type Result struct {
	Journey string
	Began   time.Time
	Took    time.Duration
	Steps   []StepResult // those that were begun
	Err     error        // nil: it passed; a *StepError
}

// StepResult is what came of a step.
type StepResult struct {
	Name  string
	Took  time.Duration // of the last try
	Tries int
	Err   error // nil: it passed
	// Request and Response are what the last try exchanged, masked: heads, and the
	// beginnings of bodies, up to ShownBody bytes.
	Request, Response string
}

// StepError names the step that a run failed at.
type StepError struct {
	Journey, Step string
	Err           error
}

// Error returns "journey NAME, step NAME: WHY".
func (e *StepError) Error() string {
	return fmt.Sprintf("journey %s, step %s: %v", e.Journey, e.Step, e.Err)
}

// Unwrap returns the reason.
func (e *StepError) Unwrap() error { return e.Err }

// run is one run of a journey: its cookies and its values are its own.
type run struct {
	j      *Journey
	target Target
	host   string
	jar    *cookiejar.Jar
	values *values
}

// Run runs the journey once, to its first step that fails.
func (j *Journey) Run(ctx context.Context, target Target) Result {
	if target.Now == nil {
		target.Now = time.Now
	}
	jar, _ := cookiejar.New(nil) // fails for no options
	r := run{j: j, target: target, host: cmp.Or(j.spec.Host, target.Host), jar: jar, values: newValues(&j.spec)}
	ctx, cancel := context.WithTimeout(ctx, j.spec.Timeout)
	defer cancel()
	res := Result{Journey: j.spec.Name, Began: target.Now()}
	for i := range j.steps {
		s := r.step(ctx, &j.steps[i])
		res.Steps = append(res.Steps, s)
		if s.Err != nil {
			res.Err = &StepError{j.spec.Name, s.Name, s.Err}
			break
		}
	}
	res.Took = target.Now().Sub(res.Began)
	return res
}

// step tries a step until it passes or has no tries left.
func (r *run) step(ctx context.Context, s *step) (res StepResult) {
	for tries := 1; ; tries++ {
		res = r.try(ctx, s)
		res.Name, res.Tries = s.Name, tries
		if res.Err == nil || tries > s.Retries || ctx.Err() != nil {
			return res
		}
	}
}

// try sends a step's request and judges the answer.
func (r *run) try(ctx context.Context, s *step) (res StepResult) {
	timed, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	began := r.target.Now()
	defer func() {
		res.Took = r.target.Now().Sub(began)
		if res.Err != nil {
			why := r.reason(ctx, timed, s, res.Err).Error()
			res.Err = errors.New(r.values.mask(strings.ReplaceAll(why, "\n", "; ")))
		}
	}()
	if s.TLS != nil {
		return r.handshake(timed, s)
	}
	req, body, err := s.request(timed, r.j.spec.Name, r.host, r.values, r.jar)
	if err != nil {
		res.Err = err
		return res
	}
	res.Request = r.showRequest(req, body)
	at := secure(req.URL)
	resp, err := r.target.Send(req)
	if err != nil {
		res.Err = err
		return res
	}
	defer resp.Body.Close()
	a := &answer{Response: resp}
	err = a.readBody()
	a.took = r.target.Now().Sub(began)
	r.jar.SetCookies(at, resp.Cookies())
	if err == nil {
		// Captured first, so that what is kept of the answer masks them.
		taken := s.take(a, r.values)
		if err = s.check(a, r.values); err == nil {
			err = taken
		}
		if s.GRPC != nil {
			err = errors.Join(s.GRPC.checkHealth(a), err)
		}
	}
	res.Response, res.Err = r.showResponse(a), err
	res.Request = r.values.mask(res.Request)
	return res
}

// reason says of a failure whose time it was that ran out.
func (r *run) reason(ctx, timed context.Context, s *step, err error) error {
	switch {
	case !errors.Is(err, context.DeadlineExceeded) && timed.Err() == nil:
		return err
	case errors.Is(ctx.Err(), context.Canceled):
		return errors.New("the run was ended")
	case ctx.Err() != nil:
		return errors.New("the time of the run is over")
	case timed.Err() != nil:
		return fmt.Errorf("no answer within %v", s.Timeout)
	}
	return err
}
