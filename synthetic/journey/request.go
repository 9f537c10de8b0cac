package journey

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// request makes the request of a step of the journey of a name.
func (s *step) request(ctx context.Context, name, host string, v *values, jar *cookiejar.Jar) (req *http.Request, body []byte, err error) {
	target, err := v.fill(s.Path, pathText)
	if err != nil {
		return nil, nil, fmt.Errorf("path: %w", err)
	}
	body, kind, err := s.Body.fill(v)
	if err != nil {
		return nil, nil, fmt.Errorf("body: %w", err)
	}
	u, err := url.ParseRequestURI(target)
	if err == nil && strings.EqualFold(u.Hostname(), hostname(host)) && u.User == nil {
		u.Host = "" // a captured URL of the same site
	}
	if err != nil || u.Host != "" || u.Opaque != "" || !strings.HasPrefix(u.Path, "/") && u.Path != "" {
		return nil, nil, fmt.Errorf("%s is no path", v.mask(target))
	}
	u.Scheme, u.Host = "http", host
	if req, err = http.NewRequestWithContext(ctx, s.Method, u.String(), bytes.NewReader(body)); err != nil {
		return nil, nil, err
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	req.Header.Set("User-Agent", "Sluice-Probe")
	for name, value := range s.Headers {
		if value, err = v.fill(value, same); err != nil {
			return nil, nil, fmt.Errorf("header %s: %w", name, err)
		}
		if !fieldValue(value) {
			return nil, nil, fmt.Errorf("header %s: the value has control characters", name)
		}
		req.Header.Set(name, value)
	}
	req.Header.Set("Sluice-Synthetic", name)
	for _, c := range jar.Cookies(secure(req.URL)) {
		req.AddCookie(c)
	}
	return req, body, nil
}

// secure is a URL as customers see it. A cookie marked Secure goes back over a
// plain connection too: the proxy before the endpoint speaks TLS.
func secure(u *url.URL) *url.URL {
	s := *u
	s.Scheme = "https"
	return &s
}

// fill returns the bytes of a body and their media type; "": none is said.
func (b *Body) fill(v *values) ([]byte, string, error) {
	switch {
	case b.Content != nil:
		return b.Content, "", nil
	case len(b.Form) > 0:
		form := url.Values{}
		for name, value := range b.Form {
			value, err := v.fill(value, same)
			if err != nil {
				return nil, "", err
			}
			form.Set(name, value)
		}
		return []byte(form.Encode()), "application/x-www-form-urlencoded", nil
	case b.JSON != "":
		text, err := v.fill(b.JSON, jsonText)
		return []byte(text), "application/json", err
	}
	text, err := v.fill(b.Text, same)
	return []byte(text), "", err
}

func fieldValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}
