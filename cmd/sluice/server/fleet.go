package server

import (
	"errors"
	"maps"

	"sluice/configs"
	"sluice/proxy"
	"sluice/proxy/upstream"
	"sluice/routing"
	"sluice/state"
	"sluice/stats"
)

// fleet is what outlives a table: the connection pools of each version and the
// remembered pins of each service.
type fleet struct {
	stats    *stats.Registry
	deps     upstream.Deps
	clusters map[versionKey]*upstream.Cluster
	pins     map[string]pinTable
}

// versionKey names a version of a service.
type versionKey struct{ service, version string }

// pinTable is a service's table of pins and the capacity that it was made for.
type pinTable struct {
	table    *routing.PinTable
	capacity int
}

func newFleet(r *stats.Registry, deps upstream.Deps) fleet {
	return fleet{stats: r, deps: deps, clusters: map[versionKey]*upstream.Cluster{}, pins: map[string]pinTable{}}
}

// table builds the routing table of a file and a state. Clusters of versions
// that stay are kept, with their connections; retire closes those of versions
// that went, when the table is in force. On an error nothing has changed but
// that clusters of new versions exist.
func (f *fleet) table(file *configs.File, keys []routing.Key, st state.State) (*proxy.Table, error) {
	config := routingConfig(file, keys, st)
	var targets []proxy.Target
	var errs []error
	for i := range config.Services {
		service := &config.Services[i]
		declared := file.Services[service.Name]
		service.Pins = f.pinTable(service.Name, declared)
		for _, v := range service.Versions { // in the order of their slots
			target, err := f.target(service.Name, declared, st.Services[service.Name].Versions[v.Name])
			if err != nil {
				errs = append(errs, err)
			}
			targets = append(targets, target)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	snapshot, err := routing.Build(config)
	if err != nil {
		return nil, err
	}
	return proxy.NewTable(snapshot, targets), nil
}

// target returns what a version is reached by, its cluster brought up to date.
func (f *fleet) target(service string, declared *configs.Service, v *state.Version) (proxy.Target, error) {
	config := clusterConfig(service, declared, v)
	key := versionKey{service, v.Name}
	cluster := f.clusters[key]
	var err error
	if cluster == nil {
		if cluster, err = upstream.New(config, f.deps); err == nil {
			f.clusters[key] = cluster
		}
	} else {
		err = cluster.Update(config)
	}
	t := proxy.Target{Cluster: cluster, Stats: f.stats.Version(service, v.Name), Settings: settings(declared)}
	if v.Spec.Shape != nil {
		t.Shape = v.Spec.Shape.Writes
	}
	return t, err
}

// pinTable returns the table of a service whose sessions have keys of the
// application's, and nil for others.
func (f *fleet) pinTable(service string, declared *configs.Service) *routing.PinTable {
	switch declared.Pin.By.Kind {
	case configs.PinCookie, configs.PinNone:
		delete(f.pins, service)
		return nil
	}
	p, has := f.pins[service]
	if !has || p.capacity != declared.Pin.MaxKeys {
		p = pinTable{routing.NewPinTable(declared.Pin.MaxKeys), declared.Pin.MaxKeys}
		f.pins[service] = p
	}
	return p.table
}

// retire closes what the state no longer has.
func (f *fleet) retire(file *configs.File, st state.State) {
	for key, cluster := range f.clusters {
		svc := st.Services[key.service]
		if svc != nil && svc.Versions[key.version] != nil && file.Services[key.service] != nil {
			continue
		}
		cluster.Close()
		delete(f.clusters, key)
		f.stats.Forget(key.service, key.version)
	}
	maps.DeleteFunc(f.pins, func(service string, _ pinTable) bool { return file.Services[service] == nil })
}

// close closes everything.
func (f *fleet) close() {
	for _, c := range f.clusters {
		c.Close()
	}
}

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
