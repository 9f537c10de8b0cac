package sluice_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// loadGraph returns the packages of the module with what their files, but for
// tests, import.
func loadGraph(t *testing.T) map[string][]string {
	t.Helper()
	graph := map[string][]string{}
	eachGoFile(t, func(name string, imports []string) {
		if strings.HasSuffix(name, "_test.go") {
			return
		}
		p := filepath.ToSlash(filepath.Join("sluice", filepath.Dir(name)))
		graph[p] = append(graph[p], imports...)
	})
	for p, imports := range graph {
		slices.Sort(imports)
		graph[p] = slices.Compact(imports)
	}
	return graph
}

// eachGoFile calls f with the imports of every Go file, those for other systems
// too. It reads the files itself: go test repeats a test only when a file that
// it opened has changed, and would not know what a go list has read.
func eachGoFile(t *testing.T, f func(name string, imports []string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, imported)
		}
		f(name, imports)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
