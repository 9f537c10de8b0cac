package configs

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed examples/*.yaml
var examples embed.FS

// Examples returns the names of the ready-to-run examples, in order.
func Examples() []string {
	entries, err := examples.ReadDir("examples")
	if err != nil {
		return nil // unreachable: the directory is part of the binary
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// Example returns the text of an example: such as "edge".
func Example(name string) ([]byte, error) {
	data, err := examples.ReadFile("examples/" + name + ".yaml")
	if err != nil {
		return nil, fmt.Errorf("there is no example %s; %s", quote(name), suggest(name, Examples()))
	}
	return data, nil
}
