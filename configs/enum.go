package configs

import "reflect"

// enum is a string that may only take some values.
type enum interface{ values() []string }

// Protocol is what a listener speaks or an upstream is spoken to in.
type Protocol string

// The protocols. H2 is HTTP/2 over TLS, H2C over plain TCP.
const (
	H1  Protocol = "h1"
	H2  Protocol = "h2"
	H2C Protocol = "h2c"
	H3  Protocol = "h3"
)

func (Protocol) values() []string { return []string{"h1", "h2", "h2c", "h3"} }

// ProxyMode is how a listener treats the PROXY protocol.
type ProxyMode string

// The modes: never read, read where it is sent, refuse where it is not sent.
const (
	ProxyOff     ProxyMode = "off"
	ProxyAccept  ProxyMode = "accept"
	ProxyRequire ProxyMode = "require"
)

func (ProxyMode) values() []string { return []string{"off", "accept", "require"} }

// ProxyHeader is the header of the PROXY protocol that endpoints are sent.
type ProxyHeader string

// The headers: none, or that of version 1 or 2.
const (
	ProxyNone ProxyHeader = "off"
	ProxyV1   ProxyHeader = "v1"
	ProxyV2   ProxyHeader = "v2"
)

func (ProxyHeader) values() []string { return []string{"off", "v1", "v2"} }

// ClientAuth is whether clients of a TLS server must show a certificate.
type ClientAuth string

// The modes: a handshake without one fails, or goes on. One that is shown must
// be an authority's either way.
const (
	ClientRequire ClientAuth = "require"
	ClientRequest ClientAuth = "request"
)

func (ClientAuth) values() []string { return []string{"require", "request"} }

// TLSVersion is a version of TLS.
type TLSVersion string

// The versions that are spoken.
const (
	TLS12 TLSVersion = "1.2"
	TLS13 TLSVersion = "1.3"
)

func (TLSVersion) values() []string { return []string{"1.2", "1.3"} }

// Role is what a caller of the administration API may do; each may do what those
// before it may.
type Role string

// The roles, rising.
const (
	Viewer   Role = "viewer"
	Tester   Role = "tester"
	Deployer Role = "deployer"
	Operator Role = "operator"
	Admins   Role = "admin"
)

func (Role) values() []string { return []string{"viewer", "tester", "deployer", "operator", "admin"} }

// Backend is where the runtime state is kept.
type Backend string

// The backends.
const (
	Memory Backend = "memory" // gone at exit
	Bolt   Backend = "bolt"   // one file, one process
	Etcd   Backend = "etcd"   // a fleet
)

func (Backend) values() []string { return []string{"memory", "bolt", "etcd"} }

// LogLevel is the least severity that is logged.
type LogLevel string

// The levels.
const (
	Debug LogLevel = "debug"
	Info  LogLevel = "info"
	Warn  LogLevel = "warn"
	Err   LogLevel = "error"
)

func (LogLevel) values() []string { return []string{"debug", "info", "warn", "error"} }

// LogFormat is how log lines look.
type LogFormat string

// The formats: one JSON object a line, or text for people.
const (
	JSON    LogFormat = "json"
	Console LogFormat = "console"
)

func (LogFormat) values() []string { return []string{"json", "console"} }

// AccessMode is which requests the access log keeps.
type AccessMode string

// The modes.
const (
	AccessOff     AccessMode = "off"
	AccessErrors  AccessMode = "errors"  // those that ended badly
	AccessSampled AccessMode = "sampled" // the errors and a share of the others
	AccessAll     AccessMode = "all"
)

func (AccessMode) values() []string { return []string{"off", "errors", "sampled", "all"} }

// AccessFormat is how a line of the access log looks.
type AccessFormat string

// The formats: a JSON object, or Apache's lines.
const (
	AccessJSON     AccessFormat = "json"
	AccessCommon   AccessFormat = "common"
	AccessCombined AccessFormat = "combined" // with Referer and User-Agent
)

func (AccessFormat) values() []string { return []string{"json", "common", "combined"} }

// AccessField is a member of a JSON line of the access log.
type AccessField string

func (AccessField) values() []string {
	return []string{
		"level", "ts", "msg", "listener", "client", "method", "host", "path", "proto", "tls", "status",
		"took", "connect", "wait", "body", "bytes_in", "bytes_out", "service", "version", "tags", "reason", "endpoint", "retries",
		"cut_off", "shielded_from", "shielded_status", "fallback_from", "failure", "trace_id", "request_id", "synthetic", "user_agent", "referer",
		"query",
	}
}

// First is how a session without a pin gets its first version.
type First string

// The ways: a random draw, or a hash of address and User-Agent, so that a page
// and its assets, asked for at once without a cookie, agree.
const (
	FirstRandom First = "random"
	FirstClient First = "client"
)

func (First) values() []string { return []string{"random", "client"} }

// HostMode is which Host the upstream sees.
type HostMode string

// The modes: the client's, or the endpoint's own address.
const (
	HostPreserve HostMode = "preserve"
	HostEndpoint HostMode = "endpoint"
)

func (HostMode) values() []string { return []string{"preserve", "endpoint"} }

// setEnum stores text in a string type that lists its values.
func setEnum(v reflect.Value, e enum, text string) error {
	for _, known := range e.values() {
		if text == known {
			v.SetString(text)
			return nil
		}
	}
	return problemf("want "+list(e.values()), "unknown value %s", quote(text))
}
