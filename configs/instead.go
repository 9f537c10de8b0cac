package configs

import (
	"fmt"
	"strconv"
	"time"
)

// Shield has the baseline answer a safe request that a candidate fails before
// its answer begins. In the file: true, false or {statuses: [500]}.
type Shield struct {
	// Statuses are failures beside 502, 503 and 504: 400 to 599 each.
	Statuses []int `yaml:"statuses"`

	off bool // "false" was written
}

// On tells whether there is a shield; nil is none.
func (s *Shield) On() bool { return s != nil && !s.off }

func (s *Shield) decodeText(text string) error {
	if text != "true" && text != "false" {
		return problemf("want true, false or {statuses: [500]}", "%s is neither true nor false", quote(text))
	}
	s.off = text == "false"
	return nil
}

// AssetFallback looks for an asset that a session's version answers with 404 on
// the other versions of the service.
type AssetFallback struct {
	// Paths are prefixes that end on a segment boundary, as in a Route. At least
	// one.
	Paths []string `yaml:"paths"`
}

// maxTunnel is the longest total time of a tunnel.
const maxTunnel = 30 * 24 * time.Hour

// within checks a duration that may be 0.
func (c *checker) within(path string, d, most time.Duration) {
	if d < 0 || d > most {
		c.fail(path, fmt.Sprintf("want 0s to %v", most), "%v is out of range", d)
	}
}

func (c *checker) shield(path string, s *Shield) {
	if s == nil {
		return
	}
	texts := make([]string, len(s.Statuses))
	for i, status := range s.Statuses {
		c.between(index(path+".statuses", i), int64(status), 400, 599)
		texts[i] = strconv.Itoa(status)
	}
	distinct(c, path+".statuses", texts)
}

func (c *checker) assetFallback(path string, a *AssetFallback) {
	if a == nil {
		return
	}
	if len(a.Paths) == 0 && !c.unsure(path+".paths") {
		c.fail(path, `want paths: ["/assets"]`, "no path of assets is given")
	}
	for i, p := range a.Paths {
		c.path(index(path+".paths", i), p)
	}
	distinct(c, path+".paths", a.Paths)
}
