package certs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFile bounds each file in bytes.
const maxFile = 1 << 20

// contents are what the files of a Config held when they were read.
type contents struct {
	files map[string]content
	sum   [sha256.Size]byte // of all names, bytes and failures
}

// content is what one file held.
type content struct {
	data []byte
	mode fs.FileMode
	err  error // it could not be read
}

// paths are the files that a Config names.
func (c *Config) paths() []string {
	var all []string
	for _, p := range c.Pairs {
		all = append(all, p.Cert, p.Key)
		if p.OCSP != "" {
			all = append(all, p.OCSP)
		}
	}
	if c.ClientCA != "" {
		all = append(all, c.ClientCA)
	}
	return all
}

// read reads the files of a Config.
func (c *Config) read() *contents {
	all := &contents{files: map[string]content{}}
	sum := sha256.New()
	for _, path := range c.paths() {
		f, ok := all.files[path]
		if !ok {
			f = readFile(path)
			all.files[path] = f
		}
		fmt.Fprintf(sum, "%q %d %v\n", path, len(f.data), f.err)
		sum.Write(f.data)
	}
	sum.Sum(all.sum[:0])
	return all
}

// readFile reads a regular file. Anything else is refused unopened: a pipe would
// block.
func readFile(path string) content {
	info, err := os.Stat(path)
	if err != nil {
		return content{err: cause(err)}
	}
	if !info.Mode().IsRegular() {
		return content{err: errors.New("it is not a regular file")}
	}
	f, err := os.Open(path)
	if err != nil {
		return content{err: cause(err)}
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is longer than %d bytes", maxFile)
	}
	return content{data, info.Mode(), cause(err)}
}

// cause strips the operation and the path, which the reports name already.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
