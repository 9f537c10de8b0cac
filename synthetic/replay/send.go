package replay

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxDiscarded is how much of a body is read at the most: a response without an
// end is cut off there, and its connection with it.
const maxDiscarded = 1 << 30

// maxCompared is how much of a body is kept for a comparison.
const maxCompared = 1 << 20

// Target is who is asked.
type Target struct {
	Name    string // in the report, such as "v2"
	URL     *url.URL
	Connect string      // host:port to connect to instead of the URL's; "": that
	Host    string      // for every request; "": the log's, or else the URL's
	Header  http.Header // for every request, such as an override token
}

// Answer is what came back for a request.
type Answer struct {
	Status    int // 0: none came
	Header    http.Header
	Body      []byte // of a comparison, at most 1 MiB
	Truncated bool   // the body was longer than that
	Size      int64
	Took      time.Duration // to the body's end
	Err       error         // why there is no answer, or not all of it
}

// sender sends requests to a target over connections that it keeps.
type sender struct {
	target    Target
	transport *http.Transport
	timeout   time.Duration
	keepBody  bool
	now       func() time.Time
}

// newSender returns the sender of a target for so many workers.
func newSender(t Target, cfg *Config) *sender {
	dial := (&net.Dialer{Timeout: cfg.Timeout}).DialContext
	return &sender{target: t, timeout: cfg.Timeout, keepBody: cfg.Comparer != nil, now: cfg.Now, transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if t.Connect != "" {
				address = t.Connect
			}
			return dial(ctx, network, address)
		},
		DisableCompression:     true, // nobody asked for any
		MaxIdleConns:           cfg.Concurrency,
		MaxIdleConnsPerHost:    cfg.Concurrency,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    cfg.Timeout,
		MaxResponseHeaderBytes: 256 << 10,
		WriteBufferSize:        4 << 10,
		ReadBufferSize:         4 << 10,
	}}
}

func (s *sender) close() { s.transport.CloseIdleConnections() }

// send asks for a request's answer. Redirections are answers: the log has the
// request that followed.
func (s *sender) send(ctx context.Context, r *Request, cookies *jar) *Answer {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	began := s.now()
	a := new(Answer)
	res, err := s.transport.RoundTrip(s.request(ctx, r, cookies))
	if err != nil {
		a.Err, a.Took = err, s.now().Sub(began)
		return a
	}
	defer res.Body.Close()
	a.Status, a.Header = res.StatusCode, res.Header
	s.read(a, res.Body)
	a.Took = s.now().Sub(began)
	if cookies != nil {
		cookies.keep(r.Host, res.Header, began)
	}
	return a
}

// request makes the request. Its target goes onto the wire as it was logged.
func (s *sender) request(ctx context.Context, r *Request, cookies *jar) *http.Request {
	host := cmp.Or(s.target.Host, r.Host, s.target.URL.Host)
	u := &url.URL{Scheme: s.target.URL.Scheme, Host: s.target.URL.Host, Opaque: r.Target}
	if strings.HasPrefix(r.Target, "//") { // sent in absolute form, else read as a host
		u.Opaque = "//" + host + r.Target
	}
	header := make(http.Header, len(s.target.Header)+3)
	for name, values := range s.target.Header {
		header[name] = values
	}
	header["User-Agent"] = []string{r.UserAgent} // empty: net/http sends none
	if r.Referer != "" {
		header["Referer"] = []string{r.Referer}
	}
	if cookies != nil {
		if field := cookies.field(r.Host); field != "" {
			header["Cookie"] = []string{field}
		}
	}
	req := &http.Request{Method: r.Method, URL: u, Header: header, Host: host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	return req.WithContext(ctx)
}

// errEndless is the end of a body that had none.
var errEndless = errors.New("the body has more than 1 GiB")

// read reads the body and keeps of it what a comparison needs.
func (s *sender) read(a *Answer, body io.Reader) {
	if s.keepBody {
		a.Body, a.Err = io.ReadAll(io.LimitReader(body, maxCompared))
		a.Size = int64(len(a.Body))
		if a.Err != nil {
			return
		}
	}
	n, err := io.Copy(io.Discard, io.LimitReader(body, maxDiscarded+1))
	a.Size, a.Truncated, a.Err = a.Size+n, n > 0, err
	if n > maxDiscarded {
		a.Err = errEndless
	}
}
