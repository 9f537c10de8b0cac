package record

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

// The fields of HAR 1.2 that count here. What a browser leaves out is zero.
// http://www.softwareishard.com/blog/har-12-spec/
type (
	harEntry struct {
		StartedDateTime string      `json:"startedDateTime"`
		ResourceType    string      `json:"_resourceType"` // of Chromium
		Request         harRequest  `json:"request"`
		Response        harResponse `json:"response"`
	}
	harRequest struct {
		Method   string     `json:"method"`
		URL      string     `json:"url"`
		Headers  []harField `json:"headers"`
		BodySize int64      `json:"bodySize"` // -1: not known
		PostData *struct {
			MimeType string     `json:"mimeType"`
			Text     string     `json:"text"`
			Params   []harField `json:"params"`
			Encoding string     `json:"encoding"` // "base64", of some tools
		} `json:"postData"`
	}
	harResponse struct {
		Status  int        `json:"status"`
		Headers []harField `json:"headers"`
		Cookies []harField `json:"cookies"`
		Content struct {
			Size     int64  `json:"size"`
			MimeType string `json:"mimeType"`
			Text     string `json:"text"`
			Encoding string `json:"encoding"`
		} `json:"content"`
	}
	harField struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
)

// maxEntry bounds the bytes of one entry of a HAR file, which is read whole. All
// together may have any size.
const maxEntry = 64 << 20

// ReadHAR adds the entries of a HAR file in their order. An entry that is damaged
// is counted among what is left out; an error says that the file is no HAR file,
// or where it breaks off.
func (r *Recorder) ReadHAR(from io.Reader) error {
	text := bufio.NewReader(from)
	if mark, _ := text.Peek(3); bytes.Equal(mark, []byte("\xef\xbb\xbf")) {
		_, _ = text.Discard(3) // some tools write a byte order mark
	}
	h := &harReader{limited: &allowance{r: text}}
	h.json = json.NewDecoder(h.limited)
	found, err := h.member("log", func() (bool, error) {
		return h.member("entries", func() (bool, error) { return true, h.entries(r) })
	})
	switch {
	case err != nil:
		return err
	case !found:
		return errors.New("it is no HAR file: there is no log.entries")
	}
	return nil
}

// harReader reads a HAR file piece by piece.
type harReader struct {
	limited *allowance
	json    *json.Decoder
}

// allowance is how many bytes may be read before the next piece.
type allowance struct {
	r    io.Reader
	left int
}

var errLong = fmt.Errorf("it has more than %d bytes", maxEntry)

// Read implements io.Reader.
func (a *allowance) Read(p []byte) (int, error) {
	if a.left <= 0 {
		return 0, errLong
	}
	n, err := a.r.Read(p[:min(len(p), a.left)])
	a.left -= n
	return n, err
}

// member looks for a member of the object that comes next, and calls read for
// its value, which says whether it is what was looked for. Others are passed over.
func (h *harReader) member(name string, read func() (bool, error)) (found bool, err error) {
	h.limited.left = maxEntry
	if err := h.open('{', "an object with "+name); err != nil {
		return false, err
	}
	for !found && h.json.More() {
		h.limited.left = maxEntry
		key, err := h.json.Token()
		if err != nil {
			return false, h.broken(err)
		}
		if key == name {
			if found, err = read(); err != nil {
				return false, err
			}
			continue
		}
		if err := h.json.Decode(&struct{}{}); err != nil && !isType(err) {
			return false, h.broken(err)
		}
	}
	return found, nil // what comes after it is of no interest
}

func (h *harReader) open(delim json.Delim, what string) error {
	token, err := h.json.Token()
	if err != nil {
		return h.broken(err)
	}
	if token != delim {
		return fmt.Errorf("it is no HAR file: want %s", what)
	}
	return nil
}

func (h *harReader) entries(r *Recorder) error {
	if err := h.open('[', "a list of entries"); err != nil {
		return err
	}
	for h.json.More() {
		h.limited.left = maxEntry
		var e harEntry
		if err := h.json.Decode(&e); err != nil && !isType(err) {
			return h.broken(err)
		}
		r.Add(e.exchange())
	}
	_, err := h.json.Token()
	return h.broken(err)
}

// broken says where a file can't be read on.
func (h *harReader) broken(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("it is no HAR file, or it breaks off: at byte %d: %w", h.json.InputOffset(), err)
}

// isType tells whether an error is of one value, behind which reading can go on.
func isType(err error) bool {
	var wrong *json.UnmarshalTypeError
	return errors.As(err, &wrong)
}

// exchange translates an entry.
func (e *harEntry) exchange() Exchange {
	x := Exchange{
		Method: e.Request.Method, Fields: fieldsOf(e.Request.Headers), Status: e.Response.Status, Answer: fieldsOf(e.Response.Headers),
		Type: e.Response.Content.MimeType, Kind: strings.ToLower(e.ResourceType),
	}
	x.At, _ = time.Parse(time.RFC3339Nano, e.StartedDateTime)
	if u, err := url.Parse(e.Request.URL); err == nil && u.Host != "" {
		x.URL = u
	}
	if valueOf(x.Answer, "Set-Cookie") == "" {
		for _, c := range e.Response.Cookies {
			x.Answer = append(x.Answer, Field{"Set-Cookie", c.Name + "=" + c.Value})
		}
	}
	x.Text = decoded(e.Response.Content.Text, e.Response.Content.Encoding)
	x.Textless = e.Response.Content.Text == "" && e.Response.Content.Size > 0
	if p := e.Request.PostData; p != nil {
		x.Body = decoded(p.Text, p.Encoding)
		if len(x.Body) == 0 && len(p.Params) > 0 && mediaType(p.MimeType) == formType {
			form := url.Values{}
			for _, f := range p.Params {
				form.Add(f.Name, f.Value)
			}
			x.Body = []byte(form.Encode())
		}
		if valueOf(x.Fields, "Content-Type") == "" && p.MimeType != "" {
			x.Fields = append(x.Fields, Field{"Content-Type", p.MimeType})
		}
		x.Bodyless = len(x.Body) == 0 && len(p.Params) > 0
	}
	x.Bodyless = x.Bodyless || len(x.Body) == 0 && e.Request.BodySize > 0
	return x
}

// fieldsOf returns the fields of a head. Those of HTTP/2 that begin with a colon
// are not fields, and old browsers join several of a name by newlines.
func fieldsOf(all []harField) []Field {
	var fields []Field
	for _, f := range all {
		if !isToken(f.Name) {
			continue
		}
		for value := range strings.SplitSeq(f.Value, "\n") {
			fields = append(fields, Field{http.CanonicalHeaderKey(f.Name), strings.TrimSpace(value)})
		}
	}
	return fields
}

// decoded returns a body; nil where it is no text, or damaged.
func decoded(text, encoding string) []byte {
	body := []byte(text)
	if encoding == "base64" {
		var err error
		if body, err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil
		}
	}
	if !utf8.Valid(body) {
		return nil
	}
	return body
}
