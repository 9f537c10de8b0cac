package admin

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// CheckAddress reports why the admin API must not listen on an address, if so.
// On a loopback address everything goes. Any other needs callers that prove who
// they are: by a token, or by a client certificate that the listener verifies
// (mutualTLS). Plain TLS hides what is said, but lets everybody say it.
func CheckAddress(address string, hasTokens, mutualTLS bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("admin address %q: %w", address, err)
	}
	if isLoopback(host) || hasTokens || mutualTLS {
		return nil
	}
	return fmt.Errorf("admin address %q can be reached from other machines, and everybody there could flip traffic; "+
		"set admin.tokens_file, or admin.tls with a client_ca that is required, or listen on 127.0.0.1", address)
}

// isLoopback reports whether a host, a name or an address without port, means
// this machine alone.
func isLoopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

// isLoopbackHost reports whether a Host field names this machine. A page from
// elsewhere whose name was made to resolve to 127.0.0.1 (DNS rebinding) sends
// its own name.
func isLoopbackHost(field string) bool {
	host, _, err := net.SplitHostPort(field)
	if err != nil {
		host = field
	}
	return isLoopback(host)
}
