package sock

import (
	"syscall"
	"unsafe"
)

// The sockets here never block (they are in non-blocking mode, and the flags
// say it again), so these calls skip what the syscall package does for calls
// that might: telling the scheduler before and after. They also spare the
// kernel the way through the file system's read and write. Both together are
// worth some hundred nanoseconds of a request.

// recv reads what has arrived. It returns 0 and no error at the end of the
// stream, and EAGAIN where nothing has come. p must not be empty.
func recv(fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// send hands over as much of p as the socket takes. A connection that the peer
// has reset is an error, and raises no signal.
func send(fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// fionread asks for the number of bytes that can be read (ioctl_tty(2)).
const fionread = 0x541B

// pending returns how many bytes can be read, with the errors of recv.
func pending(fd uintptr) (int, error) {
	var n int32
	if _, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, fd, fionread, uintptr(unsafe.Pointer(&n))); errno == 0 && n > 0 {
		return int(n), nil
	}
	var one [1]byte
	got, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return max(got, 0), err
}

// look reads the first byte that has arrived and leaves it there.
func look(fd uintptr) error {
	var one [1]byte
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd,
		uintptr(unsafe.Pointer(&one)), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// pollRDHUP is reported when the peer has ended its direction (poll(2)).
const pollRDHUP = 0x2000

// Also reported: an error, as after a reset, and an end of both directions.
const pollErrHup = 0x8 | 0x10

// peerEnded reports whether the peer has ended its direction of a connection. Of
// what is sealed nobody can tell here whether unread bytes are more than the
// farewell of TLS; of what is plain, unread bytes are a request that came before
// the end.
func peerEnded(fd uintptr, sealed bool) bool {
	poll := struct {
		fd              int32
		events, revents int16
	}{fd: int32(fd), events: pollRDHUP}
	var now syscall.Timespec
	n, _, errno := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	switch {
	case errno != 0 || n == 0:
		return false
	case sealed || poll.revents&pollErrHup != 0:
		return true
	}
	return atEnd(fd)
}
