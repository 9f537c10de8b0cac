package proxy

import "sluice/proxy/limit"

// Rates hold the requests to a service to what it takes. One is shared by the
// targets of all its versions.
type Rates struct {
	all     *limit.Bucket
	clients *limit.Clients
}

// NewRates returns rates of all requests together and of each client's; nil,
// which holds nothing, where both are the zero rate.
func NewRates(all, perClient limit.Rate) *Rates {
	if all.PerSecond <= 0 && perClient.PerSecond <= 0 {
		return nil
	}
	return &Rates{all: limit.NewBucket(all), clients: limit.NewClients(perClient)}
}
