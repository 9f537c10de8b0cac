package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// TestCI sees that the examples for CI are well-formed, and that every command in
// them is one that this program takes.
func TestCI(t *testing.T) {
	const dir = "../../configs/ci"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if ext := filepath.Ext(e.Name()); ext == ".yml" || ext == ".yaml" {
			var doc map[string]any
			if err := yaml.Unmarshal(data, &doc); err != nil || len(doc) == 0 {
				t.Errorf("%s: %v", e.Name(), err)
			}
		}
		if e.Name() == "Jenkinsfile" && (strings.Count(text, "{") != strings.Count(text, "}") || strings.Count(text, "'''")%2 != 0) {
			t.Error("Jenkinsfile: braces or quotes do not pair")
		}
		lines := commandLines(text)
		if len(lines) == 0 {
			t.Errorf("%s calls nothing", e.Name())
		}
		for _, line := range lines {
			total++
			if err := parses(words(line)); err != nil {
				t.Errorf("%s: %s: %v", e.Name(), line, err)
			}
		}
	}
	if total < 8 {
		t.Errorf("only %d commands were found", total)
	}
	if parses(words(`sluice rollout start web "$COMMIT" --nonsense`)) == nil || parses(words("sluice rollout strat web v1")) == nil {
		t.Error("a wrong command passes")
	}
}

// commandLines returns the calls of sluice in a text, each on one line.
func commandLines(text string) []string {
	text = regexp.MustCompile(`\\\n\s*`).ReplaceAllString(text, "")
	var lines []string
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		at := regexp.MustCompile(`\bsluice (rollout|tokens) [a-z]`).FindStringIndex(line)
		if at == nil || strings.Contains(line, "`sluice") {
			continue
		}
		line = line[at[0]:]
		if strings.Count(line, "'")%2 == 1 { // the end of: sh '…'
			line = line[:strings.LastIndex(line, "'")]
		}
		lines = append(lines, line)
	}
	return lines
}

// words splits a line as a shell does, as far as these lines need it. Variables
// stand for a word.
func words(line string) []string {
	line = regexp.MustCompile(`\$[A-Z_]+`).ReplaceAllString(line, "3f2a9c1")
	var out []string
	for _, m := range regexp.MustCompile(`(?:[^\s"]|"[^"]*")+`).FindAllString(line, -1) {
		out = append(out, strings.ReplaceAll(m, `"`, ""))
	}
	return out
}

// parses carries out a command line as far as its flags and arguments go.
func parses(line []string) error {
	root := newRoot()
	cmd, args, err := root.Find(line[1:])
	if err != nil {
		return err
	}
	if cmd.HasSubCommands() && len(args) > 0 && !strings.HasPrefix(args[0], "-") && cmd.Args == nil {
		return usage("no command %q", args[0])
	}
	if err := cmd.ParseFlags(args); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}
