package rig

import (
	"fmt"
	"net"
	"strconv"
)

// The ports that FreeAddresses tries. They lie below Linux's ephemeral range
// (32768 and up), so that a client's source port can't take one between the
// look and the server's bind.
const (
	firstPort = 21000
	lastPort  = 29999
)

// FreeAddresses returns n addresses on 127.0.0.1 whose ports nobody uses.
func FreeAddresses(n int) ([]string, error) {
	free := make([]string, 0, n)
	for port := firstPort; port <= lastPort && len(free) < n; port++ {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		// Kept open until all are found, so that none is found twice.
		defer ln.Close()
		free = append(free, addr)
	}
	if len(free) < n {
		return nil, fmt.Errorf("only %d of %d free ports between %d and %d", len(free), n, firstPort, lastPort)
	}
	return free, nil
}
