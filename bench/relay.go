package main

import (
	"io"
	"net"
)

// relay is the floor: it copies bytes between each client connection and a
// backend connection of its own, and looks at none of them. It ends with the
// process.
func relay(listen, backend string) error {
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	for {
		client, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer client.Close()
			server, err := net.Dial("tcp", backend)
			if err != nil {
				return
			}
			defer server.Close()
			go pump(server, client)
			pump(client, server)
		}()
	}
}

// pump copies until either side ends, then closes both. It hides the types of
// the connections: plain reads and writes cost less than splice(2) for small
// messages.
func pump(dst, src net.Conn) {
	defer dst.Close()
	defer src.Close()
	_, _ = io.CopyBuffer(struct{ io.Writer }{dst}, struct{ io.Reader }{src}, make([]byte, 64<<10))
}
