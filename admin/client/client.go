// Package client calls the admin API. Its errors are *api.Problem where the
// server answered, and *Unreachable where it did not.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"sluice/admin/api"
)

// Default values.
const (
	// DefaultBase is where the admin API listens by default.
	DefaultBase = "http://127.0.0.1:9900"
	// DefaultTimeout bounds a call; it is longer than the server lets a change take.
	DefaultTimeout = 45 * time.Second
)

// maxAnswer bounds an answer in bytes. Ten thousand services fit.
const maxAnswer = 256 << 20

// Config says how to reach an admin API. The zero value reaches the default one
// without a token.
type Config struct {
	Base   string // URL without path; "": DefaultBase; without a scheme: http
	Token  string // sent as bearer token; "": none
	CAFile string // PEM file of the certificates to trust; "": those of the system
	// CertFile and KeyFile are PEM files of the certificate to show and of its
	// key; "": none is shown.
	CertFile, KeyFile string
	Timeout           time.Duration // of a call, event streams excepted; 0: DefaultTimeout
	// Agent names the program in the User-Agent field; "": sluice.
	Agent string
}

// Client calls one admin API. It may be used concurrently.
type Client struct {
	base    *url.URL
	token   string
	agent   string
	timeout time.Duration
	http    *http.Client
}

// Unreachable is returned when no answer came, or none of an admin API.
type Unreachable struct {
	Base string // the URL that was called
	Err  error
}

// Error says which server it was, and why.
func (u *Unreachable) Error() string {
	return fmt.Sprintf("the admin API at %s: %v", u.Base, u.Err)
}

// Unwrap returns the cause.
func (u *Unreachable) Unwrap() error { return u.Err }

// New returns a client. It returns an error for a base that is no URL and for a
// file of certificates that can't be read; it calls nobody.
func New(cfg Config) (*Client, error) {
	base, err := parseBase(cfg.Base)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(cfg.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, errors.New("the token has characters that no token has, such as a space or a line break")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if transport.TLSClientConfig, err = tlsConfig(&cfg); err != nil {
		return nil, err
	}
	c := &Client{base: base, token: cfg.Token, agent: cfg.Agent, timeout: cfg.Timeout}
	if c.timeout <= 0 {
		c.timeout = DefaultTimeout
	}
	if c.agent == "" {
		c.agent = "sluice"
	}
	c.http = &http.Client{Transport: transport,
		// The API never redirects; what does is something else, to which the token must not go.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// parseBase reads the base URL.
func parseBase(text string) (*url.URL, error) {
	if text == "" {
		text = DefaultBase
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" ||
		strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
		return nil, fmt.Errorf("%q is no address of an admin API; write it as %s", text, DefaultBase)
	}
	u.Path = ""
	return u, nil
}

// tlsConfig returns whom the client trusts and what it shows over https.
func tlsConfig(cfg *Config) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("CA file: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("CA file %s: it holds no PEM certificate", cfg.CAFile)
		}
	}
	switch {
	case cfg.CertFile == "" && cfg.KeyFile == "":
	case cfg.CertFile == "" || cfg.KeyFile == "":
		return nil, errors.New("a certificate to show and its key are needed both, or neither")
	default:
		pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("certificate %s with the key %s: %w", cfg.CertFile, cfg.KeyFile, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// call is one call of the API.
type call struct {
	method string
	path   string // escaped
	query  url.Values
	header http.Header
	body   any // nil: none
	// accept is a status besides 2xx whose body is an answer too; 0: none.
	accept int
}

// do makes a call and reads the JSON of its answer into out. It returns the
// answer's header.
func (c *Client) do(ctx context.Context, k call, out any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	res, err := c.send(ctx, k)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, c.unreachable(err)
	}
	if text, ok := out.(*[]byte); ok {
		*text = body
		return res.Header, nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return nil, c.unreachable(fmt.Errorf("its answer is not that of an admin API: %w", err))
	}
	return res.Header, nil
}

// send makes a call and returns the answer, or the problem that came instead.
func (c *Client) send(ctx context.Context, k call) (*http.Response, error) {
	req, err := c.request(ctx, k)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error // repeats method and URL
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, c.unreachable(err)
	}
	if res.StatusCode/100 == 2 || res.StatusCode == k.accept {
		return res, nil
	}
	defer res.Body.Close()
	return nil, c.failure(res)
}

func (c *Client) request(ctx context.Context, k call) (*http.Request, error) {
	u := c.base.String() + k.path
	if len(k.query) > 0 {
		u += "?" + k.query.Encode()
	}
	var body io.Reader
	if k.body != nil {
		text, err := json.Marshal(k.body)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, k.method, u, body)
	if err != nil {
		return nil, err
	}
	for name, values := range k.header {
		req.Header[name] = values
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	req.Header.Set("User-Agent", c.agent)
	return req, nil
}

// failure reads the problem of an answer that is no success.
func (c *Client) failure(res *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	media, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	p := new(api.Problem)
	if media != api.ProblemType || json.Unmarshal(body, p) != nil || p.Status == 0 {
		return c.unreachable(fmt.Errorf("it answered %s, which is not the answer of an admin API", res.Status))
	}
	return p
}

func (c *Client) unreachable(err error) error { return &Unreachable{Base: c.base.String(), Err: err} }
