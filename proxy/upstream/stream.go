//lint:file-ignore SA1019 what net/http offers instead (Transport.NewClientConn) sends requests before it has the endpoint's settings, and cannot be made to wait for them

package upstream

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"sluice/proxy/head"
	"sluice/proxy/sock"
)

// stream is one request and its response on a link. To sock it is a connection:
// what is read is the body of the response, what is written that of the request,
// and a deadline that has passed resets it.
type stream struct {
	link   *link
	ctx    context.Context // ends by abort
	cancel context.CancelFunc
	timed  context.Context // ctx, or at the call's deadline if that is sooner
	untime context.CancelFunc

	body    *io.PipeReader // of the request, as the library reads it
	writer  *io.PipeWriter // its other end
	begun   bool           // Call was made
	request *http.Request
	answer  *http.Response
	told    interims
}

// newStream begins the use of a link on which a request is reserved.
func (e *Endpoint) newStream(l *link) *Conn {
	s := &stream{link: l}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.timed, s.untime = s.ctx, s.cancel
	s.body, s.writer = io.Pipe()
	c := &Conn{Conn: sock.New(s), Endpoint: e, way: l.way, stream: s, busy: true}
	e.opened.add(c)
	return c
}

// HTTP2 reports whether the connection is a stream of HTTP/2. Then Call takes
// the place of Exchange; SetTimeout, Abort, Fill and Write mean the same, the
// last two for the bodies alone.
func (c *Conn) HTTP2() bool { return c.stream != nil }

// Call says how a request over HTTP/2 is sent. The zero value is for one whose
// body, if any, stands behind its head.
type Call struct {
	// Streamed says that the body follows by Write, from another goroutine, and
	// EndBody.
	Streamed bool
	// Deadline ends request and response, wherever they stand; zero: none.
	Deadline time.Time
	// Inform takes interim (1xx) responses, one at a time and none after Call has
	// returned. An error of it ends the call. Nil drops them.
	Inform func(status int, fields []head.Field) error
}

var (
	// ErrUnprocessed is returned when the endpoint is certain not to have looked
	// at the request (RFC 9113, section 8.7): it may be sent again, whatever it
	// asks for.
	ErrUnprocessed = errors.New("the endpoint did not process the request")
	// ErrDeadline is returned when Call.Deadline has passed.
	ErrDeadline = errors.New("the request's own deadline has passed")
	// ErrMalformed is returned when the response breaks the rules of HTTP/2.
	ErrMalformed = errors.New("the response is malformed")
	// ErrLinkLost is returned when the connection broke that the request shared
	// with others.
	ErrLinkLost = errors.New("the connection broke off")
)

// ResetError is returned when the endpoint has reset the stream.
type ResetError struct {
	Code uint32 // of RFC 9113, section 7
}

// Error names the code.
func (e *ResetError) Error() string {
	return "the endpoint reset the stream: " + http2.ErrCode(e.Code).String()
}

// Call sends a request and returns when the head of the final response is in
// res, whose strings stay valid. Message is the request as it would go to an
// HTTP/1.1 endpoint; what is for such a connection alone is left out. Errors are
// those above, os.ErrDeadlineExceeded after a timeout or Abort, or any of the
// transport.
func (c *Conn) Call(message []byte, opt Call, res *head.Response) error {
	s := c.stream
	if !opt.Deadline.IsZero() {
		s.timed, s.untime = context.WithDeadline(s.ctx, opt.Deadline)
	}
	scheme := "http"
	if c.way.tls != nil {
		scheme = "https"
	}
	req, err := newRequest(string(message), scheme, c.Endpoint.Authority)
	if err != nil {
		return err
	}
	if opt.Streamed {
		req.Body = s.body
	}
	ctx := s.timed
	if s.told.inform = opt.Inform; opt.Inform != nil {
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: s.told.take})
	}
	s.request = req.WithContext(ctx)
	s.begun = true
	s.answer, err = s.link.RoundTrip(s.request)
	if told := s.told.wait(); told != nil {
		s.cancel()
		return told
	}
	if err != nil {
		return s.failure(err)
	}
	fillResponse(res, s.answer, req.Method == http.MethodHead)
	return nil
}

// EndBody ends the request's body. Of the trailers, those are sent that the
// request's Trailer field has announced.
func (c *Conn) EndBody(trailers []head.Field) error {
	for i := range trailers {
		key := http.CanonicalHeaderKey(trailers[i].Name)
		if values, announced := c.stream.request.Trailer[key]; announced {
			c.stream.request.Trailer[key] = append(values, strings.Clone(trailers[i].Value))
		}
	}
	return c.stream.writer.Close()
}

// Trailers returns the response's trailers, once Fill has returned io.EOF.
func (c *Conn) Trailers() []head.Field {
	if c.stream == nil || c.stream.answer == nil {
		return nil
	}
	return appendHeader(nil, c.stream.answer.Trailer)
}

// failure names an error of the library by what follows from it.
func (s *stream) failure(err error) error {
	var reset http2.StreamError
	var gone http2.GoAwayError
	switch {
	case err == nil, err == io.EOF:
		return err
	case s.timed.Err() == context.DeadlineExceeded:
		return ErrDeadline
	case s.ctx.Err() != nil:
		return os.ErrDeadlineExceeded
	case errors.As(err, &reset):
		return resetFailure(reset)
	case errors.As(err, &gone), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return ErrLinkLost
	}
	// The library keeps these for itself, and retries upon them in its own pool.
	switch err.Error() {
	case "http2: client conn not usable", "http2: client conn could not be established",
		"http2: Transport received Server's graceful shutdown GOAWAY":
		return ErrUnprocessed
	}
	return err
}

// resetFailure names what a stream was reset for: by the endpoint, or by the
// library for what the endpoint sent.
func resetFailure(reset http2.StreamError) error {
	switch {
	case reset.Cause != nil && reset.Cause.Error() != "received from peer":
		return errors.Join(ErrMalformed, reset)
	case reset.Code == http2.ErrCodeRefusedStream:
		return ErrUnprocessed
	}
	return &ResetError{uint32(reset.Code)}
}

// Read implements net.Conn.
func (s *stream) Read(p []byte) (int, error) {
	if s.answer == nil {
		return 0, io.EOF
	}
	n, err := s.answer.Body.Read(p)
	if n > 0 && err != io.EOF {
		err = nil // it comes again
	}
	return n, s.failure(err)
}

// Write implements net.Conn.
func (s *stream) Write(p []byte) (int, error) { return s.writer.Write(p) }

// CloseWrite ends the request's body.
func (s *stream) CloseWrite() error { return s.writer.Close() }

// SetDeadline implements net.Conn. sock knows two: none, and one that has passed.
func (s *stream) SetDeadline(t time.Time) error {
	if !t.IsZero() {
		s.abort()
	}
	return nil
}

// SetReadDeadline implements net.Conn.
func (s *stream) SetReadDeadline(t time.Time) error { return s.SetDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (s *stream) SetWriteDeadline(t time.Time) error { return s.SetDeadline(t) }

// abort resets the stream.
func (s *stream) abort() {
	s.cancel()
	s.body.CloseWithError(os.ErrDeadlineExceeded)
}

// Close implements net.Conn. What is not over is reset.
func (s *stream) Close() error {
	s.abort()
	s.untime()
	if s.answer != nil {
		s.answer.Body.Close()
	}
	if !s.begun {
		s.giveBack()
	}
	return nil
}

// giveBack returns the reservation of a stream that no request was sent on. The
// library takes it back by a request alone: one that it finds it can't send.
func (s *stream) giveBack() {
	s.link.RoundTrip(&http.Request{Method: http.MethodGet, URL: &url.URL{Scheme: "http", Host: "endpoint"}, Header: http.Header{"no name": {""}}})
}

// LocalAddr implements net.Conn.
func (s *stream) LocalAddr() net.Addr { return nil }

// RemoteAddr implements net.Conn.
func (s *stream) RemoteAddr() net.Addr { return nil }

// interims hands interim responses on. They come from the goroutine that reads
// the link, which must not wait for one of its streams' clients.
type interims struct {
	inform func(status int, fields []head.Field) error

	mu      sync.Mutex
	queue   []interim
	running chan struct{} // closed when the queue was handed on; nil: nobody is at it
	err     error
}

type interim struct {
	status int
	fields []head.Field
}

// maxQueued is how many interim responses may wait for a client.
const maxQueued = 100

// take is the library's hook.
func (t *interims) take(status int, fields textproto.MIMEHeader) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) == maxQueued {
		return errors.New("too many interim (1xx) responses")
	}
	t.queue = append(t.queue, interim{status, appendHeader(nil, http.Header(fields))})
	if t.running == nil {
		t.running = make(chan struct{})
		go t.handOn()
	}
	return t.err
}

// handOn empties the queue.
func (t *interims) handOn() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.queue) > 0 && t.err == nil {
		next := t.queue[0]
		t.queue = t.queue[1:]
		t.mu.Unlock()
		err := t.inform(next.status, next.fields)
		t.mu.Lock()
		t.err = err
	}
	close(t.running)
	t.running = nil
}

// wait returns when all that came was handed on.
func (t *interims) wait() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.running != nil {
		running := t.running
		t.mu.Unlock()
		<-running
		t.mu.Lock()
	}
	return t.err
}
