package rig

import "testing"

func TestParseAnswer(t *testing.T) {
	for _, c := range []struct {
		text   string
		status int
		whole  bool
	}{
		{"", 0, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", 0, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", 200, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, true},
		{"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nX: y\r\n\r\n", 503, true},
		{"HTTP/1.1 200 OK\r\n\r\n", 200, false},
	} {
		if status, whole := ParseAnswer([]byte(c.text)); status != c.status || whole != c.whole {
			t.Errorf("%q: %d, %v", c.text, status, whole)
		}
	}
}
