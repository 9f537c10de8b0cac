package sluice_test

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/configs"
)

// documents are those whose words a test can hold to the repository.
var documents = []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"}

func TestReadmeConfigurationLoads(t *testing.T) {
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(readFile(t, "README.md"), -1)
	if len(blocks) == 0 {
		t.Fatal("README.md shows no configuration")
	}
	first := blocks[0][1]
	if n := strings.Count(first, "\n"); n > 20 {
		t.Errorf("the first configuration has %d lines; a newcomer reads 20", n)
	}
	for i, b := range blocks {
		file, err := configs.Parse("README.md", []byte(b[1]), func(string) (string, bool) { return strings.Repeat("x", 64), true })
		if err != nil {
			t.Errorf("configuration %d: %v", i+1, err)
			continue
		}
		for _, f := range file.Unsupported() {
			t.Errorf("configuration %d: %v", i+1, f)
		}
		for _, w := range file.Warnings {
			t.Errorf("configuration %d: %v", i+1, w)
		}
	}
}

func TestDocumentsLinkToWhatIsThere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
	for _, name := range documents {
		for _, m := range link.FindAllStringSubmatch(readFile(t, name), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(m[1]); err != nil {
				t.Errorf("%s links to %s, which is not there", name, m[1])
			}
		}
	}
}

// TestArchitectureNamesEveryRoomAndModule keeps the two tables complete.
func TestArchitectureNamesEveryRoomAndModule(t *testing.T) {
	text := readFile(t, "ARCHITECTURE.md")
	for _, p := range slices.Sorted(maps.Keys(loadGraph(t))) {
		room := strings.TrimPrefix(p, "sluice/")
		if p != "sluice" && !strings.Contains(text, "`"+room+"`") {
			t.Errorf("ARCHITECTURE.md does not name the package `%s`", room)
		}
	}
	used := map[string]bool{}
	eachGoFile(t, func(_ string, imports []string) {
		for _, imported := range imports {
			used[imported] = true
		}
	})
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v\S+`).FindAllStringSubmatch(readFile(t, "go.mod"), -1) {
		for imported := range used {
			if matches(m[1]+"/...", imported) && !strings.Contains(text, m[1]) {
				t.Errorf("ARCHITECTURE.md does not say why %s is needed", m[1])
				break
			}
		}
	}
}

// TestArchitectureNamesFunctionsThatAreThere looks for each `name()` and
// `name.go` of the document in the code.
func TestArchitectureNamesFunctionsThatAreThere(t *testing.T) {
	defined, files := map[string]bool{}, map[string]bool{}
	function := regexp.MustCompile(`(?m)^func (?:\([^)]*\) )?(\w+)[\[(]`)
	eachGoFile(t, func(name string, _ []string) {
		files[filepath.Base(name)] = true
		for _, m := range function.FindAllStringSubmatch(readFile(t, name), -1) {
			defined[m[1]] = true
		}
	})
	text := readFile(t, "ARCHITECTURE.md")
	for _, m := range regexp.MustCompile("`(?:[\\w/]+\\.)*(\\w+)\\(\\)`").FindAllStringSubmatch(text, -1) {
		if !defined[m[1]] {
			t.Errorf("ARCHITECTURE.md names a function %s, which is not there", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`(?:[\\w/]+/)?(\\w+\\.go)`").FindAllStringSubmatch(text, -1) {
		if !files[m[1]] {
			t.Errorf("ARCHITECTURE.md names a file %s, which is not there", m[1])
		}
	}
}

// TestMakefileDoesWhatReadmeSays looks for each target that a document names.
func TestMakefileDoesWhatReadmeSays(t *testing.T) {
	makefile := readFile(t, "Makefile")
	for _, name := range documents {
		for _, m := range regexp.MustCompile("(?m)(?:^|`)(?:\\w+=\\S+ )?make ([a-z0-9]+)").FindAllStringSubmatch(readFile(t, name), -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s says make %s, which is no target", name, m[1])
			}
		}
	}
}

// TestDocumentsNameCommandsThatAreThere looks for each "sluice NAME" in the
// command tree.
func TestDocumentsNameCommandsThatAreThere(t *testing.T) {
	commands := map[string]bool{}
	use := regexp.MustCompile(`Use:\s+"(\w+)`)
	eachGoFile(t, func(name string, _ []string) {
		if matches("cmd/sluice", filepath.ToSlash(filepath.Dir(name))) {
			for _, m := range use.FindAllStringSubmatch(readFile(t, name), -1) {
				commands[m[1]] = true
			}
		}
	})
	for _, name := range documents {
		for _, m := range regexp.MustCompile("(?m)(?:^\\$ |^bin/|`|\\()sluice ([a-z]+)").FindAllStringSubmatch(readFile(t, name), -1) {
			if !commands[m[1]] {
				t.Errorf("%s says sluice %s, which is no command", name, m[1])
			}
		}
	}
}

func TestScriptsCanBeRun(t *testing.T) {
	for _, name := range []string{".ci/run", "scripts/fuzz", "scripts/need"} {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Mode()&0o111 == 0 {
			t.Errorf("%s is missing or can't be run", name)
		}
	}
}
