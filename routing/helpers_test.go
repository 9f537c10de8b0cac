package routing

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// now is the moment at which the tests happen.
var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixNano()

// testKey signs the tokens of the tests.
var testKey = Key{ID: "k1", Secret: []byte("0123456789abcdef0123456789abcdef")}

// fields are header fields by lower-case name.
type fields map[string]string

func (f fields) Get(name string) (string, bool) {
	value, ok := f[name]
	return value, ok
}

// sick are the slots that can't serve.
type sick map[int]bool

func (s sick) Usable(slot int) bool { return !s[slot] }

var client = netip.MustParseAddr("192.0.2.7")

// ask returns a plain request to web.test; fields come as "name: value".
func ask(lines ...string) *Request {
	f := fields{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		f[strings.ToLower(name)] = value
	}
	return &Request{Method: "GET", Host: "web.test", Path: "/", Fields: f, Client: client, Now: now, Draw: 1 << 63}
}

// web returns a config of one service "web" with versions v1 (90), v2 (10) and
// v3 (dark), all of one shape.
func web(change ...func(*ServiceConfig)) Config {
	svc := ServiceConfig{
		Name:  "web",
		Epoch: 7,
		Versions: []VersionConfig{
			{Name: "v1", Slot: 1, Weight: 90},
			{Name: "v2", Slot: 2, Weight: 10},
			{Name: "v3", Slot: 3},
		},
	}
	for _, f := range change {
		f(&svc)
	}
	return Config{
		Routes:   []Route{{Service: "web"}},
		Services: []ServiceConfig{svc},
		Keys:     []Key{testKey},
	}
}

func build(t testing.TB, cfg Config) *Snapshot {
	t.Helper()
	s, err := Build(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func rules(list ...RuleConfig) func(*ServiceConfig) {
	return func(svc *ServiceConfig) { svc.Rules = list }
}

func pinBy(by PinBy, name string) func(*ServiceConfig) {
	return func(svc *ServiceConfig) {
		svc.Pin.By, svc.Pin.Name, svc.Pins = by, name, NewPinTable(1000)
	}
}

func (v *Version) String() string {
	if v == nil {
		return "none"
	}
	return v.Name
}

// want checks what most tests look at: "version reason pin", the version that
// failed in brackets.
func want(t *testing.T, d Decision, text string) {
	t.Helper()
	got := d.Version.String()
	if d.Failed != nil {
		got += "(" + d.Failed.Name + ")"
	}
	got += " " + ReasonText(&d) + " " + d.Pin.String()
	if got != text {
		t.Errorf("got %q, want %q", got, text)
	}
}
