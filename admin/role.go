package admin

import (
	"fmt"
	"slices"
	"strings"
)

// Role is what a caller may do. Each role may do what those below it may.
type Role int

// The roles, rising.
const (
	Public   Role = iota // anybody, without a token
	Viewer               // read
	Tester               // explain requests, sign override tokens
	Deployer             // register and remove versions, set weights, levels and barriers
	Operator             // roll back, drain, void pins, lift barriers
	Admin                // reload, force; everything
)

// String returns the role's name in the token file.
func (r Role) String() string {
	switch r {
	case Public:
		return "public"
	case Viewer:
		return "viewer"
	case Tester:
		return "tester"
	case Deployer:
		return "deployer"
	case Operator:
		return "operator"
	case Admin:
		return "admin"
	}
	return fmt.Sprintf("role %d", int(r))
}

// ParseRole reads the name of a role that a token can have.
func ParseRole(name string) (Role, error) {
	for r := Viewer; r <= Admin; r++ {
		if r.String() == name {
			return r, nil
		}
	}
	return Public, fmt.Errorf("unknown role %q; the roles are viewer, tester, deployer, operator and admin", name)
}

// Identity is a caller.
type Identity struct {
	Name string // as in the audit
	Role Role
	// Services are the services that the caller may change and sign override
	// tokens for; empty means all. Everybody with a role may read all of them.
	Services []string
	// Force lets the caller pass over the rules of safety; admins may anyway.
	Force bool
}

// MayForce reports whether the caller may pass over the rules of safety.
func (id Identity) MayForce() bool { return id.Force || id.Role >= Admin }

// May reports whether the caller may change a service.
func (id Identity) May(service string) bool {
	return len(id.Services) == 0 || slices.Contains(id.Services, service)
}

// limits says in words which services the caller may change.
func (id Identity) limits() string { return strings.Join(id.Services, ", ") }
