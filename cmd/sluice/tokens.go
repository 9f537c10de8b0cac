package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"sluice/admin"
)

// newTokens returns the commands about the admin API's own tokens.
func newTokens(r *remote) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tokens COMMAND",
		Short:   "Make a token for callers of the admin API",
		Long:    "The commands about the tokens that callers of the admin API prove themselves by.",
		Example: "  sluice tokens new ci deployer web",
		RunE:    needsCommand,
	}
	cmd.AddCommand(newTokensNew(r))
	return cmd
}

func newTokensNew(r *remote) *cobra.Command {
	return &cobra.Command{
		Use:   "new NAME ROLE [SERVICE...]",
		Short: "Make a token and the line for the token file",
		Long: `Make a token for a caller of the admin API. It prints the token, which is shown
this once, and the line with its hash to add to the file that admin.tokens_file
names. The proxy takes the line within a second. No proxy is asked.

Each role may do what those before it may:
  viewer    read
  tester    explain requests, sign override tokens
  deployer  register and remove versions, set weights, levels and barriers
  operator  roll back, drain, void pins, lift barriers
  admin     reload, force
With "+force" after the role, from deployer on, it may also pass over the rules
of safety (--force). With services, the token changes those alone.`,
		Example: `  sluice tokens new ci deployer web api
  sluice tokens new oncall operator+force
  sluice tokens new alice operator --json | jq -r .line >> tokens`,
		Args: cobra.MinimumNArgs(2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) != 1 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var roles []string
			for role := admin.Viewer; role <= admin.Admin; role++ {
				roles = append(roles, role.String())
			}
			return roles, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			text, force := strings.CutSuffix(args[1], "+force")
			role, err := admin.ParseRole(text)
			if err != nil {
				return usage("%v", err)
			}
			var limits []string
			for _, arg := range args[2:] { // "web,api" as in the token file, too
				limits = append(limits, strings.Split(arg, ",")...)
			}
			token, line, err := admin.GenerateToken(admin.Identity{Name: args[0], Role: role, Services: limits, Force: force})
			if err != nil {
				return usage("%v", err)
			}
			if r.json {
				return printJSON(cmd.OutOrStdout(), map[string]string{"token": token, "line": line})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "token, shown this once: %s\nline for the token file: %s\n", token, line)
			return err
		},
	}
}
