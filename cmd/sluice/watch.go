package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/state"
)

// newWatch returns the command that follows what happens.
func newWatch(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "watch [SERVICE]",
		Short: "Follow what happens, a line for each event",
		Long: `Follow what happens from now on, to one service or to all: changes, endpoints that
come and go, reloads of the file. Each is a line; with --json, a JSON object with
kind and data. It goes on until it is interrupted, which exits with 0, or the
proxy ends, which exits with 3.`,
		Example: `  sluice watch web
  sluice watch --json | jq -c 'select(.kind == "health")'`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: r.complete(services),
		RunE: func(cmd *cobra.Command, args []string) error {
			service := ""
			if len(args) == 1 {
				service = args[0]
			}
			return r.watch(cmd, service)
		},
	}
}

// watch prints messages until the stream or the caller ends.
func (r *remote) watch(cmd *cobra.Command, service string) error {
	c, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx := cmd.Context()
	for m, err := range c.Events(ctx, service, "") {
		switch {
		case errors.Is(err, ctx.Err()) && ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("the stream ended: %w", err)
		case err != nil:
			return err
		}
		if err := r.printMessage(cmd.OutOrStdout(), m); err != nil {
			return err
		}
	}
	return nil
}

// printMessage writes a message as a line.
func (r *remote) printMessage(w io.Writer, m api.Message) error {
	if !r.json {
		_, err := fmt.Fprintln(w, plain(messageText(m)))
		return err
	}
	return json.NewEncoder(w).Encode(struct {
		ID   string          `json:"id,omitempty"`
		Kind string          `json:"kind"`
		Data json.RawMessage `json:"data"`
	}{m.ID, m.Kind, m.Data})
}

// messageText tells a message in words. What it does not know it shows as it is.
func messageText(m api.Message) string {
	var change state.Event
	var health api.HealthEvent
	var config api.ConfigEvent
	var lost api.Lost
	known := func(into any) bool { return json.Unmarshal(m.Data, into) == nil }
	switch {
	case m.Kind == api.KindState && known(&change):
		text := fmt.Sprintf("%s  %s: %s, by %s", stamp(change.At), change.Service, change.Detail, change.By)
		if change.Why != "" {
			text += ": " + change.Why
		}
		return text
	case m.Kind == api.KindHealth && known(&health):
		text := fmt.Sprintf("%s  %s %s: endpoint %s %s", stamp(health.At), health.Service, health.Version, health.Endpoint, health.Kind)
		if health.Detail != "" {
			text += ": " + health.Detail
		}
		return text
	case m.Kind == api.KindConfig && known(&config) && config.Error != "":
		return fmt.Sprintf("%s  the file was refused: %s", stamp(config.At), config.Error)
	case m.Kind == api.KindConfig && known(&config):
		return fmt.Sprintf("%s  the file was read anew, revision %d", stamp(config.At), config.Revision)
	case m.Kind == api.KindLost && known(&lost) && lost.Count > 0:
		return fmt.Sprintf("%d events were missed: see sluice status", lost.Count)
	case m.Kind == api.KindLost:
		return "some events were missed: see sluice status"
	}
	return m.Kind + ": " + string(m.Data)
}
