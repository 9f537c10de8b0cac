package client

import (
	"crypto/sha1" // #nosec: RFC 6455 says so
	"encoding/base64"
)

// accepted is what a server answers to a key (RFC 6455, section 4.2.2).
func accepted(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
