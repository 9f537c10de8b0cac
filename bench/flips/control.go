package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"sluice/bench/peers"
)

// control calls the admin API of one service.
type control struct {
	base   string // URL of the service: http://127.0.0.1:9900/v1/services/web
	client *http.Client
}

func newControl(admin, service string) control {
	return control{base: "http://" + admin + "/v1/services/" + service, client: &http.Client{Timeout: 10 * time.Second}}
}

// setWeights flips the service. Pins move with it. It returns once the API has
// acknowledged.
func (c control) setWeights(ctx context.Context, w peers.Weights, reason string) error {
	body, err := json.Marshal(map[string]any{
		"weights": map[string]int{"v1": w.V1, "v2": w.V2}, "pins": "move", "reason": reason,
	})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, c.base+"/weights", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	return c.do(req)
}

// ready reports whether the API shows the service.
func (c control) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base, nil)
	if err != nil {
		return err
	}
	return c.do(req)
}

func (c control) do(req *http.Request) error {
	resp, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	// Read to the end, so that the connection is used again.
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %s", req.Method, req.URL.Path, resp.Status, bytes.TrimSpace(answer))
	}
	return nil
}
