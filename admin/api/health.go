package api

// Readiness answers GET /readyz. Callers without a role see Ready alone.
type Readiness struct {
	Ready       bool       `json:"ready"`
	ConfigError string     `json:"config_error,omitempty" doc:"Why the last reload of the file was refused; the one before is in force"`
	TokensError string     `json:"tokens_error,omitempty" doc:"Why the last change of the token file was refused"`
	Durable     bool       `json:"durable" doc:"Whether the store has all that is in force"`
	Pending     []string   `json:"pending,omitempty" doc:"Changes in force that the store has not taken yet"`
	Listeners   []Listener `json:"listeners,omitempty"`
	Down        []string   `json:"down,omitempty" doc:"Services without a healthy endpoint"`
}

// Listener is a listener of the data path.
type Listener struct {
	Name    string `json:"name"`
	Address string `json:"address"`
	Error   string `json:"error,omitempty" doc:"Why it does not accept; absent: it does"`
}
