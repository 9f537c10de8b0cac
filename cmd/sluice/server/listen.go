package server

import (
	"sluice/configs"
	"sluice/proxy"
	"sluice/proxy/h1"
)

// listenerConfigs translates the file's listeners, all but their certificates.
func listenerConfigs(file *configs.File) []proxy.ListenerConfig {
	var all []proxy.ListenerConfig
	for i := range file.Listeners {
		l := &file.Listeners[i]
		c := proxy.ListenerConfig{
			Name: l.Name, Address: l.Address, TrustedProxies: l.TrustedProxies,
			HeadTimeout: l.Timeouts.Head, IdleTimeout: l.Timeouts.Idle, BodyTimeout: l.Timeouts.Idle,
			BodyBytes: int64(l.Limits.BodyBytes),
			Limits: h1.Limits{
				HeadBytes: int(l.Limits.HeadBytes), Fields: l.Limits.Fields, URIBytes: int(l.Limits.URIBytes),
			},
		}
		setEdge(&c, l)
		setProtocols(&c, l)
		all = append(all, c)
	}
	return all
}
