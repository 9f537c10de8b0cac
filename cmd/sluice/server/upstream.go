package server

import (
	"sluice/configs"
	"sluice/proxy"
	"sluice/proxy/upstream"
	"sluice/state"
)

// clusterConfig says how a version's endpoints are reached.
func clusterConfig(service string, f *configs.Service, v *state.Version) upstream.Config {
	return upstream.Config{
		Service: service, Version: v.Name, Endpoints: v.Spec.Endpoints,
		ConnectTimeout: f.Upstream.ConnectTimeout, IdleTimeout: f.Upstream.IdleTimeout,
		MaxConnections: f.Upstream.MaxConnections,
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

// settings says how a service's endpoints are treated.
func settings(f *configs.Service) proxy.Settings {
	s := proxy.Settings{
		ResponseTimeout: f.Upstream.ResponseTimeout, Retries: f.Upstream.Retries,
		RetryBudget: f.Upstream.RetryBudget, HostOfEndpoint: f.Upstream.Host == configs.HostEndpoint,
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
