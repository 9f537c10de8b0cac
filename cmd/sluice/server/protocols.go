package server

import (
	"slices"

	"sluice/configs"
	"sluice/proxy"
)

// setProtocols translates which protocols a listener serves. Over TLS the
// client chooses among those that listenerProtos returns.
func setProtocols(c *proxy.ListenerConfig, l *configs.Listener) {
	c.H2C = slices.Contains(l.Protocols, configs.H2C)
	c.NoH1 = !slices.Contains(l.Protocols, configs.H1)
}

// listenerProtos returns the names that a listener's protocols have in the TLS handshake
// (RFC 7301), those first that are preferred.
func listenerProtos(l *configs.Listener) []string {
	var names []string
	if slices.Contains(l.Protocols, configs.H2) {
		names = append(names, "h2")
	}
	if slices.Contains(l.Protocols, configs.H1) {
		// curl --http1.0 and other old clients offer 1.0 alone, and are
		// refused where nothing that they offer is known.
		names = append(names, "http/1.1", "http/1.0")
	}
	return names
}
