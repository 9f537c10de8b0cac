package accesslog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"go.uber.org/zap"
)

// The bounds of a sink.
const (
	flushEvery = 100 * time.Millisecond // a line waits so long for company
	flushSize  = 64 << 10               // so many bytes don't wait
	// maxWaiting bounds the bytes that wait while the log takes none: at 400
	// bytes a line, a tenth of a second of 100,000 requests a second.
	maxWaiting = 4 << 20
	// keptSize is how much memory an idle sink keeps.
	keptSize = 1 << 20
	// closeTime is how long the last lines may take at the stop.
	closeTime = 2 * time.Second
	// reopenTime is how long whoever asks for a file to be opened anew waits: a
	// log that takes nothing must not hold up a reload.
	reopenTime = 2 * time.Second
)

// SinkOptions are what a Sink writes to.
type SinkOptions struct {
	// Path is the file that lines are appended to; it is made with mode 0640,
	// for it says who asked for what. "": Out.
	Path string
	Out  io.Writer // nil: nowhere
	Log  *zap.Logger
	// Dropped, if set, is told of lines that were lost.
	Dropped func(lines int)
}

// Sink brings lines to a file or a writer by a goroutine of its own, in batches.
// Nobody who writes a line waits for that: what the file doesn't take in time,
// or at all, is lost and counted.
type Sink struct {
	opt SinkOptions

	mu      sync.Mutex // guards what follows
	waiting []byte     // whole lines
	lines   int        // in waiting
	lost    int        // lines that found no room since the last batch
	closed  bool

	wake    chan struct{} // waiting is not empty any more
	full    chan struct{} // waiting is worth a write
	reopen  chan chan error
	closing chan struct{}
	done    chan struct{}

	// The goroutine's own.
	out     output
	spare   []byte
	lossy   bool // an episode of losses, which the log was told of
	missing int  // lines lost in it
}

// NewSink opens the file and starts the goroutine, which Close ends.
func NewSink(opt SinkOptions) (*Sink, error) {
	if opt.Log == nil {
		opt.Log = zap.NewNop()
	}
	s := &Sink{
		opt: opt, wake: make(chan struct{}, 1), full: make(chan struct{}, 1),
		reopen: make(chan chan error), closing: make(chan struct{}), done: make(chan struct{}),
	}
	var err error
	if s.out, err = openOutput(opt); err != nil {
		return nil, err
	}
	go s.run()
	return s, nil
}

// Write takes one line, which it copies, and returns at once.
func (s *Sink) Write(line []byte) {
	s.mu.Lock()
	if s.closed || len(s.waiting)+len(line) > maxWaiting {
		s.lost++
		s.mu.Unlock()
		if s.opt.Dropped != nil {
			s.opt.Dropped(1)
		}
		return
	}
	before := len(s.waiting)
	s.waiting = append(s.waiting, line...)
	s.lines++
	s.mu.Unlock()
	if before == 0 {
		signal(s.wake)
	}
	if before < flushSize && before+len(line) >= flushSize {
		signal(s.full)
	}
}

// signal leaves a notice, unless one is there already.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Reopen writes what waits and opens the file anew by its name, after a rotation
// has moved it. An error means that the old one stays in use.
func (s *Sink) Reopen() error {
	if s.opt.Path == "" {
		return nil
	}
	answer := make(chan error, 1)
	timer := time.NewTimer(reopenTime)
	defer timer.Stop()
	select {
	case s.reopen <- answer:
	case <-s.done:
		return nil
	case <-timer.C:
		return fmt.Errorf("%s takes no lines: it was not opened anew", s.opt.Path)
	}
	select {
	case err := <-answer:
		return err
	case <-timer.C:
		return fmt.Errorf("%s takes no lines: it is opened anew later", s.opt.Path)
	}
}

// Close writes what waits and closes the file. Lines that come later are lost.
func (s *Sink) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if !again {
		close(s.closing)
	}
	timer := time.NewTimer(closeTime)
	defer timer.Stop()
	select {
	case <-s.done:
		return nil
	case <-timer.C:
		return errors.New("the access log takes no lines: those of the last moments are lost")
	}
}

// run writes batches until Close.
func (s *Sink) run() {
	defer close(s.done)
	defer s.out.close()
	for {
		select {
		case <-s.wake:
			s.gather()
			s.flush()
		case answer := <-s.reopen:
			s.flush()
			answer <- s.openAnew()
		case <-s.closing:
			s.flush()
			return
		}
	}
}

// gather waits for lines that can share a write.
func (s *Sink) gather() {
	timer := time.NewTimer(flushEvery)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.full:
	case <-s.closing:
	}
}

// flush writes what waits.
func (s *Sink) flush() {
	s.mu.Lock()
	batch, lines, lost := s.waiting, s.lines, s.lost
	s.waiting, s.lines, s.lost = s.spare[:0], 0, 0
	s.mu.Unlock()
	select {
	case <-s.full: // of this batch
	default:
	}
	written, err := s.out.write(batch)
	if missing := lines - bytes.Count(batch[:written], newline); err != nil && missing > 0 {
		lost += missing
		if s.opt.Dropped != nil {
			s.opt.Dropped(missing)
		}
	}
	s.tell(lost, lines > 0, err)
	if s.spare = batch; cap(batch) > keptSize {
		s.spare = nil
	}
}

var newline = []byte{'\n'}

// tell logs the beginning and the end of an episode of losses.
func (s *Sink) tell(lost int, wrote bool, err error) {
	s.missing += lost
	switch {
	case lost > 0 && !s.lossy:
		s.lossy = true
		s.opt.Log.Error("lines of the access log are lost", zap.String("file", s.opt.Path), zap.Int("lines", lost), zap.Error(err))
	case lost == 0 && wrote && s.lossy:
		s.opt.Log.Warn("the access log is written again", zap.String("file", s.opt.Path), zap.Int("lines_lost", s.missing))
		s.lossy, s.missing = false, 0
	}
}

// openAnew replaces the file.
func (s *Sink) openAnew() error {
	next, err := openOutput(s.opt)
	if err != nil {
		s.opt.Log.Error("the access log could not be opened anew; the file before stays in use", zap.Error(err))
		return err
	}
	s.out.close()
	s.out = next
	return nil
}
