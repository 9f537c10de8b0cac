package configs

import "strings"

// unixPrefix begins the address of a Unix socket, before its path.
const unixPrefix = "unix:"

// maxSocket is the longest path of a Unix socket: sun_path has 108 bytes, the
// last of them 0 (unix(7)).
const maxSocket = 107

// socket checks the address of a Unix socket.
func (c *checker) socket(path, address string) {
	file := strings.TrimPrefix(address, unixPrefix)
	if !strings.HasPrefix(file, "/") || len(file) > maxSocket || hasControls(file) {
		c.fail(path, "want unix:/path, at most 107 bytes of it", "%s is not a socket", quote(address))
	}
}
