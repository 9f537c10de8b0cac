package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/admin/api"
	"sluice/synthetic/replay"
)

const replayHelp = `Send the requests of access logs again: to a version of a service, dark or not,
through a running proxy (--service, --version), or straight to a server (--target).

Logs are read as they come, plain, gzip or zstd, of any size; "-" is standard
input. Each line may be JSON (Sluice's own, or others': see --field), common or
combined; --format takes a layout in the language of nginx's log_format, too.
Lines that are no request are counted and shown, and harm nothing. What a log
doesn't hold can't be sent: bodies, and queries where Sluice logged none (its
access log has them with the field "query").

The requests of a session stay in order, each one sent when the one before it was
answered, and keep the cookies that they are given. What makes a session:
--session client (address and User-Agent), cookie:NAME, field:NAME or none.

Only GET, HEAD and OPTIONS are sent; --allow POST names others, without a body.
The log's own timing is kept; --speed 10x is faster, --speed max as fast as the
answers come, --rate 500 that many a second.

An error is a request without an answer, or with a 5xx that the log did not have.
The replay stops, and fails, at more than --max-errors of them.

Through the proxy, requests carry an override token that the admin API signs, and
so reach the version where the proxy's routes lead to the service: --proxy says
where it listens, --host which site is meant if the log doesn't tell. They are
marked as synthetic, which is believed of trusted proxies (trusted_proxies) alone:
replayed from there they count for no customer, from elsewhere as a tester's do.

With --against each request also goes to another version, twice if its method is
safe: what differs between that one's own answers is noise, the rest is reported
by path and field, with examples whose secrets are masked.

Exit status: 0 if all went well, 1 if the replay failed, was stopped or had
nothing to send, else as for every command.`

// replayFlags are the flags of sluice replay.
type replayFlags struct {
	service, version, target, proxy, connect, host string
	format, session, speed, maxErrors, html        string
	path, notPath, since, until                    string
	headers, fields, allow, methods, statuses      []string
	rate                                           float64
	concurrency                                    int
	limit                                          int64
	requestTimeout                                 time.Duration
	noCookies, quiet                               bool
	against                                        againstFlags
}

// newReplay returns the command that sends a log's requests again.
func newReplay(r *remote) *cobra.Command {
	f := new(replayFlags)
	cmd := &cobra.Command{
		Use:   "replay LOG...",
		Short: "Send the requests of access logs to a version again",
		Long:  replayHelp,
		Example: `  sluice replay access.log --service web --version v2
  sluice replay access.log.*.gz --service web --version v2 --speed 10x --html report.html
  sluice replay access.log --service web --version v2 --against v1 --rate 50
  sluice replay access.log --target http://127.0.0.1:9001 --rate 500 --path '^/api/'
  zcat old.gz | sluice replay - --target http://127.0.0.1:9001 --speed max --json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(r, cmd, args) },
	}
	s := cmd.Flags()
	s.StringVar(&f.service, "service", "", "the `SERVICE` whose version is asked, through the proxy")
	s.StringVar(&f.version, "version", "", "that `VERSION`, dark or not")
	s.StringVar(&f.proxy, "proxy", "http://127.0.0.1:8080", "`URL` at which the proxy listens")
	s.StringVar(&f.target, "target", "", "`URL` of a server to ask instead")
	s.StringVar(&f.connect, "connect", "", "`HOST:PORT` to connect to, whatever the URL says")
	s.StringVar(&f.host, "host", "", "the `HOST` of every request (default the log's)")
	s.StringArrayVarP(&f.headers, "header", "H", nil, "a `'NAME: VALUE'` to add to every request")
	s.StringVar(&f.format, "format", "auto", "auto, common, combined, nginx, json, or a `LAYOUT` such as '$remote_addr [$time_local] \"$request\"'")
	s.StringArrayVar(&f.fields, "field", nil, "where JSON has something, as `WHAT=NAME`; WHAT is "+strings.Join(replay.FieldNames(), ", "))
	s.StringVar(&f.session, "session", "client", "what makes a session: `KIND` client, cookie:NAME, field:NAME or none")
	s.BoolVar(&f.noCookies, "no-cookies", false, "sessions don't keep the cookies that they are given")
	s.StringVar(&f.speed, "speed", "1x", "how fast, to the log's own timing: `N`x, or max")
	s.Float64Var(&f.rate, "rate", 0, "requests `PER SECOND` instead of the log's timing")
	s.IntVar(&f.concurrency, "concurrency", 64, "requests under way at a time")
	s.Int64Var(&f.limit, "limit", 0, "send so many requests at most")
	s.DurationVar(&f.requestTimeout, "request-timeout", 30*time.Second, "how long to wait for a request's answer")
	s.StringVar(&f.maxErrors, "max-errors", "1%", "errors to bear: a `NUMBER`, a share such as 1%, or any")
	s.StringSliceVar(&f.allow, "allow", nil, "`METHODS` to send beside the safe ones")
	s.StringSliceVar(&f.methods, "method", nil, "send these `METHODS` only")
	s.StringVar(&f.path, "path", "", "send paths that match this regular expression (`RE2`) only")
	s.StringVar(&f.notPath, "not-path", "", "don't send paths that match this one (`RE2`)")
	s.StringSliceVar(&f.statuses, "status", nil, "send what was answered with these `STATUSES` only, such as 200 or 3xx")
	s.StringVar(&f.since, "since", "", "send what was logged at or after this `TIME` (RFC 3339) only")
	s.StringVar(&f.until, "until", "", "send what was logged before this `TIME` (RFC 3339) only")
	s.StringVar(&f.html, "html", "", "write the report with pictures to this `FILE`, too")
	f.against.add(cmd)
	s.BoolVar(&f.quiet, "quiet", false, "don't tell how far it is")
	return cmd
}

// run replays the logs and prints the report.
func (f *replayFlags) run(r *remote, cmd *cobra.Command, logs []string) error {
	cfg, parser, err := f.config()
	if err != nil {
		return usage("%v", err)
	}
	comparer, err := f.against.comparer()
	if err != nil {
		return err
	}
	if cfg.Against != nil {
		cfg.Comparer = comparer
	}
	source, err := replay.Open(logs, cmd.InOrStdin())
	if err != nil {
		return err
	}
	defer source.Close()
	if f.target == "" {
		if err := f.override(r, cmd.Context(), &cfg); err != nil {
			return err
		}
	}
	if !f.quiet {
		watchReplay(&cfg, cmd.ErrOrStderr(), isTerminal(os.Stderr))
	}
	report := replay.Run(cmd.Context(), cfg, source, parser)
	if cfg.Against != nil {
		report.SetComparison(compared{comparer.Report()})
	}
	if f.html != "" {
		if err := writeReport(f.html, report); err != nil {
			return err
		}
	}
	if r.json {
		err = printJSON(cmd.OutOrStdout(), report)
	} else {
		err = report.WriteText(cmd.OutOrStdout())
	}
	if err == nil && !report.Passed {
		return errSilent
	}
	return err
}

// writeReport writes the page.
func writeReport(name string, report *replay.Report) error {
	w, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := report.WriteHTML(w); err != nil {
		_ = w.Close()
		return err
	}
	return w.Close()
}

// override has the targets reach their versions: it signs tokens that are good
// for longer than a replay goes on. From where the proxy believes it, what is
// replayed counts for no customer.
func (f *replayFlags) override(r *remote, ctx context.Context, cfg *replay.Config) error {
	c, err := r.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	targets := []*replay.Target{&cfg.Target}
	if cfg.Against != nil {
		targets = append(targets, cfg.Against)
	}
	for _, t := range targets {
		signed, err := c.SignToken(ctx, api.TokenRequest{Overrides: map[string]string{f.service: t.Name}, TTL: api.Duration(72 * time.Hour), Subject: "replay"})
		if err != nil {
			return err
		}
		if err := errors.Join(t.Add("Sluice-Token", signed.Token), t.Add("Sluice-Synthetic", "replay")); err != nil {
			return err
		}
	}
	return nil
}

// config checks the flags and translates them.
func (f *replayFlags) config() (replay.Config, *replay.Parser, error) {
	cfg := replay.Config{Concurrency: f.concurrency, Timeout: f.requestTimeout, Cookies: !f.noCookies, Limit: f.limit}
	switch {
	case f.target == "" && (f.service == "" || f.version == ""):
		return cfg, nil, fmt.Errorf("where to? give --service and --version, or --target")
	case f.target != "" && f.version != "":
		return cfg, nil, fmt.Errorf("--target asks a server, --version the proxy; give one of them")
	case f.concurrency < 1 || f.concurrency > 10_000:
		return cfg, nil, fmt.Errorf("--concurrency is %d; give 1 to 10000", f.concurrency)
	case f.rate < 0 || f.rate > 1e7:
		return cfg, nil, fmt.Errorf("--rate is %g; give a number of requests a second", f.rate)
	case f.requestTimeout <= 0:
		return cfg, nil, fmt.Errorf("--request-timeout is %v; give a duration above 0", f.requestTimeout)
	case f.limit < 0:
		return cfg, nil, fmt.Errorf("--limit is %d; give a number of requests", f.limit)
	}
	var err error
	if cfg.Pace, err = replay.ParseSpeed(f.speed); err != nil {
		return cfg, nil, fmt.Errorf("--speed: %w", err)
	}
	cfg.Pace.Rate = f.rate
	if cfg.Tolerance, err = replay.ParseTolerance(f.maxErrors); err != nil {
		return cfg, nil, fmt.Errorf("--max-errors: %w", err)
	}
	if err := f.setTargets(&cfg); err != nil {
		return cfg, nil, err
	}
	if cfg.Filter, err = f.filter(); err != nil {
		return cfg, nil, err
	}
	parser, err := f.parser()
	return cfg, parser, err
}

// setTargets says who is asked.
func (f *replayFlags) setTargets(cfg *replay.Config) error {
	flag, text, name := "--proxy", f.proxy, f.version
	if f.target != "" {
		flag, text, name = "--target", f.target, f.target
	}
	var err error
	if cfg.Target, err = f.asked(flag, text, name); err != nil || f.against.name == "" {
		return err
	}
	if f.target != "" {
		flag, text = "--against", f.against.name
	}
	against, err := f.asked(flag, text, f.against.name)
	if f.target != "" {
		against.Connect = "" // that is for the target
	}
	cfg.Against = &against
	return err
}

// asked returns the target behind a URL.
func (f *replayFlags) asked(flag, text, name string) (replay.Target, error) {
	t := replay.Target{Name: name, Connect: f.connect, Host: f.host}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
		return t, fmt.Errorf("%s is %q; write a URL without a path, such as http://127.0.0.1:9001", flag, text)
	}
	t.URL = u
	for _, line := range f.headers {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return t, fmt.Errorf("--header %q: write 'NAME: VALUE'", line)
		}
		if strings.EqualFold(strings.TrimSpace(name), "host") {
			return t, fmt.Errorf("--header %q: the host of all requests is what --host says", line)
		}
		if err := t.Add(strings.TrimSpace(name), value); err != nil {
			return t, fmt.Errorf("--header %q: %w", line, err)
		}
	}
	return t, nil
}

// filter returns which requests are meant.
func (f *replayFlags) filter() (replay.Filter, error) {
	filter := replay.Filter{Allow: f.allow, Methods: f.methods, Service: f.service}
	for _, method := range slices.Concat(f.allow, f.methods) {
		if method != strings.ToUpper(method) {
			return filter, fmt.Errorf("the method %q: methods are written in capitals, such as POST", method)
		}
	}
	for _, text := range f.statuses {
		s, err := replay.ParseStatuses(text)
		if err != nil {
			return filter, fmt.Errorf("--status: %w", err)
		}
		filter.Statuses = append(filter.Statuses, s)
	}
	var err error
	for _, p := range []struct {
		flag, text string
		to         **regexp.Regexp
	}{{"--path", f.path, &filter.Path}, {"--not-path", f.notPath, &filter.NotPath}} {
		if p.text == "" {
			continue
		}
		if *p.to, err = regexp.Compile(p.text); err != nil {
			return filter, fmt.Errorf("%s: %w", p.flag, err)
		}
	}
	for _, t := range []struct {
		flag, text string
		to         *time.Time
	}{{"--since", f.since, &filter.Since}, {"--until", f.until, &filter.Until}} {
		if t.text == "" {
			continue
		}
		if *t.to, err = time.Parse(time.RFC3339, t.text); err != nil {
			return filter, fmt.Errorf("%s is %q; write a time such as 2026-11-23T08:00:00Z", t.flag, t.text)
		}
	}
	return filter, nil
}

// parser returns how lines are read.
func (f *replayFlags) parser() (*replay.Parser, error) {
	layout := replay.Layout{Format: f.format, Session: f.session, Fields: map[string]string{}}
	for _, field := range f.fields {
		what, name, ok := strings.Cut(field, "=")
		if !ok {
			return nil, fmt.Errorf("--field %q: write WHAT=NAME, such as target=uri", field)
		}
		layout.Fields[what] = name
	}
	p, err := replay.NewParser(layout)
	if err != nil {
		return nil, fmt.Errorf("how to read the log: %w", err)
	}
	return p, nil
}
