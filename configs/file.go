// Package configs is the file that declares listeners, routes, services and
// versions: its schema as Go types, defaults, strict decoding, validation that
// reports everything at once, and watching for changes.
//
// The file's words are those of the project's design. Every scalar value may
// hold ${NAME} or ${NAME:-default} from the environment. Keys whose name ends
// in _file name a file beside the configuration that holds the value.
package configs

import "time"

// File is the whole configuration, complete: defaults stand where the file
// said nothing, and paths are joined to the file's directory.
type File struct {
	Listeners []Listener `yaml:"listeners"` // none: one on ":8080"
	Admin     Admin      `yaml:"admin"`     // the administration API
	State     State      `yaml:"state"`     // where decisions are kept
	Log       Log        `yaml:"log"`       // what is logged, and how
	Tracing   Tracing    `yaml:"tracing"`   // which requests a trace collector is told of
	Override  Override   `yaml:"override"`  // who may choose a version
	Overload  Overload   `yaml:"overload"`  // when requests are refused, so that others are served
	Probes    Probes     `yaml:"probes"`    // how many versions are probed at a time
	Routes    []Route    `yaml:"routes"`    // none: everything to the only service
	// Policies are policies of rollouts by name, beside those of BuiltinPolicies.
	Policies map[string]*Policy `yaml:"policies"`
	// Journeys are requests with what is expected of their answers, by name.
	Journeys map[string]*Journey `yaml:"journeys"`
	// Services are the services by name; at least one.
	Services map[string]*Service `yaml:"services"`
	// GracefulStop is how long requests in flight may take to finish at a
	// stop; 0 cuts them at once. Default 30s.
	GracefulStop time.Duration `yaml:"graceful_stop"`
	// StopDelay is how long the listeners go on at a stop, while readiness has
	// gone already and answers end their connections, so that balancers look
	// elsewhere before anybody is refused. graceful_stop begins after it. Default 0s.
	StopDelay time.Duration `yaml:"stop_delay"`
	Upgrade   Upgrade       `yaml:"upgrade"` // replacing the running process

	// Warnings are doubts that do not make the file wrong, sorted by line.
	Warnings []Error `yaml:"-"`

	name    string // as given to Load or Parse
	getenv  func(string) (string, bool)
	lines   map[string]int
	sources sources
}

// DefaultFile returns the file that says nothing.
func DefaultFile() File {
	return File{
		Admin:        Admin{Address: "127.0.0.1:9900", ClientRole: Viewer},
		State:        State{Backend: Bolt, Path: "sluice.db", Etcd: EtcdStore{Prefix: "/sluice/"}},
		Log:          Log{Level: Info, Format: JSON, Access: AccessLog{Mode: AccessErrors, Sample: 0.01, Format: AccessJSON}},
		Tracing:      DefaultTracing(),
		Overload:     Overload{Target: 20 * time.Millisecond},
		Probes:       DefaultProbes(),
		GracefulStop: 30 * time.Second,
		Upgrade:      DefaultUpgrade(),
	}
}

// Name returns the file's name as it was given to Load or Parse.
func (f *File) Name() string { return f.name }

// Line returns the line of a path such as "services.web.versions.v1", or of
// the nearest part of it that the file spells out; 0: none.
func (f *File) Line(path string) int {
	for path != "" {
		if line, ok := f.lines[path]; ok {
			return line
		}
		path = parent(path)
	}
	return 0
}

// Admin is the administration API.
type Admin struct {
	// Address is the host:port to listen on. Anything but loopback needs
	// TokensFile, or TLS with a client CA. Default 127.0.0.1:9900.
	Address string `yaml:"address"`
	// TokensFile lists the hashes of bearer tokens with their roles; "": no
	// token is asked for.
	TokensFile string `yaml:"tokens_file"`
	// TLS, where set, serves the API over TLS.
	TLS *TLS `yaml:"tls"`
	// ClientRole is what callers may do whom a client certificate of TLS names,
	// where there is no TokensFile. Default viewer.
	ClientRole Role `yaml:"client_role"`
}

// State is where the runtime state is kept.
type State struct {
	Backend Backend `yaml:"backend"` // default bolt
	// Path is the file of the bolt backend. Default sluice.db.
	Path string    `yaml:"path"`
	Etcd EtcdStore `yaml:"etcd"` // for the etcd backend
}

// EtcdStore is how the etcd backend is reached.
type EtcdStore struct {
	Endpoints []string `yaml:"endpoints"` // http(s)://host:port; at least one
	Prefix    string   `yaml:"prefix"`    // of all keys; default /sluice/
}

// Log is what is logged to standard error, and how.
type Log struct {
	Level  LogLevel  `yaml:"level"`  // default info
	Format LogFormat `yaml:"format"` // default json
	Access AccessLog `yaml:"access"`
}

// Override is who may choose a version by a signed token.
type Override struct {
	// Keys verify tokens; the first signs new ones. None: no token is valid.
	Keys []OverrideKey `yaml:"keys"`
}

// OverrideKey is one key of HS256 tokens.
type OverrideKey struct {
	ID string `yaml:"id"` // the token's "kid"
	// SecretFile holds the secret; newlines at its end are not part of it.
	SecretFile string `yaml:"secret_file"`
	// Secret is the secret itself, best given as ${NAME}. One of the two is
	// set in the file; after Load, Secret is set either way. At least 32
	// bytes, as long as the hash (RFC 7518, section 3.2).
	Secret Secret `yaml:"secret"`
}
