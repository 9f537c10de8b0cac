package accesslog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// output is what a sink writes to: a file of its own or another's writer.
type output struct {
	w    io.Writer
	file *os.File // nil: w is another's
	torn bool     // the last write ended within a line
}

// writeTime is how long a pipe may take a batch. Files have no such time: there
// the kernel decides.
const writeTime = time.Second

// openOutput opens the file, if there is one. A pipe that nobody reads is an
// error, where a plain open would wait for a reader.
func openOutput(opt SinkOptions) (output, error) {
	if opt.Path == "" {
		return output{w: opt.Out}, nil
	}
	f, err := os.OpenFile(opt.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|syscall.O_NONBLOCK, 0o640)
	if errors.Is(err, syscall.ENXIO) {
		return output{}, &fs.PathError{Op: "open", Path: opt.Path, Err: errors.New("it is a pipe that nobody reads, or a socket")}
	}
	if err != nil {
		return output{}, err
	}
	return output{w: f, file: f}, nil
}

// write writes whole lines and returns how many bytes came through. A line that
// an earlier write left unfinished is ended first, lest it swallow the next.
func (o *output) write(batch []byte) (int, error) {
	if len(batch) == 0 || o.w == nil {
		return len(batch), nil
	}
	if o.file != nil {
		_ = o.file.SetWriteDeadline(time.Now().Add(writeTime)) // files on disk have none
	}
	if o.torn {
		if _, err := o.w.Write(newline); err != nil {
			return 0, err
		}
		o.torn = false
	}
	n, err := o.w.Write(batch)
	if n < 0 || n > len(batch) {
		return 0, fmt.Errorf("a writer that claims %d of %d bytes", n, len(batch))
	}
	if err == nil && n < len(batch) {
		err = io.ErrShortWrite
	}
	if n > 0 {
		o.torn = batch[n-1] != '\n'
	}
	return n, err
}

// close closes a file that is the sink's own.
func (o *output) close() {
	if o.file != nil {
		o.file.Close()
	}
}
