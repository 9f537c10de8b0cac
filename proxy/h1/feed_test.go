package h1

import (
	"errors"
	"io"
	"strings"
	"testing"

	"sluice/proxy/buffer"
	"sluice/proxy/head"
)

// feeder is a Filler that hands out data in pieces of at most step bytes.
type feeder struct {
	data string
	step int // 0: all that fits
	err  error
}

func (f *feeder) Fill(b *buffer.Buffer) error {
	if f.data == "" {
		if f.err != nil {
			return f.err
		}
		return io.EOF
	}
	n := len(f.data)
	if f.step > 0 {
		n = min(n, f.step)
	}
	n = copy(b.Space(), f.data[:n])
	b.Wrote(n)
	f.data = f.data[n:]
	return nil
}

// message is all that one reading of a message gave, cloned.
type message struct {
	request  head.Request
	response head.Response
	body     string
	trailers []head.Field
	rest     string // unread bytes after the message
	err      error  // of the head
	bodyErr  error  // of the body, if not io.EOF
}

// readRequest reads a request and its body, fed in pieces of step bytes.
func readRequest(data string, step int, lim *Limits) (m message) {
	var b buffer.Buffer
	defer func() { b.Drop(); b.Free() }()
	f := &feeder{data: data, step: step}
	m.err = ReadRequest(&b, f, &m.request, lim, nil)
	if m.err == nil {
		m.request = cloneRequest(m.request)
		m.readBody(&b, f, m.request.Length)
	}
	return m
}

// readResponse reads a response and its body, fed in pieces of step bytes.
func readResponse(data string, step int, method string, asked101 bool, lim *Limits) (m message) {
	var b buffer.Buffer
	defer func() { b.Drop(); b.Free() }()
	f := &feeder{data: data, step: step}
	m.err = ReadResponse(&b, f, method, asked101, &m.response, lim)
	if m.err == nil {
		m.response.Reason = strings.Clone(m.response.Reason)
		m.response.Fields = cloneFields(m.response.Fields)
		m.readBody(&b, f, m.response.Length)
	}
	return m
}

func readChunked(data string, step int) (m message) {
	var b buffer.Buffer
	defer b.Free()
	m.readBody(&b, &feeder{data: data, step: step}, head.Chunked)
	return m
}

func (m *message) readBody(b *buffer.Buffer, f *feeder, length int64) {
	var d Body
	d.Init(b, f, length)
	var body strings.Builder
	for {
		p, err := d.Next()
		if err != nil {
			if err != io.EOF {
				m.bodyErr = err
			}
			break
		}
		body.Write(p)
	}
	m.body, m.trailers = body.String(), cloneFields(d.Trailers())
	m.rest = string(b.Bytes()) + f.data
}

func cloneRequest(r head.Request) head.Request {
	for _, s := range []*string{&r.Method, &r.Target, &r.Path, &r.Query, &r.Host, &r.Upgrade} {
		*s = strings.Clone(*s)
	}
	r.Fields = cloneFields(r.Fields)
	return r
}

func cloneFields(fields []head.Field) (out []head.Field) {
	for _, f := range fields {
		out = append(out, head.Field{ID: f.ID, Name: strings.Clone(f.Name), Value: strings.Clone(f.Value)})
	}
	return out
}

// wantRequestError checks that a request is refused by this rule, in one piece
// and byte by byte.
func wantRequestError(t *testing.T, data string, want *rule, lim *Limits) {
	t.Helper()
	for _, step := range []int{0, 1} {
		if m := readRequest(data, step, lim); !errors.Is(m.err, &want.request) {
			t.Errorf("step %d: %.80q: got error %v, want %v", step, data, m.err, &want.request)
		} else if m.request.Method != "" || len(m.request.Fields) > 0 {
			t.Errorf("step %d: %.80q: a refused request left %+v behind", step, data, m.request)
		}
	}
}
