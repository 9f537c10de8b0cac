package main

import (
	"context"
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/configs"
)

// serving is what the command line says of a process that serves.
type serving struct {
	file    string
	upgrade bool
	pidFile pidFile
}

// newServe returns the command that runs the proxy.
func newServe() *cobra.Command {
	var o serving
	cmd := &cobra.Command{
		Use:   "serve -c FILE",
		Short: "Run the proxy",
		Long: `Run the proxy with the services of FILE.

The file is read anew when it changes and on SIGHUP; one that is wrong changes
nothing. SIGTERM and SIGINT end the proxy when the requests in flight are done;
a second one ends it at once.

SIGUSR2 replaces the process: the binary that is now at its place starts by the
same command line and takes over the listening sockets, and this process ends
when it has finished what it has. No request is lost, and if the new process
fails to start, this one goes on. A process started with --upgrade does the
same to the one that runs by FILE.

Sockets of systemd (LISTEN_FDS) go to the listeners that have their name or
address, and to the admin API by the name admin; systemd is told when the proxy
serves, reloads, stops and lives (NOTIFY_SOCKET, WATCHDOG_USEC).`,
		Example: `  sluice serve -c sluice.yaml
  kill -HUP $(pidof sluice)            # read the file anew
  kill -USR2 $(pidof sluice)           # run the binary that is there now
  sluice serve -c sluice.yaml --upgrade --pid-file /run/sluice.pid`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), o) },
	}
	addConfigFlag(cmd, &o.file)
	cmd.Flags().BoolVar(&o.upgrade, strings.TrimPrefix(upgradeFlag, "--"), false, "take over from the process that runs by the same file, if there is one")
	cmd.Flags().StringVar((*string)(&o.pidFile), "pid-file", "", "write the number of the process that serves there")
	return cmd
}

// serve runs until a signal, a successor or a failure ends it.
func serve(ctx context.Context, o serving) error {
	file, err := configs.Load(o.file)
	if err != nil {
		return err
	}
	log := newLogger(file.Log)
	defer log.Sync()
	p := newProcess(o, log)
	defer p.close()
	if err := p.start(ctx, file); err != nil {
		return err
	}
	why, err := p.wait()
	return errors.Join(err, p.end(why))
}

// newLogger returns a logger to standard error as the file asks for it.
func newLogger(l configs.Log) *zap.Logger {
	level, err := zapcore.ParseLevel(string(l.Level))
	if err != nil {
		level = zapcore.InfoLevel
	}
	config := zap.NewProductionEncoderConfig()
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	encoder := zapcore.NewJSONEncoder(config)
	if l.Format == configs.Console {
		encoder = zapcore.NewConsoleEncoder(config)
	}
	return zap.New(zapcore.NewCore(encoder, zapcore.Lock(os.Stderr), level))
}
