package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/synthetic/record"
	"sluice/synthetic/replay"
)

// newJourney returns the commands about journeys.
func newJourney() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "journey",
		Short: "Make journeys of what people did",
		Long: `Journeys are requests in order, with what is expected of their answers; the file
declares them. "sluice probe run" runs them, and "sluice matrix" shows how they do.`,
		Example: `  sluice journey record --har shop.har --name checkout -o checkout.yaml
  sluice journey record --log access.log --client 192.0.2.7`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newJourneyRecord())
	return cmd
}

const journeyRecordHelp = `Make a journey of what somebody did: of a HAR file, which the developer tools of
every browser write (in the network panel: keep the log over pages, act, save all
as HAR, with sensitive data), or of the lines of a session in access logs. It
comes as YAML, for a person to look through and to paste into the file.

Each request becomes a step that expects the same status and type of answer.
Values that a request took from an earlier answer (tokens, ids, fields of forms)
are captured there. Cookies keep themselves. Secrets are never written: passwords,
Authorization and the like become ${NAME}, and the first lines say which of these
to set.

Left out, and told of: requests to other hosts than the first one's, static assets
unless --assets is given, WebSockets, and what had no answer.

A log holds no bodies and no heads: what it makes is a beginning. --client says
whose requests are meant, or --session, together with --by, whose session.`

// recordFlags are the flags of sluice journey record.
type recordFlags struct {
	har, client, session, by, format, name, output, since, until string
	logs, fields                                                 []string
	assets, force                                                bool
}

func newJourneyRecord() *cobra.Command {
	f := new(recordFlags)
	cmd := &cobra.Command{
		Use:   "record (--har FILE | --log FILE (--client ADDRESS | --session ID --by KIND))",
		Short: "Make a journey of a HAR file or of an access log",
		Long:  journeyRecordHelp,
		Example: `  sluice journey record --har shop.har --name checkout -o checkout.yaml
  sluice journey record --log access.log --client 192.0.2.7 --since 2026-11-23T08:00:00Z
  sluice journey record --log access.log --session 8c1f --by cookie:sid`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	s := cmd.Flags()
	s.StringVar(&f.har, "har", "", "the HAR `FILE`; \"-\" is standard input")
	s.StringArrayVar(&f.logs, "log", nil, "an access log, plain, gzip or zstd: a `FILE`; may be given again")
	s.StringVar(&f.client, "client", "", "of a log: the requests from this `ADDRESS`")
	s.StringVar(&f.session, "session", "", "of a log: the requests of the session with this `ID`")
	s.StringVar(&f.by, "by", "", "what the ID is: `KIND` cookie:NAME or field:NAME")
	s.StringVar(&f.format, "format", "auto", "of a log: as for sluice replay")
	s.StringArrayVar(&f.fields, "field", nil, "where JSON has something, as `WHAT=NAME`: as for sluice replay")
	s.StringVar(&f.since, "since", "", "of a log: what was logged at or after this `TIME` (RFC 3339) only")
	s.StringVar(&f.until, "until", "", "of a log: what was logged before this `TIME` (RFC 3339) only")
	s.StringVar(&f.name, "name", "", "the journey's `NAME` (default the file's)")
	s.BoolVar(&f.assets, "assets", false, "keep requests for static assets")
	s.StringVarP(&f.output, "output", "o", "", "write to this `FILE` instead of standard output")
	s.BoolVar(&f.force, "force", false, "replace that file if it is there already")
	return cmd
}

// journeyName is what the file takes for a journey's name.
var journeyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (f *recordFlags) run(cmd *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	r := record.New(record.Options{Name: f.name, Assets: f.assets})
	from, notes := f.har, []string(nil)
	var err error
	if f.har != "" {
		err = f.readHAR(cmd.InOrStdin(), r)
	} else {
		from = strings.Join(f.logs, ", ")
		notes, err = f.readLogs(cmd.InOrStdin(), r)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	j, err := r.Journey()
	if err != nil {
		return fmt.Errorf("%s: %w", from, errors.Join(append([]error{err}, asErrors(notes)...)...))
	}
	return f.write(cmd, j, from, notes)
}

// check makes sense of the flags, and names the journey.
func (f *recordFlags) check() error {
	switch {
	case (f.har == "") == (len(f.logs) == 0):
		return usage("of what? give --har or --log")
	case f.har != "" && (f.client != "" || f.session != "" || f.by != "" || f.since != "" || f.until != ""):
		return usage("--client, --session, --by, --since and --until are for logs; a HAR file is taken whole")
	case f.har == "" && (f.client == "") == (f.session == ""):
		return usage("whose requests? give --client ADDRESS, or --session ID")
	case f.session != "" && !strings.HasPrefix(f.by, "cookie:") && !strings.HasPrefix(f.by, "field:"):
		return usage("what is the session's id? give --by cookie:NAME or --by field:NAME")
	case f.client != "" && f.by != "":
		return usage("--by says what a --session is; leave it out")
	}
	if f.name == "" {
		base := filepath.Base(append([]string{f.har}, f.logs...)[min(len(f.logs), 1)])
		base, _, _ = strings.Cut(base, ".")
		if f.name = base; !journeyName.MatchString(base) {
			f.name = "recorded"
		}
	}
	if !journeyName.MatchString(f.name) {
		return usage("--name is %q; want a letter or digit, then letters, digits, '.', '_' or '-', at most 64 in all", f.name)
	}
	return nil
}

func (f *recordFlags) readHAR(stdin io.Reader, r *record.Recorder) error {
	if f.har == "-" {
		return r.ReadHAR(stdin)
	}
	file, err := os.Open(f.har)
	if err != nil {
		return bare(err)
	}
	defer file.Close()
	return r.ReadHAR(file)
}

// readLogs returns what is to be said of the logs.
func (f *recordFlags) readLogs(stdin io.Reader, r *record.Recorder) ([]string, error) {
	which := record.Lines{Session: f.session, Client: f.client}
	for _, t := range []struct {
		flag, text string
		to         *time.Time
	}{{"--since", f.since, &which.Since}, {"--until", f.until, &which.Until}} {
		var err error
		if t.text == "" {
			continue
		}
		if *t.to, err = time.Parse(time.RFC3339, t.text); err != nil {
			return nil, usage("%s is %q; write a time such as 2026-11-23T08:00:00Z", t.flag, t.text)
		}
	}
	parser, err := (&replayFlags{format: f.format, fields: f.fields, session: f.by}).parser()
	if err != nil {
		return nil, usage("%v", err)
	}
	source, err := replay.Open(f.logs, stdin)
	if err != nil {
		return nil, bare(err)
	}
	defer source.Close()
	return r.ReadLog(source, parser, which)
}

// bare takes the file's name off an error, which is told already.
func bare(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

func asErrors(notes []string) (all []error) {
	for _, n := range notes {
		all = append(all, errors.New(n))
	}
	return all
}

// write writes the journey, and says on standard error what the file's first lines
// say, too.
func (f *recordFlags) write(cmd *cobra.Command, j *record.Journey, from string, notes []string) error {
	var text bytes.Buffer
	if err := j.WriteYAML(&text, from); err != nil {
		return err
	}
	for _, note := range append(notes, j.Notes()...) {
		fmt.Fprintln(cmd.ErrOrStderr(), plainLines(note))
	}
	if f.output == "" {
		_, err := cmd.OutOrStdout().Write(text.Bytes())
		return err
	}
	if err := writeNew(f.output, text.Bytes(), f.force); err != nil {
		return errors.New(strings.Replace(err.Error(), "with -c", "with -o", 1))
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "wrote the journey %s to %s\n", f.name, f.output)
	return err
}
