package demo

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"time"
)

// requestLimit is how long a client waits for an answer before it gives up.
const requestLimit = 10 * time.Second

// visitor is one client: it keeps the cookies that it is given and follows
// redirects, as a browser does.
type visitor struct {
	base   string
	http   http.Client
	header http.Header // sent with every request
	path   string      // where the last request ended up, with its query
}

// newVisitor returns a client without cookies. Clients share a transport.
func newVisitor(base string, transport http.RoundTripper) *visitor {
	jar, _ := cookiejar.New(nil) // never fails without options
	return &visitor{
		base: base, header: http.Header{},
		http: http.Client{Transport: transport, Jar: jar, Timeout: requestLimit},
	}
}

// get asks for a path. A request under way is never given up for the end of a
// demo: what was accepted must be answered.
func (v *visitor) get(path string) answer {
	a := answer{Sent: time.Now()}
	req, err := http.NewRequest(http.MethodGet, v.base+path, nil)
	if err == nil {
		req.Header = v.header.Clone()
		v.exchange(req, &a)
	}
	a.Got = time.Now()
	return a
}

// exchange notes who answered, unless the answer did not come whole.
func (v *visitor) exchange(req *http.Request, a *answer) {
	res, err := v.http.Do(req)
	if err != nil {
		return
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return
	}
	a.Status, a.Version = res.StatusCode, res.Header.Get(answeredBy)
	v.path = res.Request.URL.RequestURI()
}
