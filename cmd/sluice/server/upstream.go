package server

import (
	"strings"

	"sluice/configs"
	"sluice/proxy"
	"sluice/proxy/upstream"
	"sluice/state"
)

// clusterConfig says how a version's endpoints are reached.
func clusterConfig(service string, f *configs.Service, v *state.Version) upstream.Config {
	return upstream.Config{
		Service: service, Version: v.Name, Endpoints: v.Spec.Endpoints,
		HTTP2:          f.Upstream.Protocol != configs.H1,
		TLS:            upstreamTLS(f.Upstream.TLS),
		ProxyProtocol:  proxyHeader(f.Upstream.ProxyProtocol),
		ConnectTimeout: f.Upstream.ConnectTimeout, IdleTimeout: f.Upstream.IdleTimeout,
		MaxConnections: f.Upstream.MaxConnections, MaxPending: f.Upstream.MaxPending, PendingTimeout: f.Upstream.PendingTimeout,
		Balance: upstream.Balance(f.Upstream.Balance), SlowStart: f.Upstream.SlowStart, DNSServers: f.Upstream.DNS.Servers,
		Health: upstream.HealthConfig{
			Path: f.Health.Path, Host: f.Health.Host, Interval: f.Health.Interval, Timeout: f.Health.Timeout,
			Fall: f.Health.Fall, Rise: f.Health.Rise, Disabled: f.Health.Disabled,
		},
		Outlier: upstream.OutlierConfig{
			Consecutive: f.Outlier.Consecutive, Base: f.Outlier.Base,
			MaxPercent: f.Outlier.MaxPercent, Disabled: f.Outlier.MaxPercent == 0,
		},
	}
}

// upstreamTLS says how connections to endpoints are secured; nil: not at all.
func upstreamTLS(t *configs.UpstreamTLS) *upstream.TLSConfig {
	if t == nil {
		return nil
	}
	return &upstream.TLSConfig{CA: t.CAPEM, ServerName: t.ServerName, Cert: t.CertPEM, Key: t.KeyPEM.Bytes()}
}

// proxyHeader translates what endpoints are told by the PROXY protocol.
func proxyHeader(h configs.ProxyHeader) upstream.ProxyHeader {
	switch h {
	case configs.ProxyV1:
		return upstream.ProxyV1
	case configs.ProxyV2:
		return upstream.ProxyV2
	}
	return upstream.NoProxyHeader
}

// settings says how a service's endpoints are treated.
func settings(f *configs.Service) proxy.Settings {
	s := proxy.Settings{
		ResponseTimeout: f.Upstream.ResponseTimeout, Retries: f.Upstream.Retries,
		TryTimeout: f.Upstream.TryTimeout, TotalTimeout: f.Upstream.TotalTimeout, RetryOn: f.Upstream.RetryOn,
		RetryBuffer: int64(f.Upstream.RetryBuffer), HedgeAfter: f.Upstream.Hedge.After,
		RetryBudget: f.Upstream.RetryBudget, HostOfEndpoint: f.Upstream.Host == configs.HostEndpoint,
		TunnelIdle: f.Upstream.TunnelIdle, TunnelTotal: f.Upstream.TunnelTotal,
	}
	if f.Upstream.Balance == configs.Hash {
		s.HashBy = hashBy(f.Upstream.HashBy)
	}
	// Zero means the default to the proxy, and none in the file.
	if s.Retries == 0 {
		s.Retries = -1
	}
	if s.RetryBudget == 0 {
		s.RetryBudget = -1
	}
	return s
}

// hashBy translates what balance hash chooses by.
func hashBy(h configs.HashBy) proxy.HashBy {
	switch h.Kind {
	case configs.HashHeader:
		return proxy.HashBy{Kind: proxy.HashHeader, Name: strings.ToLower(h.Name)}
	case configs.HashCookie:
		return proxy.HashBy{Kind: proxy.HashCookie, Name: h.Name}
	case configs.HashPath:
		return proxy.HashBy{Kind: proxy.HashPath}
	}
	return proxy.HashBy{Kind: proxy.HashClient}
}
