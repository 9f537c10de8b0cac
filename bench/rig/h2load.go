package rig

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// H2Load is a running load of HTTP/2.
type H2Load struct {
	*Process
	times string // file of every request's time
}

// StartH2Load starts a load; its output and times lie in dir under name.
func StartH2Load(name, dir string, load Load) (*H2Load, error) {
	times := filepath.Join(dir, name+".times")
	// h2load appends.
	if err := os.Remove(times); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	p, err := Start(name, dir, load.Core, load.h2loadArgs(times)...)
	if err != nil {
		return nil, err
	}
	return &H2Load{Process: p, times: times}, nil
}

func (l Load) h2loadArgs(times string) []string {
	args := []string{"h2load", "-t", "1",
		"-c", strconv.Itoa(l.Connections),
		"-m", strconv.Itoa(l.Streams),
		"-D", seconds(l.Duration),
		"-N", seconds(l.Timeout),
		"--npn-list", "h2", "--log-file", times}
	if l.Cookie != "" {
		args = append(args, "-H", "Cookie: "+l.Cookie)
	}
	return append(args, l.URL)
}

// Result waits for the end of the run and returns what h2load counted, its
// Bytes after TLS.
func (h *H2Load) Result() (Result, error) {
	out, err := h.output()
	if err != nil {
		return Result{}, err
	}
	r, err := parseH2Load(out)
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w%s", h.Name, err, h.lastWords())
	}
	file, err := os.Open(h.times)
	if err != nil {
		return Result{}, err
	}
	defer file.Close()
	times, err := parseTimes(bufio.NewScanner(file))
	if err != nil {
		return Result{}, fmt.Errorf("%s: %w", h.Name, err)
	}
	r.P50US, r.P99US, r.MaxUS = percentile(times, 50), percentile(times, 99), percentile(times, 100)
	return r, nil
}

// What h2load prints at its end.
var (
	h2loadFinished = regexp.MustCompile(`(?m)^finished in ([0-9.]+)(us|ms|s), `)
	h2loadRequests = regexp.MustCompile(`(?m)^requests: \d+ total, \d+ started, (\d+) done, \d+ succeeded, \d+ failed, (\d+) errored, (\d+) timeout$`)
	h2loadStatuses = regexp.MustCompile(`(?m)^status codes: \d+ 2xx, \d+ 3xx, (\d+) 4xx, (\d+) 5xx$`)
	h2loadTraffic  = regexp.MustCompile(`(?m)^traffic: \S+ \((\d+)\) total, `)
)

// parseH2Load reads the counts, and refuses a load that wasn't what the
// comparison is of: HTTP/2 over TLS 1.3 with one suite at every peer.
func parseH2Load(out string) (Result, error) {
	for _, want := range []string{"TLS Protocol: TLSv1.3", "Cipher: TLS_AES_128_GCM_SHA256", "Application protocol: h2"} {
		if !slices.Contains(strings.Split(out, "\n"), want) {
			return Result{}, fmt.Errorf("no connection said %q", want)
		}
	}
	var numbers []int64
	for _, line := range []*regexp.Regexp{h2loadRequests, h2loadStatuses, h2loadTraffic} {
		found := line.FindStringSubmatch(out)
		if found == nil {
			return Result{}, fmt.Errorf("h2load printed no line %s", line)
		}
		for _, text := range found[1:] {
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return Result{}, err
			}
			numbers = append(numbers, n)
		}
	}
	done, errored, timeout := numbers[0], numbers[1], numbers[2]
	took, err := h2loadTook(out)
	if err != nil {
		return Result{}, err
	}
	if done == 0 {
		return Result{}, errors.New("h2load had no answer")
	}
	return Result{Requests: done, Bytes: numbers[5], DurationUS: took,
		// h2load counts what timed out among the errors, too.
		Errors: Errors{Read: max(errored-timeout, 0), Timeout: timeout, Status: numbers[3] + numbers[4]}}, nil
}

// h2loadTook returns how long the run took, in microseconds.
func h2loadTook(out string) (int64, error) {
	found := h2loadFinished.FindStringSubmatch(out)
	if found == nil {
		return 0, errors.New("h2load didn't finish")
	}
	number, err := strconv.ParseFloat(found[1], 64)
	return int64(number * map[string]float64{"us": 1, "ms": 1e3, "s": 1e6}[found[2]]), err
}

// parseTimes reads the microseconds of every request, the third column, and
// returns them sorted.
func parseTimes(lines *bufio.Scanner) ([]int64, error) {
	var all []int64
	for lines.Scan() {
		columns := strings.Split(lines.Text(), "\t")
		if len(columns) != 3 {
			return nil, fmt.Errorf("h2load's times: malformed line %q", lines.Text())
		}
		us, err := strconv.ParseInt(columns[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("h2load's times: %w", err)
		}
		all = append(all, us)
	}
	slices.Sort(all)
	return all, lines.Err()
}

// percentile returns the least value that so many percent of the sorted values
// don't exceed; of none, 0.
func percentile(sorted []int64, percent int) int64 {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*percent + 99) / 100 // from 1
	return sorted[rank-1]
}
