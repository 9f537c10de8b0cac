package hook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"sluice/state"
)

// SignatureHeader carries the signature of a body: t=<Unix seconds>,v1=<hex>,
// where v1 is the HMAC-SHA256, under the hook's secret, of the seconds, a dot
// and the body. A receiver compares it in constant time and refuses a moment
// that is more than some minutes away, so that nobody can repeat an old one. The
// moment is that of the try, so a late one is no old one.
const SignatureHeader = "Sluice-Signature"

// DeliveryHeader carries Transition.ID: the same at each try.
const DeliveryHeader = "Sluice-Delivery"

// errClosed is why nothing is sent any more.
var errClosed = errors.New("the process ends")

// Bounds of what a receiver can make us hold.
const (
	maxAnswer     = 64 << 10 // is read, so that the connection can be used again
	maxAnswerHead = 64 << 10
)

// newClient returns what posts. It follows no redirect: another host was never
// asked for, and a POST would come there as a GET.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxAnswerHead,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// post makes one try; again tells whether another one may do better.
func (s *Sender) post(j job) (again bool, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, j.hook.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, j.hook.URL, bytes.NewReader(j.body))
	if err != nil {
		return false, cause(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Sluice-Hook")
	req.Header.Set(DeliveryHeader, j.transition.ID)
	if j.hook.Secret != "" {
		secret := s.opts.Secret(j.hook.Secret)
		if len(secret) == 0 {
			return false, fmt.Errorf("its secret %s is not there, and unsigned nothing is sent", j.hook.Secret)
		}
		req.Header.Set(SignatureHeader, signature(secret, s.opts.Now(), j.body))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return true, cause(err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode >= 200 && resp.StatusCode <= 299 {
		return false, nil
	}
	return mayRecover(resp.StatusCode), fmt.Errorf("it answered %d", resp.StatusCode)
}

// mayRecover tells whether the same request may be answered better later.
func mayRecover(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// signature returns the value of SignatureHeader.
func signature(secret []byte, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	fmt.Fprintf(mac, "%d.", at.Unix())
	mac.Write(body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

// cause takes the URL, whose path often is the secret, out of an error.
func cause(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

// display names a hook in a log.
func display(h state.Hook) string {
	if len(h.Command) > 0 {
		return filepath.Base(h.Command[0])
	}
	if u, err := url.Parse(h.URL); err == nil {
		return u.Scheme + "://" + u.Host
	}
	return "an URL that can't be read"
}
