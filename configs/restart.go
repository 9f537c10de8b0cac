package configs

import "time"

// Upgrade is how a running process is replaced by another without a request
// lost: on SIGUSR2, or by "sluice serve --upgrade".
type Upgrade struct {
	// Socket is the Unix socket where the running process can be asked for its
	// listening sockets, by processes of the same user and of root alone.
	// Default: state.path with ".upgrade" behind it; without such a path, or
	// where it would be too long for a socket, there is none, and no upgrade.
	Socket string `yaml:"socket"`
	// Timeout is how long a successor may take until it serves. One that is
	// not ready by then is killed, and the running process goes on. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
	// Drain is how long the process that was replaced may go on with the
	// connections that it has: keep-alive connections for one more request
	// each, long answers and tunnels to their end. Default 10m.
	Drain time.Duration `yaml:"drain"`
}

// DefaultUpgrade is an Upgrade that the file says nothing of.
func DefaultUpgrade() Upgrade { return Upgrade{Timeout: 30 * time.Second, Drain: 10 * time.Minute} }

// completeUpgrade derives the path of the socket.
func (f *File) completeUpgrade() {
	f.beside(&f.Upgrade.Socket)
	if path := f.State.Path + ".upgrade"; f.Upgrade.Socket == "" && f.State.Backend == Bolt && f.State.Path != "" && len(path) <= maxSocket {
		f.Upgrade.Socket = path
	}
}

func (f *File) validateUpgrade(c *checker) {
	if len(f.Upgrade.Socket) > maxSocket {
		c.fail("upgrade.socket", "want a shorter one, such as /run/sluice/upgrade", "the path %s has %d bytes, more than the %d of a Unix socket", quote(f.Upgrade.Socket), len(f.Upgrade.Socket), maxSocket)
	}
	c.positive("upgrade.timeout", f.Upgrade.Timeout)
	c.positive("upgrade.drain", f.Upgrade.Drain)
}
