//go:build !linux

package sock

import "syscall"

// recv reads what has arrived. It returns 0 and no error at the end of the
// stream, and EAGAIN where nothing has come.
func recv(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

// send hands over as much of p as the socket takes.
func send(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }
