package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// message is a request as the strictest of readers sees it: the twin by which
// the tests judge what the proxy forwards.
type message struct {
	method, target string
	fields         [][2]string
	body           string
	trailers       [][2]string
}

// get returns the values of a field, joined by "|" where there are several.
func (m *message) get(name string) string {
	var values []string
	for _, f := range m.fields {
		if strings.EqualFold(f[0], name) {
			values = append(values, f[1])
		}
	}
	return strings.Join(values, "|")
}

// has reports whether a field is there, be it empty.
func (m *message) has(name string) bool {
	for _, f := range m.fields {
		if strings.EqualFold(f[0], name) {
			return true
		}
	}
	return false
}

// String is the message in short: what the tables of the tests expect.
func (m *message) String() string {
	s := m.method + " " + m.target
	if m.body != "" {
		s += " " + m.body
	}
	return s
}

var (
	strictLine  = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+ (\\*|/[!-\"$-~]*) HTTP/1\\.1$")
	strictField = regexp.MustCompile("^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ((?:[^\\x00-\\x20\\x7f](?:[^\\x00-\\x08\\x0a-\\x1f\\x7f]*[^\\x00-\\x20\\x7f])?)?)$")
	strictSize  = regexp.MustCompile("^[0-9a-f]+$")
	strictLen   = regexp.MustCompile("^(0|[1-9][0-9]*)$")
)

// errIncomplete is returned when the message is right as far as it goes.
var errIncomplete = errors.New("incomplete")

// readStrict reads one request from p and returns its length. Whatever two
// parsers could read differently is an error.
func readStrict(p []byte) (m message, n int, err error) {
	end := bytes.Index(p, []byte("\r\n\r\n"))
	if end < 0 {
		return m, 0, errIncomplete
	}
	lines := strings.Split(string(p[:end]), "\r\n")
	if !strictLine.MatchString(lines[0]) {
		return m, 0, fmt.Errorf("request line %q", lines[0])
	}
	parts := strings.Split(lines[0], " ")
	m.method, m.target = parts[0], parts[1]
	if m.fields, err = strictFields(lines[1:]); err != nil {
		return m, 0, err
	}
	rest := p[end+4:]
	used, err := m.readBody(rest)
	return m, end + 4 + used, err
}

func strictFields(lines []string) (fields [][2]string, err error) {
	for _, line := range lines {
		f := strictField.FindStringSubmatch(line)
		if f == nil {
			return nil, fmt.Errorf("field line %q", line)
		}
		fields = append(fields, [2]string{f[1], f[2]})
	}
	return fields, nil
}

// readBody reads the body that the fields announce, of which there may be one
// announcement alone.
func (m *message) readBody(p []byte) (used int, err error) {
	count := map[string]int{}
	for _, f := range m.fields {
		count[strings.ToLower(f[0])]++
	}
	coding, length := m.get("Transfer-Encoding"), m.get("Content-Length")
	switch {
	case count["host"] != 1:
		return 0, fmt.Errorf("%d Host fields", count["host"])
	case count["content-length"]+count["transfer-encoding"] > 1:
		return 0, fmt.Errorf("Content-Length %q, Transfer-Encoding %q", length, coding)
	case coding != "" && coding != "chunked":
		return 0, fmt.Errorf("Transfer-Encoding %q", coding)
	case coding != "":
		return m.readChunks(p)
	case count["content-length"] == 0:
		return 0, nil
	case !strictLen.MatchString(length):
		return 0, fmt.Errorf("Content-Length %q", length)
	}
	n, err := strconv.Atoi(length)
	if err == nil && len(p) < n {
		return 0, errIncomplete
	}
	m.body = string(p[:n])
	return n, err
}

func (m *message) readChunks(p []byte) (used int, err error) {
	for {
		end := bytes.Index(p[used:], []byte("\r\n"))
		if end < 0 {
			return 0, errIncomplete
		}
		line := string(p[used : used+end])
		used += end + 2
		if !strictSize.MatchString(line) {
			return 0, fmt.Errorf("chunk line %q", line)
		}
		size, err := strconv.ParseUint(line, 16, 31)
		if err != nil {
			return 0, err
		}
		if size == 0 {
			break
		}
		if len(p)-used < int(size)+2 {
			return 0, errIncomplete
		}
		m.body += string(p[used : used+int(size)])
		used += int(size)
		if string(p[used:used+2]) != "\r\n" {
			return 0, fmt.Errorf("%q behind chunk data", p[used:used+2])
		}
		used += 2
	}
	for {
		end := bytes.Index(p[used:], []byte("\r\n"))
		if end < 0 {
			return 0, errIncomplete
		}
		line := string(p[used : used+end])
		used += end + 2
		if line == "" {
			return used, nil
		}
		f, err := strictFields([]string{line})
		if err != nil {
			return 0, err
		}
		m.trailers = append(m.trailers, f...)
	}
}
