package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"sluice/cmd/sluice/server"
	"sluice/configs"
)

// newServe returns the command that runs the proxy.
func newServe() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "serve -c FILE",
		Short: "Run the proxy",
		Long: `Run the proxy with the services of FILE.

The file is read anew when it changes and on SIGHUP; one that is wrong changes
nothing. SIGTERM and SIGINT end the proxy when the requests in flight are done.`,
		Example: `  sluice serve -c sluice.yaml
  kill -HUP $(pidof sluice)            # read the file anew`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), path) },
	}
	addConfigFlag(cmd, &path)
	return cmd
}

// serve runs until ctx ends or the server fails.
func serve(ctx context.Context, path string) error {
	file, err := configs.Load(path)
	if err != nil {
		return err
	}
	log := newLogger(file.Log)
	defer log.Sync()
	s, err := server.Start(ctx, file, server.Options{Log: log, Version: version})
	if err != nil {
		return err
	}
	for name, addr := range s.Addrs() {
		log.Info("listening", zap.String("listener", name), zap.Stringer("address", addr))
	}
	log.Info("admin API", zap.String("url", s.AdminURL()))
	err = wait(ctx, s)
	log.Info("stopping")
	return errors.Join(err, s.Stop())
}

// wait follows the file and SIGHUP until ctx ends or the server fails.
func wait(ctx context.Context, s *server.Server) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watcher, err := s.Watch(ctx)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-hangup:
			watcher.Reload()
		case err := <-s.Failed():
			return fmt.Errorf("going on is pointless: %w", err)
		case <-ctx.Done():
			return nil
		}
	}
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
