package replay

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
)

// The bounds of what is read.
const (
	maxLine = 64 << 10 // as long a head as the proxy takes
	// maxWindow is the memory that a zstd log may ask for: what "zstd -19" and
	// all below needs; --long=27 needs 128 MiB and is refused.
	maxWindow = 64 << 20
)

// errLongLine is returned for a line that is too long to be one.
var errLongLine = fmt.Errorf("it is longer than %d bytes", maxLine)

// Source reads the lines of logs one after the other, plain, gzip or zstd: their
// first bytes tell.
type Source struct {
	names []string
	stdin io.Reader
	total int64
	done  atomic.Int64

	gone atomic.Bool // Close was called

	mu    sync.Mutex // guards what is below; Next may hold it for as long as nothing comes
	name  string
	lines *bufio.Reader
	close func()
	line  int
}

// Open returns a source of the named files; "-" is stdin. It looks at all of
// them first, so that a misspelt last name is found at once.
func Open(names []string, stdin io.Reader) (*Source, error) {
	s := &Source{names: names, stdin: stdin}
	for _, name := range names {
		if name == "-" {
			s.total = -1 << 62 // no end is known
			continue
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		_ = f.Close()
		switch {
		case err != nil:
			return nil, err
		case info.IsDir():
			return nil, fmt.Errorf("%s is a directory; name its logs", name)
		case !info.Mode().IsRegular():
			s.total = -1 << 62
		}
		s.total += info.Size()
	}
	return s, nil
}

// Progress returns the bytes of the files that were read, and of all; 0 where
// that is not known. It may be called at any time.
func (s *Source) Progress() (done, total int64) { return s.done.Load(), max(s.total, 0) }

// Close ends the reading. It may be called at any time: if Next waits for a line
// meanwhile, as it may do for ever where a pipe is read, that one is the last.
func (s *Source) Close() {
	s.gone.Store(true)
	if s.mu.TryLock() {
		s.end()
		s.mu.Unlock()
	}
}

// end lets go of the log that is open.
func (s *Source) end() {
	if s.close != nil {
		s.close()
	}
	s.lines, s.close = nil, nil
}

// Next returns a line, valid until the next call, and where it stands. A line
// too long is skipped: its error is errLongLine. At the end: io.EOF.
func (s *Source) Next() (line []byte, where string, number int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.gone.Load() {
			s.end()
			return nil, s.name, s.line, io.EOF
		}
		if s.lines == nil {
			if len(s.names) == 0 {
				return nil, "", 0, io.EOF
			}
			if err := s.open(); err != nil {
				return nil, s.name, 0, err
			}
		}
		line, err := s.lines.ReadSlice('\n')
		if len(line) > 0 || err == nil {
			s.line++
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return nil, s.name, s.line, s.skip()
		case err != nil && !errors.Is(err, io.EOF):
			return nil, s.name, s.line, fmt.Errorf("%s can't be read on behind line %d: %w", s.name, s.line, err)
		case err != nil:
			s.end()
			if len(line) == 0 {
				continue
			}
		}
		return bytes.TrimRight(line, "\r\n"), s.name, s.line, nil
	}
}

// skip reads to the end of a line that is too long.
func (s *Source) skip() error {
	for {
		_, err := s.lines.ReadSlice('\n')
		switch {
		case err == nil, errors.Is(err, io.EOF):
			return errLongLine
		case !errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("%s can't be read on behind line %d: %w", s.name, s.line, err)
		}
	}
}

// open begins with the next log.
func (s *Source) open() error {
	s.name, s.names, s.line = s.names[0], s.names[1:], 0
	var raw io.Reader = s.stdin
	s.close = func() {}
	if s.name != "-" {
		f, err := os.Open(s.name)
		if err != nil {
			return err
		}
		raw, s.close = f, func() { _ = f.Close() }
	}
	plain, err := s.decompress(bufio.NewReaderSize(counted{raw, &s.done}, maxLine))
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	s.lines = bufio.NewReaderSize(plain, maxLine)
	return nil
}

// decompress looks at the first bytes (RFC 1952, section 2.3.1; RFC 8878,
// sections 3.1.1 and 3.1.2: pzstd begins with a frame to skip).
func (s *Source) decompress(r *bufio.Reader) (io.Reader, error) {
	start, _ := r.Peek(4)
	switch {
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		return gzip.NewReader(r)
	case bytes.Equal(start, []byte{0x28, 0xb5, 0x2f, 0xfd}), len(start) == 4 && start[0]&0xf0 == 0x50 && bytes.Equal(start[1:], []byte{0x2a, 0x4d, 0x18}):
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		under := s.close
		s.close = func() { d.Close(); under() }
		return d, nil
	}
	return r, nil
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n *atomic.Int64
}

// Read reads and counts.
func (c counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}
