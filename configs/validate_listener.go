package configs

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxListeners bounds the listeners: each is held against every other.
const maxListeners = 100

// maxHead is the longest request head in bytes that the data path can hold in
// one piece.
const maxHead = int64(64 * KiB)

const (
	wantAddress  = `want "host:port", "[ipv6]:port" or ":port"`
	wantListener = `want "host:port", "[ipv6]:port", ":port" or "unix:/path"`
)

func (f *File) validateListeners(c *checker) {
	if n := len(f.Listeners); n > maxListeners {
		c.fail("listeners", "", "%d listeners are more than %d", n, maxListeners)
		return
	}
	names := map[string]int{}
	for i := range f.Listeners {
		l, path := &f.Listeners[i], index("listeners", i)
		if hasControls(l.Name) || len(l.Name) > 2*maxName {
			c.fail(path+".name", "want a short word", "%s cannot name a listener", quote(l.Name))
		}
		if first, ok := names[l.Name]; ok {
			c.fail(path+".name", "give each a name of its own", "%s is the name of listeners[%d] too", quote(l.Name), first)
		} else {
			names[l.Name] = i
		}
		c.listenerAddress(path+".address", l.Address)
		for j := range i {
			if overlap(f.Listeners[j].Address, l.Address) {
				c.fail(path+".address", "give each a port or socket of its own", "listeners[%d] takes %s already", j, f.Listeners[j].Address)
			}
		}
		c.protocols(path, l)
		c.listenerLimits(path, l)
		c.redirect(path+".redirect_https", l)
		c.tls(path+".tls", l.TLS)
		if l.TLS != nil {
			c.hsts(path+".tls.hsts", l.TLS.HSTS)
			if l.TLS.ForwardCertificate && l.TLS.ClientCA == "" {
				c.fail(path+".tls.forward_certificate", "add client_ca: FILE", "no client is asked for a certificate")
			}
			if l.TLS.ACME != nil {
				c.acme(path+".tls.acme", l.TLS.ACME, l.Address)
			}
		}
	}
}

func (c *checker) protocols(path string, l *Listener) {
	distinct(c, path+".protocols", l.Protocols)
	for i, p := range l.Protocols {
		switch {
		case (p == H2 || p == H3) && l.TLS == nil:
			c.fail(index(path+".protocols", i), "add tls: {certificates: [{cert: FILE, key: FILE}]}", "%s needs TLS", p)
		case p == H2C && l.TLS != nil:
			c.fail(index(path+".protocols", i), "want h2, or a listener of its own without tls", "h2c is HTTP/2 without TLS")
		}
	}
	if l.ProxyProtocol != ProxyOff && len(l.TrustedProxies) == 0 && !strings.HasPrefix(l.Address, unixPrefix) {
		c.fail(path+".proxy_protocol", "name the senders in trusted_proxies, or set it to off", "nobody is trusted to send the PROXY protocol")
	}
}

func (c *checker) listenerLimits(path string, l *Listener) {
	c.positive(path+".timeouts.head", l.Timeouts.Head)
	c.positive(path+".timeouts.idle", l.Timeouts.Idle)
	path += ".limits"
	c.between(path+".head_bytes", int64(l.Limits.HeadBytes), int64(KiB), maxHead)
	c.between(path+".fields", int64(l.Limits.Fields), 8, 1024)
	c.between(path+".min_body_rate", int64(l.Limits.MinBodyRate), 0, int64(GiB))
	c.between(path+".connections", int64(l.Limits.Connections), 0, 10_000_000)
	c.between(path+".connections_per_client", int64(l.Limits.ConnectionsPerClient), 0, 10_000_000)
	c.rate(path+".requests_per_client", l.Limits.RequestsPerClient)
	c.between(path+".uri_bytes", int64(l.Limits.URIBytes), 256, max(int64(KiB), int64(l.Limits.HeadBytes)))
}

// tls checks that what a TLS server needs is there and fits.
func (c *checker) tls(path string, t *TLS) {
	if t == nil {
		return
	}
	if len(t.Certificates) == 0 && t.ACME == nil {
		c.fail(path, "add certificates: [{cert: FILE, key: FILE}]", "TLS needs a certificate")
	}
	for i, cert := range t.Certificates {
		c.certificate(index(path+".certificates", i), cert)
	}
	switch {
	case t.ClientCA != "":
		c.authorities(path+".client_ca", t.ClientCA)
	case t.ClientAuth == ClientRequest:
		c.fail(path+".client_auth", "name the authorities in client_ca", "nobody would verify the certificates that clients show")
	}
}

// authorities checks a PEM file of certificates.
func (c *checker) authorities(path, file string) {
	if pem, ok := c.glance(path, file, maxPEM); ok && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		c.fail(path, "want certificates in PEM form", "%s holds no certificate", quote(file))
	}
}

func (c *checker) certificate(path string, cert Certificate) {
	if cert.Cert == "" || cert.Key == "" {
		c.fail(path, "want {cert: FILE, key: FILE}", "a certificate needs both cert and key")
		return
	}
	chain, okChain := c.glance(path+".cert", cert.Cert, maxPEM)
	key, okKey := c.glance(path+".key", cert.Key, maxPEM)
	if cert.OCSP != "" {
		c.glance(path+".ocsp", cert.OCSP, maxPEM)
	}
	if !okChain || !okKey {
		return
	}
	if _, err := tls.X509KeyPair(chain, key); err != nil {
		c.fail(path, "want a certificate and its own key, both in PEM form", "the certificate cannot be used: %v", err)
	}
}

// read reads a file that the configuration names.
func (c *checker) read(path, file string, most int64) ([]byte, bool) {
	data, _, err := c.f.sources.read(file, most)
	if err != nil {
		c.fail(path, "want a file that exists and that this user may read", "cannot read %s: %v", quote(file), err)
	}
	return data, err == nil
}

// glance is read for a file whose changes are no changes of the configuration:
// who serves certificates follows them.
func (c *checker) glance(path, file string, most int64) ([]byte, bool) {
	seen := c.f.sources
	c.f.sources = sources{}
	defer func() { c.f.sources = seen }()
	return c.read(path, file, most)
}

func (f *File) validateAdmin(c *checker) {
	a := f.Admin
	if !c.address("admin.address", a.Address) {
		return
	}
	for i := range f.Listeners {
		if overlap(f.Listeners[i].Address, a.Address) {
			c.fail("admin.address", "give it a port of its own", "listeners[%d] takes %s already", i, f.Listeners[i].Address)
		}
	}
	c.tls("admin.tls", a.TLS)
	if a.TLS != nil && a.TLS.HSTS != nil {
		c.fail("admin.tls.hsts", "leave it out; it is for listeners", "the administration API is no site")
	}
	if a.TLS != nil && a.TLS.ForwardCertificate {
		c.fail("admin.tls.forward_certificate", "leave it out; it is for listeners", "the administration API forwards nothing")
	}
	if a.TLS != nil && a.TLS.ACME != nil {
		c.fail("admin.tls.acme", "add certificates: [{cert: FILE, key: FILE}]", "certificates are obtained for listeners alone")
	}
	if a.TokensFile != "" {
		if data, ok := c.read("admin.tokens_file", a.TokensFile, maxTokens); ok && len(data) == 0 {
			c.fail("admin.tokens_file", "write a token into it, or leave the key out on a loopback address", "%s is empty", quote(a.TokensFile))
		}
		return
	}
	// TLS alone hides the traffic but lets anyone flip weights.
	if mutual := a.TLS != nil && a.TLS.ClientCA != "" && a.TLS.ClientAuth == ClientRequire; !mutual && !isLoopback(a.Address) {
		c.fail("admin.address", "add tokens_file, or tls with a client_ca, or listen on 127.0.0.1", "%s can be reached from other machines, and anyone there could change weights", quote(a.Address))
	}
}

// listenerAddress checks the address of a listener, which may be a Unix socket.
func (c *checker) listenerAddress(path, address string) {
	if strings.HasPrefix(address, unixPrefix) {
		c.socket(path, address)
	} else if !isAddress(address) {
		c.fail(path, wantListener, "%s is not an address to listen on", quote(address))
	}
}

// address checks a TCP address to listen on.
func (c *checker) address(path, address string) bool {
	ok := isAddress(address)
	if !ok {
		c.fail(path, wantAddress, "%s is not an address to listen on", quote(address))
	}
	return ok
}

// isAddress reports whether TCP can listen on an address.
func isAddress(address string) bool {
	host, port, err := net.SplitHostPort(address)
	_, ipErr := netip.ParseAddr(host)
	n, portErr := strconv.ParseUint(port, 10, 16)
	return err == nil && (host == "" || ipErr == nil || isHost(host)) && portErr == nil && port == strconv.FormatUint(n, 10)
}

func isLoopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// overlap tells whether two addresses cannot both be listened on: the same
// port of the same host, or of all hosts, or the same socket. Port 0 is a
// different one each time.
func overlap(a, b string) bool {
	if strings.HasPrefix(a, unixPrefix) || strings.HasPrefix(b, unixPrefix) {
		return a == b
	}
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	hosts := []string{hostA, hostB}
	if hostA == hostB || slices.Contains(hosts, "") || slices.Contains(hosts, "::") {
		return true
	}
	ipA, errA := netip.ParseAddr(hostA)
	ipB, errB := netip.ParseAddr(hostB)
	if errA != nil || errB != nil {
		return false
	}
	return ipA == ipB || ipA.Is4() && ipB.Is4() && (ipA.IsUnspecified() || ipB.IsUnspecified())
}
