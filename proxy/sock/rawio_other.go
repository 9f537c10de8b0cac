//go:build !linux

package sock

import "syscall"

// recv reads what has arrived. It returns 0 and no error at the end of the
// stream, and EAGAIN where nothing has come.
func recv(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

// send hands over as much of p as the socket takes.
func send(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }

// pending returns how many bytes can be read, or that there are so many at
// least, with the errors of recv.
func pending(fd uintptr) (int, error) {
	var some [4 << 10]byte
	n, _, err := syscall.Recvfrom(int(fd), some[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return max(n, 0), err
}

// look reads the first byte that has arrived and leaves it there.
func look(fd uintptr) error {
	var one [1]byte
	_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return err
}

// peerEnded reports whether the peer has ended its direction of a connection, as far
// as one can see without poll(2): nothing may be unread.
func peerEnded(fd uintptr, _ bool) bool { return atEnd(fd) }
