package configs

import (
	"fmt"
)

// Feature is something that the schema knows and this build does not serve.
type Feature struct {
	Name  string // in plain words: "protocol h2"
	Line  int    // where the file asks for it; 0: nowhere in particular
	Path  string
	Fatal bool // to go on without it would break or expose something; otherwise it has no effect, and a note is enough
}

// String returns "line N: path: NAME is not served by this build".
func (u Feature) String() string {
	return Error{Line: u.Line, Path: u.Path, Msg: u.Name + " is not served by this build"}.Error()
}

// Unsupported lists what the file asks for and this build does not serve, in
// the order of sections.
func (f *File) Unsupported() []Feature {
	var list []Feature
	add := func(fatal bool, path, format string, args ...any) {
		list = append(list, Feature{fmt.Sprintf(format, args...), f.Line(path), path, fatal})
	}
	for i, l := range f.Listeners {
		path := index("listeners", i)
		for j, p := range l.Protocols {
			if p == H3 {
				add(true, index(path+".protocols", j), "protocol %s", p)
			}
		}
	}
	if f.State.Backend == Etcd {
		add(true, "state.backend", "the etcd backend")
	}
	return list
}
