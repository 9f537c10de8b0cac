package server

import (
	"errors"
	"fmt"
	"strings"

	"sluice/configs"
	"sluice/state"
)

// misfit is a refusal of what the file declares, with its place in the file.
type misfit struct {
	place   configs.Error
	refusal *state.Refusal
}

// Error implements error.
func (m *misfit) Error() string { return m.place.Error() }

// Unwrap returns the place in the file and the refusal.
func (m *misfit) Unwrap() []error { return []error{m.place, m.refusal} }

// refusedFile names the file, and if it can the line, in an error of the state
// about it.
func refusedFile(file *configs.File, err error) error {
	var r *state.Refusal
	if errors.As(err, &r) {
		path := refusedPath(file, r)
		err = &misfit{configs.Error{Line: file.Line(path), Path: path, Msg: r.Message, Want: r.Remedy}, r}
	}
	return fmt.Errorf("%s: %w", file.Name(), err)
}

// refusedPath is the key of the file that a refusal is about; "": the file as a
// whole.
func refusedPath(file *configs.File, r *state.Refusal) string {
	if strings.HasPrefix(r.Field, "services.") {
		return r.Field
	}
	svc := file.Services[r.Service]
	if svc == nil {
		return ""
	}
	path := "services." + r.Service
	if svc.Versions[r.Version] == nil {
		return path
	}
	path += ".versions." + r.Version
	if r.Field == "weights."+r.Version {
		path += ".weight"
	}
	return path
}
