package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"sluice/admin"
	"sluice/cmd/sluice/server"
	"sluice/configs"
)

// newCheck returns the command that reads a file as serve would.
func newCheck(r *remote) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "check [-c FILE]",
		Short: "Tell everything that is wrong with a file",
		Long: `Read the file as "sluice serve" would, without serving anything, and tell
everything that is wrong with it at once: on standard output a line for each
error and doubt, as FILE:LINE: PATH: what is wrong; what would be right.

It exits with 0 if serve would take the file, doubts or not, and 1 if it would
not. What the file names (certificates, secrets, tokens) is read as well.`,
		Example: `  sluice check
  sluice check -c /etc/sluice/sluice.yaml --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := check(path)
			if r.json {
				if err := printJSON(cmd.OutOrStdout(), findings); err != nil {
					return err
				}
			} else {
				findings.print(cmd.OutOrStdout())
			}
			if !findings.OK {
				return errSilent
			}
			return nil
		},
	}
	addConfigFlag(cmd, &path)
	return cmd
}

// addConfigFlag gives a command the flag that names the file.
func addConfigFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVarP(path, "config", "c", "sluice.yaml", "the configuration `FILE`")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml") // fails for unknown flags alone
}

// findings is what check found.
type findings struct {
	File     string    `json:"file"`
	OK       bool      `json:"ok"` // serve would take it
	Errors   []finding `json:"errors"`
	Warnings []finding `json:"warnings"`
	summary  string
}

// finding is one thing that is wrong or doubtful.
type finding struct {
	Line    int    `json:"line,omitempty"` // absent: the file as a whole
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	Want    string `json:"want,omitempty"` // what would be right
}

// check reads a file and all that it names.
func check(path string) findings {
	f := findings{File: path, Errors: []finding{}, Warnings: []finding{}}
	file, err := configs.Load(path)
	var faults configs.Errors
	switch {
	case errors.As(err, &faults):
		for _, e := range faults {
			f.Errors = append(f.Errors, finding{e.Line, e.Path, e.Msg, e.Want})
		}
	case err != nil:
		f.Errors = append(f.Errors, finding{Message: err.Error()})
	default:
		f.look(file)
	}
	f.OK = len(f.Errors) == 0
	return f
}

// look collects what a file that is right in itself asks for in vain.
func (f *findings) look(file *configs.File) {
	for _, w := range file.Warnings {
		f.Warnings = append(f.Warnings, finding{w.Line, w.Path, w.Msg, w.Want})
	}
	for _, d := range server.CertificateDoubts(file) {
		f.Warnings = append(f.Warnings, finding{d.Line, d.Path, d.Msg, d.Want})
	}
	for _, d := range server.Doubts(file) {
		f.Warnings = append(f.Warnings, finding{d.Line, d.Path, d.Msg, d.Want})
	}
	for _, u := range file.Unsupported() {
		found := finding{Line: u.Line, Path: u.Path, Message: u.Name + " is not served by this build"}
		if u.Fatal {
			f.Errors = append(f.Errors, found)
		} else {
			f.Warnings = append(f.Warnings, found)
		}
	}
	if err := server.Check(file, zap.NewNop()); err != nil && len(f.Errors) == 0 {
		f.Errors = append(f.Errors, finding{Message: err.Error()})
	}
	if tokens := file.Admin.TokensFile; tokens != "" {
		if _, err := admin.OpenTokens(tokens, nil, nil); err != nil {
			f.Errors = append(f.Errors, finding{Line: file.Line("admin.tokens_file"), Path: "admin.tokens_file", Message: err.Error()})
		}
	}
	versions := 0
	for _, s := range file.Services {
		versions += len(s.Versions)
	}
	f.summary = fmt.Sprintf("%s, %s, %s", plural(len(file.Listeners), "listener"), plural(len(file.Services), "service"), plural(versions, "version"))
}

// print writes a line for each finding and one for the whole.
func (f *findings) print(w io.Writer) {
	for _, e := range f.Errors {
		fmt.Fprintln(w, e.line(f.File, ""))
	}
	for _, e := range f.Warnings {
		fmt.Fprintln(w, e.line(f.File, "warning: "))
	}
	if f.OK {
		fmt.Fprintf(w, "%s: in order: %s\n", f.File, f.summary)
	}
}

// line writes a finding as compilers do, so that editors find the place.
func (e finding) line(file, kind string) string {
	text := kind + configs.Error{Path: e.Path, Msg: e.Message, Want: e.Want}.Error()
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", file, e.Line, text)
	}
	if strings.HasPrefix(text, file+": ") {
		return text
	}
	return file + ": " + text
}

// plural writes "1 service" or "2 services".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
