package server

import (
	"sluice/configs"
	"sluice/state"
)

// declare translates the file's services into the command that takes them in.
func declare(file *configs.File) state.Declare {
	d := state.Declare{Services: make(map[string]state.DeclaredService, len(file.Services))}
	for name, svc := range file.Services {
		versions := make(map[string]state.DeclaredVersion, len(svc.Versions))
		for version, v := range svc.Versions {
			versions[version] = state.DeclaredVersion{Weight: v.Weight, Spec: specOf(v)}
		}
		d.Services[name] = state.DeclaredService{Versions: versions}
	}
	return d
}

// specOf translates what the file says of a version.
func specOf(v *configs.Version) state.Spec {
	spec := state.Spec{Endpoints: v.Endpoints, Provides: v.Provides, Requires: v.Requires, Tags: v.Tags, Capacity: v.Capacity}
	if v.Shape != nil {
		spec.Shape = &state.Shape{Writes: v.Shape.Writes, Reads: v.Shape.Reads}
	}
	return spec
}
