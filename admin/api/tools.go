package api

import "time"

// ExplainRequest is the body of POST /v1/explain: a request to think through.
type ExplainRequest struct {
	Method  string            `json:"method,omitempty" doc:"Default GET"`
	URL     string            `json:"url" doc:"Absolute" example:"https://shop.example.com/cart?x=1"`
	Headers map[string]string `json:"headers,omitempty" doc:"Header fields, cookies among them"`
	Client  string            `json:"client,omitempty" doc:"The client's IP address; absent: unknown"`
	Trusted bool              `json:"trusted,omitempty" doc:"Whether the request comes from a trusted network"`
}

// Explanation tells how a request would be routed, and why.
type Explanation struct {
	Revision uint64        `json:"revision" doc:"The revision of the routing table"`
	Status   int           `json:"status,omitempty" doc:"What the proxy itself would answer; absent: a version answers"`
	Service  string        `json:"service,omitempty"`
	Version  string        `json:"version,omitempty" doc:"The version that would answer"`
	Failed   string        `json:"failed,omitempty" doc:"The version that was chosen but has no healthy endpoint"`
	Reason   string        `json:"reason" doc:"no_route, override, rule:NAME, pin, split or failover"`
	Pin      string        `json:"pin,omitempty" doc:"What becomes of the pin"`
	Steps    []ExplainStep `json:"steps" doc:"In order"`
}

// ExplainStep is one step of a routing decision.
type ExplainStep struct {
	Step    string `json:"step" doc:"route, override, rule, pin, split or failover"`
	Decided bool   `json:"decided" doc:"Whether this step decided"`
	Text    string `json:"text" doc:"What happened and why"`
}

// TokenRequest is the body of POST /v1/tokens.
type TokenRequest struct {
	Overrides map[string]string `json:"overrides" doc:"Service to version" example:"{\"web\":\"v2\"}"`
	TTL       Duration          `json:"ttl,omitzero" doc:"How long the token is good for; default 8h, at most 720h" example:"8h"`
	Subject   string            `json:"subject,omitempty" doc:"Who will use it; default: the caller"`
}

// SignedToken answers POST /v1/tokens.
type SignedToken struct {
	Token     string            `json:"token" doc:"For the header Sluice-Token, the cookie sluice_token or the query parameter sluice-token"`
	Overrides map[string]string `json:"overrides"`
	Subject   string            `json:"subject"`
	Expires   time.Time         `json:"expires"`
}
