package server

import (
	"time"

	"sluice/configs"
	"sluice/proxy"
	"sluice/proxy/limit"
)

// setEdge translates what a listener keeps out, and where it sends clients.
func setEdge(c *proxy.ListenerConfig, l *configs.Listener) {
	c.RedirectHTTPS = l.RedirectHTTPS
	c.ProxyProtocol = map[configs.ProxyMode]proxy.ProxyMode{
		configs.ProxyOff: proxy.ProxyOff, configs.ProxyAccept: proxy.ProxyAccept, configs.ProxyRequire: proxy.ProxyRequire,
	}[l.ProxyProtocol]
	c.Connections, c.ConnectionsPerClient = l.Limits.Connections, l.Limits.ConnectionsPerClient
	c.RequestTimeout, c.MinBodyRate = l.Timeouts.Request, int64(l.Limits.MinBodyRate)
	c.ClientRate = rate(l.Limits.RequestsPerClient)
	if l.TLS != nil {
		c.HSTS, c.ForwardCertificate = l.TLS.HSTS.String(), l.TLS.ForwardCertificate
	}
}

// rate translates a rate.
func rate(r configs.Rate) limit.Rate { return limit.Rate{PerSecond: r.Rate, Burst: r.Burst} }

// serviceRates are a service's rates and what they were made for.
type serviceRates struct {
	rates *proxy.Rates
	from  configs.ServiceLimits
}

// serviceRates returns the rates of a service. What was counted outlives tables,
// as long as the rates stay.
func (f *fleet) serviceRates(service string, declared *configs.Service) *proxy.Rates {
	r, has := f.rates[service]
	if !has || r.from != declared.Limits {
		r = serviceRates{proxy.NewRates(rate(declared.Limits.Requests), rate(declared.Limits.RequestsPerClient)), declared.Limits}
		f.rates[service] = r
	}
	return r.rates
}

// overloadTarget translates when requests are refused for overload.
func overloadTarget(o configs.Overload) time.Duration {
	if o.Disabled {
		return -1
	}
	return o.Target
}
