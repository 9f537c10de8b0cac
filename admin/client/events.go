package client

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"sluice/admin/api"
)

// maxLine bounds a line of the event stream in bytes.
const maxLine = 4 << 20

// Events streams what happens, to one service or, if it is "", to all: what
// comes from now on or, if lastID is not "", after the message of that ID. The
// iteration ends with an error, which is ctx's if that ended it, and io.EOF
// (within *Unreachable) if the server stopped. To go on, call again with the ID
// of the last message that had one.
func (c *Client) Events(ctx context.Context, service, lastID string) iter.Seq2[api.Message, error] {
	return func(yield func(api.Message, error) bool) {
		k := call{method: http.MethodGet, path: "/v1/events", header: http.Header{}}
		if service != "" {
			k.query = url.Values{"service": {service}}
		}
		if lastID != "" {
			k.header.Set("Last-Event-ID", lastID)
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		res, err := c.send(ctx, k)
		if err != nil {
			yield(api.Message{}, err)
			return
		}
		defer res.Body.Close()
		err = readEvents(res.Body, func(m api.Message) bool { return yield(m, nil) })
		if errors.Is(err, errStopped) {
			return
		}
		if ctx.Err() != nil {
			yield(api.Message{}, ctx.Err())
			return
		}
		yield(api.Message{}, c.unreachable(err))
	}
}

// errStopped is returned when the reader of a stream wants no more.
var errStopped = errors.New("stopped")

// readEvents parses server-sent events (WHATWG HTML, section 9.2.6) until the
// stream ends, with io.EOF, or the reader has enough.
func readEvents(r io.Reader, yield func(api.Message) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	var m api.Message
	for lines.Scan() {
		line := lines.Text()
		if line == "" {
			if len(m.Data) > 0 && !yield(m) {
				return errStopped
			}
			m = api.Message{}
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			m.ID = value
		case "event":
			m.Kind = value
		case "data":
			if len(m.Data) > 0 {
				m.Data = append(m.Data, '\n')
			}
			m.Data = append(m.Data, value...)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.EOF
}
