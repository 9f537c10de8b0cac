package admin

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// maxTokenFile bounds a token file in bytes.
const maxTokenFile = 4 << 20

// recheck is how often at most the token file is looked at for a change.
const recheck = time.Second

// Tokens knows callers by their tokens. It follows changes of its file: a
// request looks for one if the last look is a second ago. A file that can't be
// read or holds a fault leaves the grants as they were, and Err says so.
type Tokens struct {
	path string
	log  *zap.Logger
	now  func() time.Time

	mu      sync.Mutex
	grants  []grant
	seen    os.FileInfo // of the file as last read, also if it was refused
	checked time.Time
	err     error
}

// OpenTokens reads a token file. It returns an error if the file can't be read,
// has a fault or has no token, since then nobody could call. log and now may be
// nil.
func OpenTokens(path string, log *zap.Logger, now func() time.Time) (*Tokens, error) {
	if log == nil {
		log = zap.NewNop()
	}
	if now == nil {
		now = time.Now
	}
	t := &Tokens{path: path, log: log, now: now, checked: now()}
	if err := t.read(); err != nil {
		return nil, fmt.Errorf("token file %s: %w", path, err)
	}
	if len(t.grants) == 0 {
		return nil, fmt.Errorf("token file %s: it holds no token; add a line name role sha256:<hex>", path)
	}
	return t, nil
}

// Find returns whose token it is.
func (t *Tokens) Find(token string) (Identity, bool) {
	return find(t.current(), token)
}

// Err returns why the last change of the file was refused, or nil.
func (t *Tokens) Err() error {
	t.current()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// current returns the grants in force, after a look at the file where one is due.
func (t *Tokens) current() []grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if now.Sub(t.checked) < recheck {
		return t.grants
	}
	t.checked = now
	info, err := os.Stat(t.path)
	if err == nil && t.err == nil && same(info, t.seen) {
		return t.grants
	}
	before := t.err
	if t.err = t.read(); t.err == nil {
		t.log.Info("admin: the token file was read anew", zap.Int("tokens", len(t.grants)))
	} else if before == nil || before.Error() != t.err.Error() {
		t.log.Error("admin: the token file is refused; the tokens before stay in force", zap.Error(t.err))
	}
	return t.grants
}

// same reports whether a file is as it was. A replaced file of the same size
// and time is another file.
func same(a, b os.FileInfo) bool {
	return b != nil && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size() && os.SameFile(a, b)
}

// read takes in the file. What it remembers as seen is from before the reading,
// so that a write in between shows at the next look.
func (t *Tokens) read() error {
	f, err := os.Open(t.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return err
	}
	if len(text) > maxTokenFile {
		return fmt.Errorf("it is larger than %d bytes", maxTokenFile)
	}
	grants, err := parseTokens(text)
	if err != nil {
		return err
	}
	t.grants, t.seen = grants, info
	return nil
}
