package sluice_test

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"
)

// rule forbids packages to import others, directly or by way of packages of the
// project. Patterns are import paths; "p/..." means p and all below it.
type rule struct {
	from   string   // the packages that it binds
	forbid []string // what they must not import
	allow  []string // what they may import all the same
	except []string // packages that may import it, also on the way
	why    string
}

// rules are section "The rooms" of ARCHITECTURE.md.
var rules = []rule{
	{
		from: "sluice/routing/...", forbid: []string{"sluice/..."},
		allow: []string{"sluice/proxy/head", "sluice/proxy/buffer", "sluice/routing/..."},
		why:   "a decision depends on its arguments alone, so that it can be tested and explained",
	},
	{
		from: "sluice/routing/...", forbid: []string{"net", "net/http/...", "os/...", "syscall", "log/..."},
		why: "routing is pure: it does no I/O, and codecs of every protocol share it",
	},
	{
		from: "sluice/rollout/judge/...", forbid: []string{"sluice/..."},
		allow: []string{"sluice/proxy/head", "sluice/proxy/buffer", "sluice/rollout/judge/..."},
		why:   "the judge is statistics over plain numbers",
	},
	{
		from: "sluice/proxy/h1/...", forbid: []string{"sluice/..."},
		allow: []string{"sluice/proxy/head", "sluice/proxy/buffer", "sluice/proxy/h1/..."},
		why:   "a wire format knows nothing of the proxy that speaks it",
	},
	{
		from: "sluice/proxy/h2/...", forbid: []string{"sluice/..."},
		allow: []string{"sluice/proxy/head", "sluice/proxy/buffer", "sluice/proxy/h2/..."},
		why:   "a wire format knows nothing of the proxy that speaks it",
	},
	{
		from: "sluice/proxy/h1/...", forbid: []string{"net", "net/http/...", "os/...", "syscall", "time"},
		why: "a wire format has no sockets and no clock",
	},
	{
		from: "sluice/proxy/h2/...", forbid: []string{"net", "net/http/...", "os/...", "syscall", "time"},
		why: "a wire format has no sockets and no clock",
	},
	{
		from: "sluice/proxy/head/...", forbid: []string{"sluice/..."}, allow: []string{"sluice/proxy/head/..."},
		why: "plain types, that everything may import",
	},
	{
		from: "sluice/proxy/buffer/...", forbid: []string{"sluice/..."}, allow: []string{"sluice/proxy/buffer/..."},
		why: "plain types, that everything may import",
	},
	{
		from: "sluice/proxy/accesslog", forbid: []string{"sluice/...", "net"},
		why: "a line is made of plain values, of whatever protocol",
	},
	{
		from: "sluice/proxy/proxyproto", forbid: []string{"sluice/...", "net", "net/http/...", "os/...", "syscall", "time"},
		why: "a wire format has no sockets and no clock",
	},
	{
		from: "sluice/proxy/limit", forbid: []string{"sluice/...", "net", "os/...", "syscall"},
		why: "counting depends on its arguments alone; the moment is one of them",
	},
	{
		from: "sluice/proxy/...", forbid: []string{"net/http/..."}, except: []string{"sluice/proxy/upstream"},
		why: "its server costs four times what ours costs; health checks alone may use its client",
	},
	{
		from: "sluice/proxy/...", forbid: []string{"sluice/..."},
		allow: []string{"sluice/proxy/...", "sluice/routing/...", "sluice/stats/..."},
		why:   "the data path decides, forwards and counts; what it serves is handed to it as a table",
	},
	{
		from: "sluice/stats/...", forbid: []string{"sluice/..."}, allow: []string{"sluice/stats/..."},
		why: "whoever counts must not depend on what is counted",
	},
	{
		from: "sluice/handover/...", forbid: []string{"sluice/..."}, allow: []string{"sluice/handover/..."},
		why: "what builds of different ages say to one another must not change with the rest",
	},
	{
		from: "sluice/state/...", forbid: []string{"sluice/..."}, allow: []string{"sluice/state/..."},
		why: "the desired state stands above those who carry it out, and must be right without them",
	},
	{
		from: "sluice/state", forbid: []string{"net", "net/http/...", "os/..."},
		why: "Apply is pure, and only stores touch files",
	},
	{
		from: "sluice/configs/...", forbid: []string{"sluice/..."}, allow: []string{"sluice/configs/..."},
		why: "the file is a format; cmd translates it for each room",
	},
	{
		from: "sluice/certs/...", forbid: []string{"sluice/..."}, allow: []string{"sluice/certs/..."},
		why: "whoever serves TLS is given a configuration, and asks no more",
	},
	{
		from: "sluice/tracing/...", forbid: []string{"sluice/..."}, allow: []string{"sluice/tracing/..."},
		why: "whoever tells of requests is given plain values; cmd joins it to the data path",
	},
	{
		from: "sluice/proxy/...", forbid: []string{"go.opentelemetry.io/..."},
		why: "what only a few requests need, and many libraries, is no part of the data path",
	},
	{
		from: "sluice/admin/...", forbid: []string{"sluice/..."}, allow: []string{"sluice/admin/...", "sluice/state/..."},
		why: "the API asks through its own interfaces for what the data path knows; cmd joins them",
	},
	{
		from: "sluice/admin/api", forbid: []string{"sluice/admin/...", "net/http/..."}, allow: []string{"sluice/admin/api"},
		why: "the JSON is shared by server and clients and drags neither along",
	},
	{
		from: "sluice/admin/client", forbid: []string{"sluice/..."}, allow: []string{"sluice/admin/api", "sluice/admin/client", "sluice/state"},
		why: "a client of the API is a small thing",
	},
	{
		from: "sluice/rollout/...", forbid: []string{"sluice/proxy/...", "sluice/admin/...", "sluice/synthetic/..."},
		allow: []string{"sluice/proxy/head", "sluice/proxy/buffer"},
		why:   "rooms at one level are joined in cmd by small interfaces",
	},
	{
		from: "sluice/rollout", forbid: []string{"net", "net/http/...", "os/...", "syscall", "log/..."},
		why: "the machine is pure: it proposes, and its driver has clock and I/O",
	},
	{
		from: "sluice/synthetic/...", forbid: []string{"sluice/proxy/...", "sluice/admin/...", "sluice/rollout/..."},
		allow: []string{"sluice/proxy/head", "sluice/proxy/buffer", "sluice/proxy/h1"},
		why:   "rooms at one level are joined in cmd by small interfaces; a wire format is no room, and one parser for HTTP/1.1 is enough to get right",
	},
	{
		from: "sluice/...", forbid: []string{"sluice/cmd/..."}, except: []string{"sluice/cmd/..."},
		why: "dependencies point down, and cmd stands at the top",
	},
	{
		from: "sluice/...", forbid: []string{"sluice/bench/..."}, except: []string{"sluice/bench/..."},
		why: "a benchmark watches the product from outside",
	},
	{
		from: "sluice/...", forbid: []string{"sluice/e2e/..."}, except: []string{"sluice/e2e/..."},
		why: "end-to-end tests do, too",
	},
	{
		from: "sluice/e2e/...", forbid: []string{"sluice/..."}, allow: []string{"sluice/e2e/...", "sluice/admin/...", "sluice/state"},
		why: "they know of the product what its users know",
	},
	{
		from: "sluice/...", forbid: []string{"testing/...", "go.uber.org/goleak", "pgregory.net/rapid", "github.com/rogpeppe/go-internal/..."},
		except: []string{"sluice/state/storetest"},
		why:    "what tests need does not belong in the binary",
	},
}

// vague are package names that say nothing of what the package owns, and so
// take in everything.
var vague = []string{"util", "utils", "common", "helper", "helpers", "misc", "shared", "lib", "base"}

func TestImportsKeepTheRules(t *testing.T) {
	graph := loadGraph(t)
	for _, want := range []string{"sluice/routing", "sluice/proxy", "sluice/proxy/h1", "sluice/state", "sluice/configs", "sluice/admin", "sluice/cmd/sluice"} {
		if len(graph[want]) == 0 {
			t.Errorf("package %s was not found: the rules are not applied to it", want)
		}
	}
	for _, v := range violations(graph, rules) {
		t.Error(v)
	}
	for _, name := range vagueNames(graph) {
		t.Errorf("%s is named vaguely; a package is named for what it owns", name)
	}
}

// violations applies rules to a graph of packages and their imports, and
// returns a sentence for each that is broken.
func violations(graph map[string][]string, rules []rule) []string {
	var all []string
	for _, r := range rules {
		for _, p := range slices.Sorted(maps.Keys(graph)) {
			if matches(r.from, p) {
				all = append(all, r.broken(graph, p)...)
			}
		}
	}
	return all
}

// broken follows the imports of package p through the project.
func (r rule) broken(graph map[string][]string, p string) []string {
	var all []string
	seen := map[string]bool{p: true}
	for queue := []string{p}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, imported := range graph[at] {
			if anyMatches(r.forbid, imported) && !anyMatches(r.allow, imported) && !anyMatches(r.except, at) {
				all = append(all, r.complaint(p, at, imported))
				continue
			}
			if _, ours := graph[imported]; ours && !seen[imported] {
				seen[imported] = true
				queue = append(queue, imported)
			}
		}
	}
	return all
}

// complaint says who imports what, and why it must not.
func (r rule) complaint(p, at, imported string) string {
	way := ""
	if at != p {
		way = fmt.Sprintf(" by way of %s", at)
	}
	return fmt.Sprintf("%s imports %s%s: %s", p, imported, way, r.why)
}

// matches reports whether an import path is in a pattern.
func matches(pattern, importPath string) bool {
	if root, below := strings.CutSuffix(pattern, "/..."); below {
		return importPath == root || strings.HasPrefix(importPath, root+"/")
	}
	return importPath == pattern
}

func anyMatches(patterns []string, importPath string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, importPath) })
}

// vagueNames returns the packages with a vague name.
func vagueNames(graph map[string][]string) []string {
	var all []string
	for _, p := range slices.Sorted(maps.Keys(graph)) {
		if slices.Contains(vague, path.Base(p)) {
			all = append(all, p)
		}
	}
	return all
}

// TestRulesCanFail applies the rules to graphs that break one each.
func TestRulesCanFail(t *testing.T) {
	const plain = "sluice/proxy/head"
	for _, c := range []struct {
		name  string
		graph map[string][]string
		want  string // the beginning of the complaint; "": none
	}{
		{"routing may use plain types", map[string][]string{"sluice/routing": {plain, "strings"}, plain: nil}, ""},
		{"routing reaches the state", map[string][]string{"sluice/routing": {"sluice/state"}}, "sluice/routing imports sluice/state: "},
		{"routing reaches files", map[string][]string{"sluice/routing": {"os"}}, "sluice/routing imports os: "},
		{"plain types hide a dependency", map[string][]string{"sluice/routing": {plain}, plain: {"os"}},
			"sluice/routing imports os by way of sluice/proxy/head: "},
		{"a codec opens sockets", map[string][]string{"sluice/proxy/h2": {"net"}}, "sluice/proxy/h2 imports net: "},
		{"the data path serves by net/http", map[string][]string{"sluice/proxy": {"net/http"}}, "sluice/proxy imports net/http: "},
		{"a package below it does", map[string][]string{"sluice/proxy": {"sluice/stats"}, "sluice/stats": {"net/http/httputil"}},
			"sluice/proxy imports net/http/httputil by way of sluice/stats: "},
		{"health checks may", map[string][]string{"sluice/proxy": {"sluice/proxy/upstream"}, "sluice/proxy/upstream": {"net/http"}}, ""},
		{"the API reaches the data path", map[string][]string{"sluice/admin": {"sluice/proxy"}}, "sluice/admin imports sluice/proxy: "},
		{"the API's types drag the server along", map[string][]string{"sluice/admin/api": {"sluice/admin"}}, "sluice/admin/api imports sluice/admin: "},
		{"the state reaches routing", map[string][]string{"sluice/state/bolt": {"sluice/routing"}}, "sluice/state/bolt imports sluice/routing: "},
		{"Apply touches files", map[string][]string{"sluice/state": {"os"}}, "sluice/state imports os: "},
		{"stores may", map[string][]string{"sluice/state/bolt": {"os"}}, ""},
		{"the statistics reach the proxy", map[string][]string{"sluice/stats": {"sluice/proxy/head"}}, "sluice/stats imports sluice/proxy/head: "},
		{"certificates know the file", map[string][]string{"sluice/certs": {"sluice/configs"}}, "sluice/certs imports sluice/configs: "},
		{"the file reaches routing", map[string][]string{"sluice/configs": {"sluice/routing"}}, "sluice/configs imports sluice/routing: "},
		{"rollouts reach journeys", map[string][]string{"sluice/rollout": {"sluice/synthetic"}}, "sluice/rollout imports sluice/synthetic: "},
		{"a replay speaks HTTP/1.1", map[string][]string{"sluice/synthetic/replay": {"sluice/proxy/h1"}, "sluice/proxy/h1": {plain}, plain: nil}, ""},
		{"a replay reaches the data path", map[string][]string{"sluice/synthetic/replay": {"sluice/proxy/sock"}}, "sluice/synthetic/replay imports sluice/proxy/sock: "},
		{"somebody imports cmd", map[string][]string{"sluice/bench": {"sluice/cmd/sluice/server"}}, "sluice/bench imports sluice/cmd/sluice/server: "},
		{"somebody imports a test of the whole", map[string][]string{"sluice/bench": {"sluice/e2e/site"}}, "sluice/bench imports sluice/e2e/site: "},
		{"such a test looks inside", map[string][]string{"sluice/e2e/site": {"sluice/proxy"}}, "sluice/e2e/site imports sluice/proxy: "},
		{"cmd may", map[string][]string{"sluice/cmd/sluice": {"sluice/cmd/sluice/server"}}, ""},
		{"a test's tool is shipped", map[string][]string{"sluice/stats": {"testing"}}, "sluice/stats imports testing: "},
		{"a name that only begins alike", map[string][]string{"sluice/routing": {"os/exec"}, "sluice/routings": {"os"}}, "sluice/routing imports os/exec: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := violations(c.graph, rules)
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("got %q, want no complaint", got)
			case c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], c.want)):
				t.Errorf("got %q, want one complaint that begins %q", got, c.want)
			}
		})
	}
}

func TestVagueNamesAreFound(t *testing.T) {
	graph := map[string][]string{"sluice/proxy/util": nil, "sluice/proxy/head": nil, "sluice/common": nil}
	if got := vagueNames(graph); !slices.Equal(got, []string{"sluice/common", "sluice/proxy/util"}) {
		t.Errorf("got %q", got)
	}
}
