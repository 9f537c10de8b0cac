// Package handover passes listening sockets from a running process to the one
// that takes its place, so that no connection is refused or lost between the
// two.
//
// The running process offers them (Offer) on a Unix socket of its own; its
// successor asks there (Take). Each message is one packet of JSON; the sockets
// travel beside theirs (SCM_RIGHTS, unix(7)):
//
//	successor    running
//	take      ->            who it is
//	          <- sockets    with the descriptors; or refused, with the reason
//	ready     ->            it serves; or failed, with the reason
//	          <- left       the sockets are the successor's alone
//
// Until left is on its way the running process goes back to work as before
// whenever the successor fails, ends or is silent for too long. One that is
// silent but alive is killed: it may hold what both need.
package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// Socket is a listening socket and what it was opened for.
type Socket struct {
	Name    string `json:"name"`    // of the listener
	Network string `json:"network"` // "tcp" or "unix"
	Address string `json:"address"` // as it was asked for: ":8080", not what became of it

	// Listener accepts on it. What it accepts, and its closing, is no concern
	// of the other processes that have the same socket.
	Listener net.Listener `json:"-"`
}

// Limits of what is passed. The kernel takes 253 descriptors in a message
// (SCM_MAX_FD).
const (
	MaxSockets = 250
	maxMessage = 64 << 10
)

// version is that of the protocol. A successor of another version is refused.
const version = 1

// kinds of messages.
const (
	kindTake    = "take"
	kindSockets = "sockets"
	kindRefused = "refused"
	kindReady   = "ready"
	kindFailed  = "failed"
	kindLeft    = "left"
)

// message is one packet.
type message struct {
	Version int      `json:"version"`
	Kind    string   `json:"kind"`
	PID     int      `json:"pid"`
	Reason  string   `json:"reason,omitempty"`
	Sockets []Socket `json:"sockets,omitempty"`
	Size    int      `json:"size,omitempty"` // of news
}

// errMalformed is returned for packets that are no message.
var errMalformed = errors.New("what came is no message of a handover")

// maxReason bounds the text of a reason, which goes to the other's log.
const maxReason = 4 << 10

// send sends a message, and with it the descriptors of its sockets.
func send(c *net.UnixConn, m message) error {
	m.Version, m.PID = version, os.Getpid()
	m.Reason = m.Reason[:min(len(m.Reason), maxReason)]
	if len(m.Sockets) > MaxSockets {
		return fmt.Errorf("%d sockets are more than %d", len(m.Sockets), MaxSockets)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(text) > maxMessage {
		return fmt.Errorf("the list of sockets has %d bytes, more than %d", len(text), maxMessage)
	}
	return withDescriptors(m.Sockets, nil, func(fds []int) error {
		var rights []byte
		if len(fds) > 0 {
			rights = syscall.UnixRights(fds...)
		}
		_, _, err := c.WriteMsgUnix(text, rights, nil)
		return err
	})
}

// withDescriptors calls do with the descriptors of sockets, which stay open
// until it returns. (net.TCPListener.File would do, but for the blocking mode
// that it may leave the shared socket in.)
func withDescriptors(sockets []Socket, fds []int, do func([]int) error) error {
	if len(sockets) == 0 {
		return do(fds)
	}
	sc, ok := sockets[0].Listener.(syscall.Conn)
	if !ok {
		return fmt.Errorf("the socket of %s has no descriptor", sockets[0].Name)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var result error
	if err := raw.Control(func(fd uintptr) { result = withDescriptors(sockets[1:], append(fds, int(fd)), do) }); err != nil {
		return err
	}
	return result
}

// receive waits for a message until a moment. Its sockets have their listeners.
func receive(c *net.UnixConn, until time.Time) (message, error) {
	if err := c.SetReadDeadline(until); err != nil {
		return message{}, err
	}
	text, rights := make([]byte, maxMessage+1), make([]byte, syscall.CmsgSpace(4*(MaxSockets+1)))
	n, rn, flags, _, err := c.ReadMsgUnix(text, rights)
	if err != nil {
		return message{}, err
	}
	if n == 0 {
		return message{}, io.EOF
	}
	fds, err := descriptors(rights[:rn])
	if err == nil && flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0 {
		err = errMalformed
	}
	m := message{}
	if err == nil {
		m, err = decode(text[:n], len(fds))
	}
	if err != nil {
		closeAll(fds)
		return message{}, err
	}
	return m, adopt(m.Sockets, fds)
}

// decode reads a message that came with so many descriptors.
func decode(text []byte, fds int) (message, error) {
	var m message
	if err := json.Unmarshal(text, &m); err != nil || m.Kind == "" {
		return message{}, errMalformed
	}
	if m.Version != version {
		return message{}, fmt.Errorf("the other process speaks version %d of the handover, this one %d", m.Version, version)
	}
	if len(m.Sockets) != fds {
		return message{}, fmt.Errorf("%w: %d sockets are named and %d came", errMalformed, len(m.Sockets), fds)
	}
	return m, nil
}

// descriptors parses what came beside a message.
func descriptors(rights []byte) ([]int, error) {
	parts, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, errMalformed
	}
	var all []int
	for i := range parts {
		fds, err := syscall.ParseUnixRights(&parts[i])
		if err != nil {
			closeAll(all)
			return nil, errMalformed
		}
		all = append(all, fds...)
	}
	return all, nil
}

// adopt makes listeners of descriptors, which it closes in any case.
func adopt(sockets []Socket, fds []int) error {
	for i := range sockets {
		ln, err := listenerOf(os.NewFile(uintptr(fds[i]), sockets[i].Name))
		if err != nil {
			closeAll(fds[i+1:])
			Close(sockets[:i])
			return fmt.Errorf("the socket of %s: %w", sockets[i].Name, err)
		}
		sockets[i].Listener = ln
	}
	return nil
}

// listenerOf makes a listener of a file, which it closes. A Unix socket stays
// in the file system when the listener is closed.
func listenerOf(f *os.File) (net.Listener, error) {
	ln, err := net.FileListener(f)
	f.Close()
	if u, ok := ln.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	return ln, err
}

// Close closes the listeners of sockets that nobody needs.
func Close(sockets []Socket) {
	for _, s := range sockets {
		s.Listener.Close()
	}
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}
