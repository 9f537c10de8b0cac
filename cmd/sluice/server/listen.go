package server

import (
	"crypto/tls"
	"fmt"

	"sluice/configs"
	"sluice/proxy"
	"sluice/proxy/h1"
)

// listenerConfigs translates the file's listeners and loads their certificates.
func listenerConfigs(file *configs.File) ([]proxy.ListenerConfig, error) {
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
		if l.TLS != nil {
			var err error
			if c.TLS, err = tlsConfig(l.TLS); err != nil {
				return nil, fmt.Errorf("listener %s: %w", l.Name, err)
			}
		}
		all = append(all, c)
	}
	return all, nil
}

// tlsConfig loads certificates. The library chooses one by the name that the
// client asks for.
func tlsConfig(t *configs.TLS) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	for _, pair := range t.Certificates {
		cert, err := tls.LoadX509KeyPair(pair.Cert, pair.Key)
		if err != nil {
			return nil, fmt.Errorf("certificate %s: %w", pair.Cert, err)
		}
		c.Certificates = append(c.Certificates, cert)
	}
	return c, nil
}

// accessLog translates which requests are logged.
func accessLog(l configs.AccessLog) proxy.AccessLog {
	modes := map[configs.AccessMode]proxy.AccessMode{
		configs.AccessOff: proxy.AccessOff, configs.AccessErrors: proxy.AccessErrors,
		configs.AccessSampled: proxy.AccessSampled, configs.AccessAll: proxy.AccessAll,
	}
	return proxy.AccessLog{Mode: modes[l.Mode], Sample: l.Sample}
}
