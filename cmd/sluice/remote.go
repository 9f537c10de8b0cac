package main

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin/client"
)

// remote says how to reach the admin API and how to print what it answers: the
// global flags.
type remote struct {
	admin, token, ca, cert, key string
	json                        bool
	timeout                     time.Duration
}

// addRemoteFlags gives every command the global flags. The environment is read
// where it is used and not as their defaults, which the help would print.
func addRemoteFlags(root *cobra.Command) *remote {
	r := new(remote)
	f := root.PersistentFlags()
	f.StringVar(&r.admin, "admin", "", "`URL` of the admin API (default $SLUICE_ADMIN, or "+client.DefaultBase+")")
	f.StringVar(&r.token, "token", "", "bearer `TOKEN` for it; better set SLUICE_TOKEN, which ps doesn't show")
	f.StringVar(&r.ca, "ca", "", "PEM `FILE` of the authorities to trust for https (default $SLUICE_ADMIN_CA, or those of the system)")
	f.StringVar(&r.cert, "cert", "", "PEM `FILE` of the certificate to show to it (default $SLUICE_ADMIN_CERT)")
	f.StringVar(&r.key, "key", "", "PEM `FILE` of that certificate's key (default $SLUICE_ADMIN_KEY)")
	f.BoolVar(&r.json, "json", false, "print the API's answer as JSON, and errors as problems (RFC 9457)")
	f.DurationVar(&r.timeout, "timeout", client.DefaultTimeout, "how long to wait for an answer")
	return r
}

// dial returns a client of the admin API. It calls nobody yet.
func (r *remote) dial() (*client.Client, error) {
	if r.timeout <= 0 {
		return nil, usage("--timeout is %v; give a duration above 0", r.timeout)
	}
	c, err := client.New(client.Config{
		Base:     cmp.Or(r.admin, os.Getenv("SLUICE_ADMIN")),
		Token:    cmp.Or(r.token, os.Getenv("SLUICE_TOKEN")),
		CAFile:   cmp.Or(r.ca, os.Getenv("SLUICE_ADMIN_CA")),
		CertFile: cmp.Or(r.cert, os.Getenv("SLUICE_ADMIN_CERT")),
		KeyFile:  cmp.Or(r.key, os.Getenv("SLUICE_ADMIN_KEY")),
		Timeout:  r.timeout,
		Agent:    "sluice/" + version,
	})
	if err != nil {
		return nil, usage("%v", err)
	}
	return c, nil
}

// show makes a call and prints its answer, as JSON or by print.
func show[T any](r *remote, cmd *cobra.Command, call func(context.Context, *client.Client) (T, error), print func(io.Writer, T) error) error {
	c, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	answer, err := call(cmd.Context(), c)
	if err != nil {
		return err
	}
	if r.json {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	return print(cmd.OutOrStdout(), answer)
}

// printJSON writes a value, indented.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false) // for terminals and scripts, not for pages
	e.SetIndent("", "  ")
	return e.Encode(v)
}
