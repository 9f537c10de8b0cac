package configs

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Journey is a list of requests with what is expected of their answers. Paths,
// values of headers, bodies and expectations may hold {{NAME}}, which stands for
// a variable, a secret, or a value that an earlier step has captured.
type Journey struct {
	// Host is the Host of its requests; "": the first exact host that leads to the
	// service. Where every host does: that of the health checks, or localhost.
	Host string `yaml:"host"`
	// Direct sends the requests to each healthy endpoint of the version, and not
	// through the routing, as customers' are. Default false.
	Direct bool `yaml:"direct"`
	// Timeout bounds a run of all steps: 100ms to 10m, default 30s.
	Timeout   time.Duration     `yaml:"timeout"`
	Variables map[string]string `yaml:"variables"` // values by name
	// Secrets are values by name, best given as ${NAME}, that are masked wherever a
	// run is shown. At least 4 bytes. After Load, those of SecretFiles are among
	// them.
	Secrets map[string]Secret `yaml:"secrets"`
	// SecretFiles hold secrets by name, up to 4KiB; newlines at their ends are not
	// part of them.
	SecretFiles map[string]string `yaml:"secret_files"`
	Steps       []JourneyStep     `yaml:"steps"` // 1 to 100, in order
}

// JourneyStep is one request of a journey; or a TLS handshake, or a gRPC health
// check, which have none of the keys of a request but headers (gRPC) and
// expect.latency.
type JourneyStep struct {
	Name   string    `yaml:"name"`   // shown in reports; default step-1, step-2, …
	TLS    *TLSStep  `yaml:"tls"`    // instead of a request
	GRPC   *GRPCStep `yaml:"grpc"`   // likewise
	Method string    `yaml:"method"` // default GET
	// Path is asked for, with the query. It begins with "/", or with {{NAME}} of a
	// value that does, or that is a URL of the same host, as redirects have it.
	Path string `yaml:"path"`
	// Headers are sent beside those that follow from the body and from cookies
	// that earlier steps got.
	Headers map[string]string   `yaml:"headers"`
	Body    *JourneyBody        `yaml:"body"`
	Expect  JourneyExpect       `yaml:"expect"`
	Capture map[string]*Capture `yaml:"capture"` // values for later steps, by name
	// Timeout bounds one try of the step: 10ms to 10m, default 10s.
	Timeout time.Duration `yaml:"timeout"`
	// Retries is how often the step is tried again that didn't pass: 0 to 10,
	// default 0.
	Retries int `yaml:"retries"`
}

// JourneyBody is what a step sends: one of these. In the file a text may stand
// alone.
type JourneyBody struct {
	Text string            `yaml:"text"`
	File string            `yaml:"file"` // sent as it is, up to 1MiB
	Form map[string]string `yaml:"form"` // as application/x-www-form-urlencoded
	JSON string            `yaml:"json"` // a JSON text; in it, {{NAME}} stands within strings

	Content []byte `yaml:"-"` // what File holds, as read by Load
}

func (b *JourneyBody) decodeText(text string) error {
	b.Text = text
	return nil
}

// JourneyExpect is what an answer must be like; all of it must hold.
type JourneyExpect struct {
	Status []StatusClass `yaml:"status"` // one of these; default 2xx and 3xx
	// Header are fields that it must have: an exact value, "*" for any, or "abc*"
	// for a prefix.
	Header   map[string]string `yaml:"header"`
	Contains []string          `yaml:"contains"` // texts in the body
	Regex    []string          `yaml:"regex"`    // expressions (RE2) that match in the body
	// JSON are JSON paths (RFC 9535) with the value that the first hit has: a
	// string as itself, anything else as JSON; "*": any.
	JSON       map[string]string `yaml:"json"`
	SchemaFile string            `yaml:"schema_file"` // a JSON Schema that the body keeps
	// Latency is the longest time from the request to the end of the answer; 0,
	// the default: no limit but the timeout.
	Latency time.Duration `yaml:"latency"`

	Schema []byte `yaml:"-"` // what SchemaFile holds, as read by Load
}

// Capture says where in an answer a value is found: in one of these.
type Capture struct {
	JSON   string `yaml:"json"`   // the first hit of a JSON path
	Header string `yaml:"header"` // a field of the head
	Cookie string `yaml:"cookie"` // a cookie that the answer sets
	Regex  string `yaml:"regex"`  // in the body: the first group, or all where there is none
	// Show leaves the value readable where a run is shown. Default false.
	Show bool `yaml:"show"`
}

// StatusClass is a status of an answer, or a class of them: "201", "2xx".
type StatusClass struct{ From, To int } // both included

// String returns the statuses as the file writes them.
func (s StatusClass) String() string {
	if s.From == s.To {
		return strconv.Itoa(s.From)
	}
	return fmt.Sprintf("%dxx", s.From/100)
}

func (s *StatusClass) decodeText(text string) error {
	class, isClass := strings.CutSuffix(text, "xx")
	if isClass {
		class += "00"
	}
	n, err := strconv.ParseUint(class, 10, 16)
	if err != nil || len(class) != 3 || n < 200 || n > 599 {
		return problemf("want 200 to 599, or 2xx to 5xx", "%s is no status of an answer", quote(text))
	}
	*s = StatusClass{int(n), int(n)}
	if isClass {
		s.To += 99
	}
	return nil
}

func (j *Journey) setDefaults() { *j = Journey{Timeout: 30 * time.Second} }

func (s *JourneyStep) setDefaults() { *s = JourneyStep{Method: "GET", Timeout: 10 * time.Second} }

// completeJourneys names steps, and reads the files that journeys name.
func (f *File) completeJourneys(c *checker) {
	for _, name := range sorted(f.Journeys) {
		path, j := join("journeys", name), f.Journeys[name]
		f.readJourneySecrets(c, path, j)
		for i := range j.Steps {
			s, at := &j.Steps[i], index(path+".steps", i)
			if s.Name == "" {
				s.Name = "step-" + strconv.Itoa(i+1)
			}
			if len(s.Expect.Status) == 0 {
				s.Expect.Status = []StatusClass{{200, 299}, {300, 399}}
			}
			if s.Body != nil && s.Body.File != "" {
				f.beside(&s.Body.File)
				s.Body.Content, _ = c.read(at+".body.file", s.Body.File, maxJourneyFile)
			}
			if s.TLS != nil {
				f.beside(&s.TLS.CA)
			}
			if s.Expect.SchemaFile != "" {
				f.beside(&s.Expect.SchemaFile)
				s.Expect.Schema, _ = c.read(at+".expect.schema_file", s.Expect.SchemaFile, maxJourneyFile)
			}
		}
	}
}

// readJourneySecrets reads the secrets that a journey keeps in files.
func (f *File) readJourneySecrets(c *checker, path string, j *Journey) {
	for _, name := range sorted(j.SecretFiles) {
		at, file := join(path+".secret_files", name), j.SecretFiles[name]
		f.beside(&file)
		j.SecretFiles[name] = file
		if _, given := j.Secrets[name]; given {
			c.fail(at, "keep one of them", "%s is among the secrets already", name)
			continue
		}
		data, ok := c.read(at, file, maxSecret)
		if !ok {
			continue
		}
		if j.Secrets == nil {
			j.Secrets = map[string]Secret{}
		}
		j.Secrets[name] = Secret{strings.TrimRight(string(data), "\r\n")}
	}
}
