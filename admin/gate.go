package admin

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"strings"

	"sluice/admin/api"
)

// callerKey is where the gate leaves the caller in a request's context.
type callerKey struct{}

// callerOf returns who sent a request that passed the gate.
func callerOf(ctx context.Context) Identity {
	id, _ := ctx.Value(callerKey{}).(Identity)
	return id
}

// maxToken bounds what is hashed to look for a token.
const maxToken = 512

// gate lets through who may use a route, and no request that a browser was
// tricked into.
func (s *Server) gate(pattern string, next http.HandlerFunc) http.HandlerFunc {
	least, listed := accessTable()[pattern]
	if !listed {
		least = Admin
	}
	browsers := http.NewCrossOriginProtection()
	return func(w http.ResponseWriter, r *http.Request) {
		id, p := s.authenticate(r, least)
		if p == nil {
			p = permit(id, least, r.PathValue("s"))
		}
		if p == nil {
			p = checkForm(r, browsers)
		}
		if p != nil {
			if p.Status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="sluice"`)
			}
			writeProblem(w, p)
			return
		}
		next(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, id)))
	}
}

// authenticate returns who sends a request. On public routes a caller whom
// nobody knows is nobody, so that a health check needs no token.
func (s *Server) authenticate(r *http.Request, least Role) (Identity, *api.Problem) {
	if s.opts.Tokens == nil {
		if name, ok := certified(r); ok {
			return Identity{Name: name, Role: s.opts.ClientRole}, nil
		}
		if isLoopbackHost(r.Host) {
			return Identity{Name: "local", Role: Admin}, nil
		}
		if least == Public {
			return Identity{}, nil
		}
		return Identity{}, &api.Problem{Status: http.StatusForbidden,
			Detail: "without a token file only requests to this machine's own name are taken, as pages from elsewhere may point theirs here",
			Remedy: "use the host 127.0.0.1 or localhost, or set admin.tokens_file"}
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	known := false
	var id Identity
	if strings.EqualFold(scheme, "Bearer") && token != "" && len(token) <= maxToken {
		id, known = s.opts.Tokens.Find(token)
	}
	if known || least == Public {
		return id, nil
	}
	return Identity{}, &api.Problem{Status: http.StatusUnauthorized,
		Detail: "no valid token came with the request", Remedy: "send Authorization: Bearer <token>"}
}

// certified returns the name of the caller whom a verified client certificate
// names. A token file, where there is one, decides instead: then a certificate
// opens the connection and the token the API.
func certified(r *http.Request) (string, bool) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return "", false
	}
	leaf := r.TLS.VerifiedChains[0][0]
	name := leaf.Subject.CommonName
	switch {
	case name != "":
	case len(leaf.URIs) > 0: // such as spiffe://example.com/ci
		name = leaf.URIs[0].String()
	case len(leaf.EmailAddresses) > 0:
		name = leaf.EmailAddresses[0]
	case len(leaf.DNSNames) > 0:
		name = leaf.DNSNames[0]
	case leaf.SerialNumber != nil:
		name = "serial " + leaf.SerialNumber.Text(16)
	}
	return "cert:" + strings.ToValidUTF8(name[:min(len(name), maxCertName)], "?"), true
}

// maxCertName bounds the name of a caller in the audit.
const maxCertName = 128

// permit reports why a caller may not use a route, for a service or for none.
func permit(id Identity, least Role, service string) *api.Problem {
	if id.Role < least {
		return &api.Problem{Status: http.StatusForbidden,
			Detail: fmt.Sprintf("%s has the role %s", id.Name, id.Role), Remedy: fmt.Sprintf("this needs at least %s", least)}
	}
	if least >= Deployer && service != "" && !id.May(service) {
		return foreign(id, service)
	}
	return nil
}

// foreign is the problem of a caller whose token is for other services.
func foreign(id Identity, service string) *api.Problem {
	return &api.Problem{Status: http.StatusForbidden, Service: service,
		Detail: fmt.Sprintf("%s may not change %s", id.Name, service), Remedy: "its token is for " + id.limits()}
}

// checkForm refuses changes that come from a page of another origin, and bodies
// that are not declared as JSON. A form or an image of a foreign page can send
// neither a JSON content type nor, with a body or without, a same-origin mark.
func checkForm(r *http.Request, browsers *http.CrossOriginProtection) *api.Problem {
	if err := browsers.Check(r); err != nil {
		return &api.Problem{Status: http.StatusForbidden, Detail: "the request comes from a page of another origin",
			Remedy: "use the command line, or a page of this server"}
	}
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody || r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return &api.Problem{Status: http.StatusUnsupportedMediaType, Detail: "the body is not declared as JSON",
			Remedy: "send Content-Type: application/json"}
	}
	return nil
}
