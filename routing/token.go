package routing

import (
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// verifier verifies override tokens.
type verifier struct {
	secrets map[string][]byte // by key id
}

// claims are those of an override token.
type claims struct {
	Sluice map[string]string `json:"sluice"` // version by service
	jwt.RegisteredClaims
}

var (
	errExpired   = errors.New("the token has expired; ask for a new one")
	errNoKeys    = errors.New("no keys for tokens are configured")
	errLongToken = fmt.Errorf("the token is longer than %d bytes", maxOverrides)
	errNoVersion = errors.New(`its claim "sluice" names no versions`)
)

// verify returns what a token asks for and when it ends in Unix seconds; now
// is Unix time in ns. The algorithm is pinned (RFC 8725, section 3.1), "exp" is
// required and strict to the nanosecond.
func (v *verifier) verify(token string, now int64) (overrides, int64, error) {
	if len(v.secrets) == 0 {
		return nil, 0, errNoKeys
	}
	if len(token) > maxOverrides {
		return nil, 0, errLongToken
	}
	var c claims
	_, err := jwt.ParseWithClaims(token, &c, v.secret,
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(),
		jwt.WithStrictDecoding(),
		jwt.WithTimeFunc(func() time.Time { return time.Unix(0, now) }))
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return nil, 0, errExpired
	case err != nil:
		return nil, 0, fmt.Errorf("the token does not hold: %w", err)
	case len(c.Sluice) == 0:
		return nil, 0, errNoVersion
	}
	wanted := overrides(c.Sluice)
	return wanted, c.ExpiresAt.Unix(), wanted.check()
}

// secret finds the secret that a token's "kid" names.
func (v *verifier) secret(token *jwt.Token) (any, error) {
	id, _ := token.Header["kid"].(string)
	secret, ok := v.secrets[id]
	if !ok {
		return nil, fmt.Errorf("no key has the id %q", id)
	}
	return secret, nil
}

// SignToken returns a token that lets its bearer choose versions, by service,
// until exp. sub says who it is for, in logs. It returns an error if the key is
// too short, a name is none, overrides is empty or the token would be longer
// than what is accepted.
func SignToken(key Key, sub string, wanted map[string]string, exp time.Time) (string, error) {
	if err := key.check(); err != nil {
		return "", err
	}
	if len(wanted) == 0 {
		return "", errors.New("a token must name a version of at least one service, such as web=v2")
	}
	if err := overrides(wanted).check(); err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		Sluice:           maps.Clone(wanted),
		RegisteredClaims: jwt.RegisteredClaims{Subject: sub, ExpiresAt: jwt.NewNumericDate(exp)},
	})
	token.Header["kid"] = key.ID
	text, err := token.SignedString(key.Secret)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	if len(text) > maxOverrides {
		return "", fmt.Errorf("signing a token: %w; name fewer services", errLongToken)
	}
	return text, nil
}

// check reports what is wrong with a key.
func (k Key) check() error {
	if !validName(k.ID) {
		return fmt.Errorf("key id %q: %s", k.ID, nameRule)
	}
	if len(k.Secret) < MinSecret {
		return fmt.Errorf("key %s: its secret has %d bytes; HS256 needs at least %d (RFC 7518, section 3.2)", k.ID, len(k.Secret), MinSecret)
	}
	return nil
}

// AppendTokenCookie appends the value of the Set-Cookie field that keeps a
// token from the query, as CleanQuery returned it, until it expires. now is
// Unix time in ns; secure is for connections over TLS. It is for decisions
// with Redirect set; for others it appends nothing.
func AppendTokenCookie(dst []byte, d *Decision, token string, now int64, secure bool) []byte {
	if !d.Redirect {
		return dst
	}
	dst = append(dst, tokenCookie...)
	dst = append(dst, '=')
	dst = append(dst, token...)
	return appendAttributes(dst, max(1, d.TokenExpires-now/int64(time.Second)), secure)
}
