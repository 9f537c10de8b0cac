package handover

import (
	"net"
	"os"
	"syscall"
)

// peer is the process at the other end, as the kernel knows it.
type peer struct{ pid, uid int }

// peerOf returns who connected, or who listened (SO_PEERCRED, unix(7)).
func peerOf(c *net.UnixConn) (peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var cred *syscall.Ucred
	var credErr error
	err = raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err == nil {
		err = credErr
	}
	if err != nil {
		return peer{}, err
	}
	return peer{pid: int(cred.Pid), uid: int(cred.Uid)}, nil
}

// kill ends a process that is silent. It still holds its end of the connection,
// so the number is its own and not that of a later process.
func (p peer) kill() {
	if p.pid > 1 && p.pid != os.Getpid() {
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
	}
}
