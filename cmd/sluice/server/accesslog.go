package server

import (
	"fmt"
	"io"

	"go.uber.org/zap"

	"sluice/configs"
	"sluice/proxy"
	"sluice/proxy/accesslog"
)

// openAccessLog opens where requests are logged: the file that is configured, or
// the given writer.
func (s *Server) openAccessLog(out io.Writer) (proxy.AccessLog, error) {
	a := accessLog(s.file.Log.Access)
	if a.Mode == proxy.AccessOff {
		return a, nil
	}
	var err error
	s.accessLog, err = accesslog.NewSink(accesslog.SinkOptions{
		Path: s.file.Log.Access.File, Out: out, Log: s.log, Dropped: s.stats.AccessLogDropped,
	})
	if err != nil {
		return a, fmt.Errorf("log.access.file: %w", err)
	}
	a.Write = s.accessLog.Write
	return a, nil
}

// accessLog translates which requests are logged, and how.
func accessLog(l configs.AccessLog) proxy.AccessLog {
	modes := map[configs.AccessMode]proxy.AccessMode{
		configs.AccessOff: proxy.AccessOff, configs.AccessErrors: proxy.AccessErrors,
		configs.AccessSampled: proxy.AccessSampled, configs.AccessAll: proxy.AccessAll,
	}
	formats := map[configs.AccessFormat]accesslog.Format{
		configs.AccessJSON: accesslog.JSON, configs.AccessCommon: accesslog.Common, configs.AccessCombined: accesslog.Combined,
	}
	a := proxy.AccessLog{Mode: modes[l.Mode], Sample: l.Sample}
	a.Layout = accesslog.Layout{Format: formats[l.Format], MaskClient: l.MaskClient}
	for _, name := range l.Fields {
		// The file knows the same names; a test holds the two lists together.
		if f, err := accesslog.ParseField(string(name)); err == nil {
			a.Layout.Fields = append(a.Layout.Fields, f)
		}
	}
	return a
}

// reopenAccessLog opens the access log anew, for whoever rotates logs moves the
// file and then asks for a reload. What goes wrong stands in the log.
func (s *Server) reopenAccessLog() {
	if s.accessLog == nil {
		return
	}
	if err := s.accessLog.Reopen(); err != nil {
		s.log.Error("log.access.file", zap.Error(err))
	}
}

// closeAccessLog writes what waits.
func (s *Server) closeAccessLog() {
	if s.accessLog == nil {
		return
	}
	if err := s.accessLog.Close(); err != nil {
		s.log.Error("log.access.file", zap.Error(err))
	}
}
