package rig

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// NginxRequests returns how many requests an nginx has begun to answer, this
// one included, as its module stub_status tells under a path.
func NginxRequests(addr, path string, limit time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		return 0, err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if err != nil {
		return 0, err
	}
	return parseStubStatus(string(text))
}

// parseStubStatus reads the third number of the line after "server accepts
// handled requests".
func parseStubStatus(text string) (int64, error) {
	_, after, ok := strings.Cut(text, "requests\n")
	line, _, _ := strings.Cut(after, "\n")
	fields := strings.Fields(line)
	if !ok || len(fields) != 3 {
		return 0, fmt.Errorf("malformed stub_status: %q", text)
	}
	return strconv.ParseInt(fields[2], 10, 64)
}
