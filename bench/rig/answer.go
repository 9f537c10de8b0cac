package rig

import (
	"bytes"
	"strconv"
)

// ParseAnswer returns the status of an answer of HTTP/1.1, and whether all of it is
// there. It reads what the drills' own endpoints write, with a Content-Length, and
// takes little of the clients' time.
func ParseAnswer(p []byte) (status int, whole bool) {
	head, body, found := bytes.Cut(p, []byte("\r\n\r\n"))
	if !found || len(head) < 12 {
		return 0, false
	}
	status, _ = strconv.Atoi(string(head[9:12]))
	_, rest, found := bytes.Cut(head, []byte("Content-Length: "))
	text, _, _ := bytes.Cut(rest, []byte("\r"))
	length, err := strconv.Atoi(string(text))
	return status, found && err == nil && len(body) >= length
}
