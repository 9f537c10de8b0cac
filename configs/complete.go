package configs

import (
	"net/netip"
	"path/filepath"
	"strings"
)

// complete fills in what follows from the rest of the file: default names and
// routes, paths joined to the file's directory, and secrets read from files.
func (f *File) complete(c *checker) {
	if len(f.Listeners) == 0 {
		f.Listeners = []Listener{DefaultListener()}
	}
	for i := range f.Listeners {
		l := &f.Listeners[i]
		if l.Name == "" {
			l.Name = l.Address
		}
		if len(l.Protocols) == 0 {
			l.Protocols = []Protocol{H1}
			if l.TLS != nil {
				l.Protocols = append(l.Protocols, H2)
			}
		}
	}
	f.beside(&f.State.Path)
	f.beside(&f.Log.Access.File)
	f.beside(&f.Tracing.HeadersFile)
	f.beside(&f.Tracing.CA)
	for i := range f.Listeners {
		f.completeTLS(f.Listeners[i].TLS)
	}
	f.completeTLS(f.Admin.TLS)
	f.beside(&f.Admin.TokensFile)
	f.completeUpgrade()
	for _, p := range f.Policies {
		for i := range p.Hooks {
			f.beside(&p.Hooks[i].SecretFile)
		}
	}
	for i := range f.Override.Keys {
		f.readSecret(c, index("override.keys", i), &f.Override.Keys[i])
	}
	f.completeJourneys(c)
	f.completeRoutes()
	for name, s := range f.Services {
		f.completeUpstreamTLS(&s.Upstream)
		if s.Pin.By.Kind == PinCookie && s.Pin.Name == "" && isServiceName(name) {
			s.Pin.Name = "sluice_" + name
		}
	}
}

func (f *File) completeTLS(t *TLS) {
	if t == nil {
		return
	}
	for i := range t.Certificates {
		f.beside(&t.Certificates[i].Cert)
		f.beside(&t.Certificates[i].Key)
		f.beside(&t.Certificates[i].OCSP)
	}
	f.beside(&t.ClientCA)
	f.completeACME(t.ACME)
}

// beside joins a relative path to the file's directory.
func (f *File) beside(path *string) {
	if *path != "" && !filepath.IsAbs(*path) {
		*path = filepath.Join(filepath.Dir(f.name), *path)
	}
}

func (f *File) completeRoutes() {
	if len(f.Routes) == 0 && len(f.Services) == 1 {
		f.Routes = []Route{{Service: sorted(f.Services)[0]}}
	}
	for i := range f.Routes {
		r := &f.Routes[i]
		for j, host := range r.Hosts {
			r.Hosts[j] = canonicalHost(host)
		}
		if len(r.Paths) == 0 {
			r.Paths = []string{"/"}
		}
	}
}

// canonicalHost gives all ways to write a host one form: small letters, no dot
// at the end, IPv6 addresses in brackets and shortened.
func canonicalHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	bare := host
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		bare = host[1 : len(host)-1]
	}
	if a, err := netip.ParseAddr(bare); err == nil && a.Is6() && a.Zone() == "" {
		return "[" + a.String() + "]"
	}
	return host
}

// readSecret reads the secret of a key that keeps it in a file.
func (f *File) readSecret(c *checker, path string, k *OverrideKey) {
	if k.SecretFile == "" {
		return
	}
	if k.Secret.Len() > 0 {
		c.fail(path+".secret", "keep one of them", "secret and secret_file are both given")
		return
	}
	f.beside(&k.SecretFile)
	path += ".secret_file"
	data, mode, err := f.sources.read(k.SecretFile, maxSecret)
	if err != nil {
		c.fail(path, "want a file that holds the secret", "cannot read %s: %v", quote(k.SecretFile), err)
		return
	}
	if mode.Perm()&0o004 != 0 {
		// A warning, since that is how Kubernetes mounts a secret by default.
		c.warn(path, "take that right away: chmod o-r", "%s can be read by everyone on this machine", quote(k.SecretFile))
	}
	k.Secret = Secret{strings.TrimRight(string(data), "\r\n")}
	if k.Secret.Len() == 0 {
		c.fail(path, "want at least 32 bytes", "%s is empty", quote(k.SecretFile))
	}
}
