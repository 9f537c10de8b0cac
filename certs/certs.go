// Package certs keeps the certificates of TLS servers: it loads them from files
// or obtains them by ACME, chooses one by the name that a client asks for, and
// takes changed files without a restart and without touching a connection. A
// pair that cannot be used leaves the one before in force.
//
// A Keeper follows the files of all its Sources; a Source gives the tls.Config
// of one server.
package certs

import (
	"crypto/tls"
	"time"

	"go.uber.org/zap"
)

// Config says what a TLS server shows and asks for.
type Config struct {
	Name  string // of the server, for logs and metrics
	Pairs []Pair // the first is shown to whom no other fits; none: ACME must be set
	// ClientCA is a PEM file of the authorities whose client certificates are
	// verified; "": none are asked for.
	ClientCA   string
	ClientAuth ClientAuth
	MinVersion uint16   // of TLS; 0: 1.2, and no less
	NextProtos []string // that the server speaks (ALPN), in order of preference
	ACME       *ACME    // nil: certificates are those of Pairs
}

// Pair is a certificate chain and its key, as PEM files.
type Pair struct {
	Cert, Key string
	// OCSP is a file with the DER response of the certificate's OCSP responder,
	// that is stapled while it is valid; "": nothing is stapled.
	OCSP string
}

// ClientAuth is what is asked of clients where there is a ClientCA.
type ClientAuth uint8

// What is asked. A certificate that is shown must be one of the authorities'
// either way.
const (
	Require ClientAuth = iota // a handshake without a certificate fails
	Request                   // a client may come without one
)

// Options are what a Keeper works with. The zero value works.
type Options struct {
	Log *zap.Logger      // nil: none
	Now func() time.Time // nil: time.Now
	// Failed is called for each change of files that could not be taken.
	Failed func()
	// after replaces time.After in tests.
	after func(time.Duration) <-chan time.Time
}

// Expiry is when a certificate ends.
type Expiry struct {
	Server string // Config.Name
	Name   string // the certificate's first name
	At     time.Time
}

// suites are those of TLS 1.2 with forward secrecy and authenticated encryption
// (RFC 9325, section 4.2). Those of TLS 1.3 all are.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// maxName bounds a name in logs and metrics; that of a host has at most 253.
const maxName = 253
