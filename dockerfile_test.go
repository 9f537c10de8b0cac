package sluice_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// instruction is a line of the Dockerfile.
type instruction struct{ name, rest string }

// instructions returns the Dockerfile without comments, lines joined.
func instructions(t *testing.T) []instruction {
	t.Helper()
	var all []instruction
	text := strings.ReplaceAll(readFile(t, "Dockerfile"), "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, _ := strings.Cut(line, " ")
		all = append(all, instruction{name, strings.TrimSpace(rest)})
	}
	return all
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// ignored returns the lines of .dockerignore.
func ignored(t *testing.T) []string {
	t.Helper()
	var all []string
	for line := range strings.Lines(readFile(t, ".dockerignore")) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

func TestDockerfileCopiesWhatIsThere(t *testing.T) {
	stages := []string{}
	for _, in := range instructions(t) {
		words := strings.Fields(in.rest)
		switch in.name {
		case "FROM":
			stages = append(stages, words[len(words)-1])
		case "COPY":
			from := ""
			for strings.HasPrefix(words[0], "--") {
				if stage, ok := strings.CutPrefix(words[0], "--from="); ok {
					from = stage
				}
				words = words[1:]
			}
			if from != "" && !slices.Contains(stages, from) {
				t.Errorf("COPY %s: there is no stage %q before it", in.rest, from)
			}
			for _, source := range words[:len(words)-1] {
				if _, err := os.Stat(source); from == "" && (err != nil || slices.Contains(ignored(t), source)) {
					t.Errorf("COPY %s: %q is not in the build's context", in.rest, source)
				}
			}
		}
	}
}

func TestDockerImageRunsTheBinaryAloneAndWithoutRoot(t *testing.T) {
	last := map[string]string{}
	for _, in := range instructions(t) {
		last[in.name] = in.rest
	}
	if last["FROM"] != "scratch" {
		t.Errorf("the image is built on %q, want scratch", last["FROM"])
	}
	if !regexp.MustCompile(`^[1-9]\d*:[1-9]\d*$`).MatchString(last["USER"]) {
		t.Errorf("USER is %q; an orchestrator can tell a number alone from root", last["USER"])
	}
	_, health, _ := strings.Cut(last["HEALTHCHECK"], "CMD ")
	for name, text := range map[string]string{"ENTRYPOINT": last["ENTRYPOINT"], "CMD": last["CMD"], "HEALTHCHECK": health} {
		var argv []string
		if err := json.Unmarshal([]byte(text), &argv); err != nil || len(argv) == 0 {
			t.Errorf("%s is %q, want a JSON list: there is no shell in the image", name, text)
		}
	}
}

func TestDockerBuildHasTheSourceAndTheToolchain(t *testing.T) {
	graph := loadGraph(t)
	for p := range graph {
		top, _, _ := strings.Cut(strings.TrimPrefix(p, "sluice/"), "/")
		if reaches(graph, "sluice/cmd/sluice", p) && slices.Contains(ignored(t), top) {
			t.Errorf("the program needs %s, which .dockerignore leaves out", p)
		}
	}
	needed := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readFile(t, "go.mod"))
	if !slices.ContainsFunc(instructions(t), func(in instruction) bool { return in.name == "FROM" && in.rest == "golang:"+needed[1]+" AS build" }) {
		t.Errorf("the image is not built with Go %s, which go.mod asks for", needed[1])
	}
}

// reaches reports whether a package needs another.
func reaches(graph map[string][]string, from, to string) bool {
	seen := map[string]bool{from: true}
	for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == to {
			return true
		}
		for _, next := range graph[queue[0]] {
			if _, ours := graph[next]; ours && !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	return false
}
