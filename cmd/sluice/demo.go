package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/demo"
)

// newDemo returns the command that shows the main job.
func newDemo() *cobra.Command {
	opt := demo.Options{Version: version, Program: os.Args[0]}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See the main job done, told step by step",
		Long: `Run the proxy, four services with several versions each as real HTTP servers, and
browsers and API clients, all in this process, and tell what happens: a tester on
a dark version, a flip to 5%, 50% and 100%, a broken version, a rollback; a version
that fails a journey, and one whose answers differ; then four rollouts with no
hands, three of them of bad versions. Each promise is checked by what the clients
saw.

It needs no file and leaves none behind, and ends by itself in about two minutes;
with --keep it goes on for you to play with. The exit status is 1 if a promise was
broken or the story was interrupted.`,
		Example: `  sluice demo
  sluice demo --keep
  sluice demo --keep --listen 127.0.0.1:8000 --admin 127.0.0.1:9901`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opt.Out, opt.Color = cmd.OutOrStdout(), isTerminal(os.Stdout)
			err := demo.Run(cmd.Context(), opt)
			if errors.Is(err, demo.ErrBroken) || errors.Is(err, demo.ErrInterrupted) {
				return errSilent // the commentary has said it
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&opt.Keep, "keep", false, "go on after the story, until Ctrl-C")
	f.BoolVar(&opt.Fast, "fast", false, "tell it in a few seconds")
	f.StringVar(&opt.Listen, "listen", "", "`ADDRESS` of the proxy (default a free port; with --keep 127.0.0.1:8080 if free)")
	f.StringVar(&opt.Admin, "admin", "", "`ADDRESS` of the admin API (default a free port; with --keep 127.0.0.1:9900 if free)")
	return cmd
}

// isTerminal reports whether a person looks at a file, and wants colours
// (no-color.org).
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
