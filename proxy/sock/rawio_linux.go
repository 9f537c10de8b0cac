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
