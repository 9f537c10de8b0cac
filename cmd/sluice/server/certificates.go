package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"go.uber.org/zap"

	"sluice/certs"
	"sluice/configs"
	"sluice/proxy"
	"sluice/stats"
)

// adminName names the admin API where listeners have their names.
const adminName = "admin"

// certsConfig translates what a TLS server shows and asks for.
func certsConfig(name string, t *configs.TLS, protocols []string) certs.Config {
	c := certs.Config{Name: name, ClientCA: t.ClientCA, NextProtos: protocols, MinVersion: tls.VersionTLS12}
	for _, pair := range t.Certificates {
		c.Pairs = append(c.Pairs, certs.Pair{Cert: pair.Cert, Key: pair.Key, OCSP: pair.OCSP})
	}
	if t.ClientAuth == configs.ClientRequest {
		c.ClientAuth = certs.Request
	}
	if t.MinVersion == configs.TLS13 {
		c.MinVersion = tls.VersionTLS13
	}
	if a := t.ACME; a != nil {
		c.ACME = &certs.ACME{
			Domains: a.Domains, Email: a.Email, Directory: a.Directory, Storage: a.Storage,
			CARoot: a.CARoot, HTTP: a.Challenge == configs.ChallengeHTTP,
		}
	}
	return c
}

// secure opens the certificates of a file's listeners and gives their
// configurations to all, which is in the file's order. What is open and not in
// force at the next keepCertificates is closed by that.
func (s *Server) secure(file *configs.File, all []proxy.ListenerConfig) ([]*certs.Source, error) {
	var sources []*certs.Source
	for i := range file.Listeners {
		l := &file.Listeners[i]
		if l.TLS == nil {
			all[i].Challenge = certs.Challenge
			continue
		}
		source, err := s.certs.Open(certsConfig(l.Name, l.TLS, listenerProtos(l)))
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", l.Name, err)
		}
		all[i].TLS = source.TLS()
		sources = append(sources, source)
	}
	return sources, nil
}

// keepCertificates closes all certificates but those in force, and lets these be
// renewed. The listeners that validations come to are open.
func (s *Server) keepCertificates() {
	used := s.sources
	if s.adminCerts != nil {
		used = append(used[:len(used):len(used)], s.adminCerts)
	}
	s.certs.Keep(used...)
	addrs := s.proxy.Addrs()
	for _, source := range s.sources {
		c := source.Config()
		if c.ACME == nil {
			continue
		}
		addr := addrs[c.Name]
		if c.ACME.HTTP {
			addr = plainAddr(s.listeners, addrs)
		}
		if err := source.Manage(addr); err != nil {
			s.log.Error("no certificate will be obtained", zap.Error(err))
		}
	}
}

// plainAddr returns where a listener without TLS is reached over TCP: that of
// port 80, or the first.
func plainAddr(listeners []proxy.ListenerConfig, addrs map[string]net.Addr) net.Addr {
	var first net.Addr
	for _, l := range listeners {
		tcp, ok := addrs[l.Name].(*net.TCPAddr)
		if !ok || l.TLS != nil {
			continue
		}
		if tcp.Port == 80 {
			return tcp
		}
		if first == nil {
			first = tcp
		}
	}
	return first
}

// eachTLS calls f for all that a file says of TLS servers, with its path.
func eachTLS(file *configs.File, f func(path string, c certs.Config)) {
	for i := range file.Listeners {
		if l := &file.Listeners[i]; l.TLS != nil {
			f("listeners["+strconv.Itoa(i)+"].tls", certsConfig(l.Name, l.TLS, nil))
		}
	}
	if file.Admin.TLS != nil {
		f("admin.tls", certsConfig(adminName, file.Admin.TLS, nil))
	}
}

// checkCertificates reports why a file's certificates could not be served.
func checkCertificates(file *configs.File) error {
	var errs []error
	eachTLS(file, func(path string, c certs.Config) {
		if _, err := certs.Check(c, time.Now()); err != nil {
			errs = append(errs, configs.Error{Line: file.Line(path), Path: path, Msg: err.Error()})
		}
	})
	return errors.Join(errs...)
}

// CertificateDoubts is what is doubtful about a file's certificates: those that
// have expired or soon will, and keys that everybody may read.
func CertificateDoubts(file *configs.File) []configs.Error {
	var all []configs.Error
	eachTLS(file, func(path string, c certs.Config) {
		doubts, _ := certs.Check(c, time.Now()) // an error is checkCertificates' to tell
		for _, d := range doubts {
			at := path + ".certificates[" + strconv.Itoa(d.Pair) + "]"
			all = append(all, configs.Error{Line: file.Line(at), Path: at, Msg: d.Text})
		}
	})
	return all
}

// expiries tells the metrics when each certificate ends.
func (s *Server) expiries() []stats.Certificate {
	var all []stats.Certificate
	for _, e := range s.certs.Expiries() {
		all = append(all, stats.Certificate{Listener: e.Server, Name: e.Name, Expires: e.At})
	}
	return all
}
