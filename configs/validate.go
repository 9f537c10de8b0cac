package configs

import (
	"net/url"
	"strings"
)

// leastSecret is as long as the hash that it keys (RFC 7518, section 3.2).
const leastSecret = 32

// validate checks everything that the types cannot rule out. It only reads.
func (f *File) validate(c *checker) {
	f.validateListeners(c)
	f.validateAdmin(c)
	f.validateState(c)
	f.validateUpgrade(c)
	f.validateAccessLog(c)
	c.tracing(&f.Tracing)
	c.overload("overload", f.Overload)
	c.between("probes.concurrency", int64(f.Probes.Concurrency), 1, 1000)
	f.validateOverride(c)
	f.validateRoutes(c)
	if len(f.Services) == 0 {
		c.fail("services", wantFile, "the file declares no service")
	}
	for _, name := range sorted(f.Services) {
		f.validateService(c, name)
	}
	f.validatePins(c)
	f.validatePolicies(c)
	f.validateJourneys(c)
}

func (f *File) validateState(c *checker) {
	switch f.State.Backend {
	case Bolt:
		if f.State.Path == "" {
			c.fail("state.path", "want a file such as sluice.db", "the bolt backend needs a path")
		}
	case Etcd:
		if len(f.State.Etcd.Endpoints) == 0 {
			c.fail("state.etcd.endpoints", `want URLs such as ["http://127.0.0.1:2379"]`, "the etcd backend needs endpoints")
		}
	}
	for i, endpoint := range f.State.Etcd.Endpoints {
		u, err := url.Parse(endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Port() == "" || u.Hostname() == "" {
			c.fail(index("state.etcd.endpoints", i), "want a URL such as http://127.0.0.1:2379", "%s is not an etcd endpoint", quote(endpoint))
		}
	}
	if !strings.HasPrefix(f.State.Etcd.Prefix, "/") {
		c.fail("state.etcd.prefix", "want a prefix such as /sluice/", `%s does not start with "/"`, quote(f.State.Etcd.Prefix))
	}
}

func (f *File) validateOverride(c *checker) {
	ids := make([]string, len(f.Override.Keys))
	for i, k := range f.Override.Keys {
		path := index("override.keys", i)
		ids[i] = k.ID
		c.name(path+".id", "key", k.ID)
		switch n := k.Secret.Len(); {
		case k.SecretFile != "" && n == 0: // reading it failed
		case n == 0:
			c.fail(path, "add secret_file: PATH, or secret: ${NAME}", "the key has no secret")
		case n < leastSecret:
			c.fail(path, "want at least 32, for example from: openssl rand -hex 32", "the secret has %d bytes", n)
		}
	}
	distinct(c, "override.keys", ids)
}
