package configs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Limits of the files that are read.
const (
	maxFile   = 16 << 20 // the configuration
	maxSecret = 4 << 10  // a secret
	maxPEM    = 1 << 20  // a certificate chain, key or list of authorities
	maxTokens = 16 << 20 // a list of tokens
)

// sources are the files that a configuration was made from, by path. A
// configuration may have changed if and only if its sources have.
type sources map[string]source

// source is what a file held when it was read.
type source struct {
	sum  [sha256.Size]byte // zero: it could not be read
	most int64             // the limit that it was read with
}

// read returns the content of a regular file and remembers its hash. Anything
// else is refused unopened: a pipe would block the start.
func (s sources) read(path string, most int64) ([]byte, fs.FileMode, error) {
	s[path] = source{most: most}
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("it is not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, cause(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return nil, 0, cause(err)
	}
	if int64(len(data)) > most {
		return nil, 0, fmt.Errorf("it is longer than %d bytes", most)
	}
	s[path] = source{sha256.Sum256(data), most}
	return data, info.Mode(), nil
}

// now returns the sources as they are at this moment.
func (s sources) now() sources {
	current := make(sources, len(s))
	for path, old := range s {
		// What cannot be read has the zero sum: that is the answer.
		_, _, _ = current.read(path, old.most)
	}
	return current
}

// cause strips the operation and the path, which the report names already.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
