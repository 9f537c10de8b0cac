package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// control calls the admin API.
type control struct {
	base   string
	client *http.Client
}

func newControl(admin string) control {
	return control{base: "http://" + admin + "/v1", client: &http.Client{Timeout: 10 * time.Second}}
}

// rollout is what the drill needs to know of one.
type rollout struct {
	ID    string `json:"id"`
	Phase string `json:"phase"`
	Stage int    `json:"stage"`
	Moves []move `json:"moves"`
}

// move is a transition.
type move struct {
	To  string `json:"to"`
	By  string `json:"by"`
	Why string `json:"why"`
}

// over reports whether it has ended.
func (r rollout) over() bool {
	switch r.Phase {
	case "promoted", "rolled_back", "aborted", "superseded":
		return true
	}
	return false
}

// last returns what was decided last, in words.
func (r rollout) last() string {
	if len(r.Moves) == 0 {
		return ""
	}
	m := r.Moves[len(r.Moves)-1]
	return m.By + ": " + m.Why
}

// start rolls a service out to the candidate at an address.
func (c control) start(ctx context.Context, service, addr string) (rollout, error) {
	body := map[string]any{"version": versions[candidate], "endpoints": []string{addr}, "policy": policy}
	return c.do(ctx, http.MethodPost, "/services/"+service+"/rollouts", body)
}

func (c control) get(ctx context.Context, id string) (rollout, error) {
	return c.do(ctx, http.MethodGet, "/rollouts/"+id, nil)
}

func (c control) do(ctx context.Context, method, path string, body any) (r rollout, err error) {
	var content []byte
	if body != nil {
		if content, err = json.Marshal(body); err != nil {
			return r, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(content))
	if err != nil {
		return r, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.client.Do(req)
	if err != nil {
		return r, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return r, err
	}
	if resp.StatusCode/100 != 2 {
		return r, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(answer))
	}
	return r, json.Unmarshal(answer, &r)
}
