package resolve

import (
	"bufio"
	"io"
	"net/netip"
	"os"
	"strings"
)

// maxHosts bounds what is read of /etc/hosts.
const maxHosts = 4 << 20

// inHosts returns the addresses that /etc/hosts gives a name; those of this
// machine for localhost, if it gives none (RFC 6761, section 6.3).
func (r *Resolver) inHosts(host string) []netip.Addr {
	path := "/etc/hosts"
	if r.hostsFile != "" {
		path = r.hostsFile
	}
	var found []netip.Addr
	if file, err := os.Open(path); err == nil {
		found = readHosts(io.LimitReader(file, maxHosts), host)
		file.Close()
	}
	if len(found) == 0 && (strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost")) {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	}
	return found
}

// readHosts returns the addresses that lines of hosts(5) give a name: an
// address, then names, then perhaps a comment. Others are passed over.
func readHosts(in io.Reader, host string) []netip.Addr {
	var found []netip.Addr
	for lines := bufio.NewScanner(in); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		addr, err := netip.ParseAddr(words[0])
		if err != nil || addr.Zone() != "" {
			continue
		}
		for _, name := range words[1:] {
			if strings.EqualFold(strings.TrimSuffix(name, "."), host) {
				found = append(found, addr.Unmap())
				break
			}
		}
	}
	return found
}
