package configs

import (
	"cmp"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
)

// maxDomains bounds the names of one listener: each is a certificate of its own,
// and authorities limit how many they give.
const maxDomains = 100

// ACME obtains certificates from an authority (RFC 8555), and renews them.
type ACME struct {
	// Domains are the names to obtain certificates for, one each; at least one.
	// Until one is there, those of Certificates serve.
	Domains []string `yaml:"domains"`
	// Email is told to the authority; "": none.
	Email string `yaml:"email"`
	// Directory is the authority's URL, https. Default Let's Encrypt's; by naming
	// an authority one agrees to its terms.
	Directory string `yaml:"directory"`
	// Storage is the directory of account, keys and certificates. Default: "acme"
	// beside the state.
	Storage string `yaml:"storage"`
	// CARoot is a PEM file that verifies the server of a private authority; "":
	// the authorities that the system trusts.
	CARoot string `yaml:"ca_root"`
	// Challenge is how control of a name is proved. Default tls-alpn, for which
	// port 443 of the name must lead to this listener.
	Challenge Challenge `yaml:"challenge"`
}

func (a *ACME) setDefaults() {
	*a = ACME{Directory: "https://acme-v02.api.letsencrypt.org/directory", Challenge: ChallengeTLSALPN}
}

// Challenge is how control of a name is proved to an authority.
type Challenge string

// The challenges: a handshake on the listener itself (RFC 8737), or a request by
// plain HTTP, for which port 80 of the name must lead to a listener without TLS.
const (
	ChallengeTLSALPN Challenge = "tls-alpn"
	ChallengeHTTP    Challenge = "http"
)

func (Challenge) values() []string { return []string{"tls-alpn", "http"} }

func (f *File) completeACME(a *ACME) {
	if a == nil {
		return
	}
	for i := range a.Domains {
		a.Domains[i] = canonicalHost(a.Domains[i])
	}
	a.Storage = cmp.Or(a.Storage, filepath.Join(filepath.Dir(f.State.Path), "acme"))
	f.beside(&a.Storage)
	f.beside(&a.CARoot)
}

// acme checks how certificates are obtained; address is the listener's.
func (c *checker) acme(path string, a *ACME, address string) {
	if n := len(a.Domains); n == 0 || n > maxDomains {
		c.fail(path+".domains", fmt.Sprintf("name 1 to %d", maxDomains), "there are %d names to obtain a certificate for", n)
		return
	}
	distinct(c, path+".domains", a.Domains)
	for i, domain := range a.Domains {
		at := index(path+".domains", i)
		_, notIP := netip.ParseAddr(strings.Trim(domain, "[]"))
		switch {
		case strings.HasPrefix(domain, "*."):
			c.fail(at, "list the names one by one, or give a certificate by its files", "%s is a wildcard, whose control is proved in the DNS alone", quote(domain))
		case !isHost(domain) || notIP == nil:
			c.fail(at, "want a name such as shop.example.com", "no authority gives a certificate for %s", quote(domain))
		}
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		c.fail(path+".directory", "want a URL such as https://acme-v02.api.letsencrypt.org/directory", "%s is not the directory of an authority", quote(a.Directory))
	}
	if _, err := mail.ParseAddress(a.Email); a.Email != "" && err != nil {
		c.fail(path+".email", "want an address such as admin@example.com", "%s is no e-mail address", quote(a.Email))
	}
	if a.CARoot != "" {
		c.authorities(path+".ca_root", a.CARoot)
	}
	if a.Challenge == ChallengeHTTP && !c.f.listensPlainly() {
		c.fail(path+".challenge", `add a listener without tls, to which port 80 leads, or use tls-alpn`, "nobody would answer the authority by plain HTTP")
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		c.fail(path, "give the listener an address host:port", "no authority can reach %s", quote(address))
	}
}

// listensPlainly reports whether a listener speaks HTTP without TLS.
func (f *File) listensPlainly() bool {
	for i := range f.Listeners {
		if _, _, err := net.SplitHostPort(f.Listeners[i].Address); f.Listeners[i].TLS == nil && err == nil {
			return true
		}
	}
	return false
}
