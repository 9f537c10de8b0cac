// Command sluice is the proxy and everything that a person or a job does with
// it. Each command is a file of this package.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is the program's, set at build time by -ldflags "-X main.version=…".
var version = "dev"

func main() { os.Exit(run(os.Args[1:])) }

// run carries out a command line and returns the exit status.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := newRoot()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return statusDone
	}
	asJSON, _ := root.PersistentFlags().GetBool("json")
	report(os.Stderr, cmd, err, asJSON)
	return exitStatus(cmd, err)
}

const rootHelp = `Sluice is a reverse proxy that keeps several versions of each service live,
decides for each request which of them answers, and moves traffic from one to
another, and back, at once.

"sluice serve" runs it. The other commands ask or change a running one through
its admin API, but for check, init and journey, which only need files.

Exit status:
  0  done
  1  refused or failed: standard error says why, and what would work
  2  called wrongly
  3  the admin API can't be reached, or did not answer in time
  4  conflict: the service changed since the revision that the change was for
"sluice diff" exits with 1 also when file and state part, "sluice can-rollback"
when a rollback is not possible, and "sluice health" whenever the proxy is not
ready. "sluice rollout start" and "sluice rollout watch" exit by how the rollout
ended, as their help says.

Environment:
  SLUICE_ADMIN  URL of the admin API, as --admin
  SLUICE_TOKEN  bearer token for it, as --token, but not seen by "ps"`

const rootExample = `  sluice init demo                     write an example sluice.yaml
  sluice check                         see whether it is in order
  sluice serve                         run the proxy
  sluice status web                    how the versions of web do
  sluice shift web v2 5%               give v2 5% of new sessions
  sluice rollback web                  take that back`

// newRoot returns the command tree.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "sluice COMMAND",
		Short:         "A reverse proxy that keeps several versions of each service live",
		Long:          rootHelp,
		Example:       rootExample,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SetOut(cmd.ErrOrStderr())
			_ = cmd.Help()
			return usage("which command?")
		},
	}
	r := addRemoteFlags(root)
	for _, g := range groups() {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, cmd := range g.commands(r) {
			cmd.GroupID = g.id
			root.AddCommand(cmd)
		}
	}
	markFailures(root)
	return root
}

// group is commands that the help lists together.
type group struct {
	id, title string
	commands  func(*remote) []*cobra.Command
}

func groups() []group {
	return []group{
		{"run", "Run the proxy:", func(r *remote) []*cobra.Command {
			return []*cobra.Command{newServe(), newCheck(r), newInit(), newDemo(), newHealth(r), newReload(r)}
		}},
		{"see", "See how it goes:", func(r *remote) []*cobra.Command {
			return []*cobra.Command{newStatus(r), newCanRollback(r), newExplain(r), newProbe(r), newMatrix(r), newShadow(r), newHistory(r), newAudit(r), newDiff(r), newWatch(r)}
		}},
		{"move", "Move traffic:", func(r *remote) []*cobra.Command {
			return []*cobra.Command{newShift(r), newWeights(r), newRollback(r), newVersions(r), newDrain(r), newPins(r), newLevel(r), newBarrier(r), newRollout(r)}
		}},
		{"try", "Try a version:", func(r *remote) []*cobra.Command {
			return []*cobra.Command{newReplay(r), newJourney()}
		}},
		{"let", "Let people in:", func(r *remote) []*cobra.Command {
			return []*cobra.Command{newToken(r), newTokens(r)}
		}},
	}
}
