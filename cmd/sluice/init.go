package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"sluice/configs"
)

// newInit returns the command that writes an example file.
func newInit() *cobra.Command {
	var path string
	var force, stdout bool
	cmd := &cobra.Command{
		Use:   "init [edge|sidecar|demo|migration]",
		Short: "Write an example file to start from",
		Long: `Write one of the examples to sluice.yaml, or to the file that -c names. A file
that is there already is left alone unless --force is given.

  edge       in front of public services; shows every key (the default)
  sidecar    beside one application, for the services that it calls
  demo       two services with three versions each on this machine
  migration  data that changes shape, and versions that need one another`,
		Example: `  sluice init sidecar
  sluice init edge --stdout | less`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: configs.Examples(),
		RunE: func(cmd *cobra.Command, args []string) error {
			name := "edge"
			if len(args) == 1 {
				name = args[0]
			}
			text, err := configs.Example(name)
			if err != nil {
				return usage("%v", err)
			}
			if stdout {
				_, err := cmd.OutOrStdout().Write(text)
				return err
			}
			if err := writeNew(path, text, force); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "wrote the %s example to %s; next: sluice check -c %[2]s\n", name, path)
			return err
		},
	}
	addConfigFlag(cmd, &path)
	cmd.Flags().BoolVar(&force, "force", false, "replace the file if it is there already")
	cmd.Flags().BoolVar(&stdout, "stdout", false, "print the example and write no file")
	return cmd
}

// writeNew writes a file, which must not be there yet unless force is set.
func writeNew(path string, text []byte, force bool) error {
	how := os.O_EXCL
	if force {
		how = os.O_TRUNC
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|how, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already and was left alone; give --force to replace it, or another file with -c", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
