package record

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"sluice/synthetic/replay"
)

// Lines say which lines of an access log are the session that is meant.
type Lines struct {
	Session      string    // the value of what holds requests together, as the parser's layout says
	Client       string    // or else the client's address
	Since, Until time.Time // zero: no bound
}

// maxShown is how many lines that are no request are told of.
const maxShown = 3

// ReadLog adds the requests of a session. Lines that are no request are counted,
// and the first of them told of.
func (r *Recorder) ReadLog(from *replay.Source, parser *replay.Parser, which Lines) (notes []string, err error) {
	bad := 0
	for {
		line, where, number, err := from.Next()
		switch {
		case errors.Is(err, io.EOF):
			if bad > 0 {
				notes = append(notes, fmt.Sprintf("%s no request", are(bad, "line")))
			}
			return notes, nil
		case err != nil && !replay.IsLongLine(err):
			return notes, err
		}
		var request replay.Request
		if err == nil {
			request, err = parser.Parse(line)
		}
		if err != nil {
			if bad++; bad <= maxShown {
				notes = append(notes, fmt.Sprintf("%s:%d: %v", where, number, err))
			}
			continue
		}
		if which.has(&request) {
			r.Add(exchangeOf(&request))
		}
	}
}

func are(n int, what string) string {
	if n == 1 {
		return counted(n, what) + " is"
	}
	return counted(n, what) + " are"
}

// has tells whether a request is of the session.
func (l *Lines) has(r *replay.Request) bool {
	switch {
	case !l.Since.IsZero() && (r.At.IsZero() || r.At.Before(l.Since)), !l.Until.IsZero() && (r.At.IsZero() || !r.At.Before(l.Until)):
		return false
	case l.Session != "":
		return r.Session == replay.SessionOf(l.Session)
	}
	return r.Client == l.Client
}

// exchangeOf translates a request of a log, which holds no heads and no bodies.
func exchangeOf(r *replay.Request) Exchange {
	e := Exchange{At: r.At, Method: r.Method, Status: r.Status, Bodyless: true}
	if e.Status == 0 {
		e.Status = 200 // not told
	}
	if u, err := url.ParseRequestURI(r.Target); err == nil {
		e.URL = u
		u.Scheme, u.Host = "http", r.Host
	}
	return e
}
