package sock

import (
	"net"
	"testing"
	"time"

	"sluice/proxy/buffer"
)

// lookAtAll has the sweeper look at all connections once, as it does each second.
func lookAtAll() {
	for i := range sweeper.shards {
		sweeper.shards[i].rescue()
	}
}

// waits has a goroutine wait on a connection for a client, and returns what the
// wait came to.
func waits(c, client *Conn) chan error {
	c.WaitsFor(client)
	c.SetTimeout(time.Hour)
	done := make(chan error, 1)
	go func() {
		var b buffer.Buffer
		done <- c.Fill(&b)
		b.Free()
	}()
	return done
}

func TestAClientThatLeftEndsTheWaitForIt(t *testing.T) {
	onEach(t, func(t *testing.T, client pair) {
		up := tcpPair(t)
		done := waits(up.c, client.c)
		client.peer.Close()
		for end := time.Now().Add(5 * time.Second); ; {
			lookAtAll()
			select {
			case err := <-done:
				if err == nil || !client.c.Left() || !up.c.TimedOut() || up.c.Left() {
					t.Errorf("ended by %v; left %v", err, client.c.Left())
				}
				return
			case <-time.After(10 * time.Millisecond):
			}
			if time.Now().After(end) {
				t.Fatal("nobody noticed")
			}
		}
	})
}

// TestOnlyALongWaitIsEnded: a wait is looked at twice; one that is new, without
// a time, for nobody, or for a client that is there, goes on.
func TestOnlyALongWaitIsEnded(t *testing.T) {
	for name, prepare := range map[string]func(up, client pair){
		"a new wait each time": func(up, client pair) { client.peer.Close() },
		"no time":              func(up, client pair) { client.peer.Close(); up.c.SetTimeout(0) },
		"for nobody":           func(up, client pair) { client.peer.Close(); up.c.WaitsFor(nil) },
		"for one that is here": func(up, client pair) {},
		"for one that asks":    func(up, client pair) { client.peer.Write([]byte("GET")); client.peer.(*net.TCPConn).CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			up, client := tcpPair(t), tcpPair(t)
			done := waits(up.c, client.c)
			prepare(up, client)
			for i := range 5 {
				if name == "a new wait each time" {
					up.c.SetTimeout(time.Hour + time.Duration(i)*time.Minute)
				}
				lookAtAll()
			}
			if client.c.Left() || up.c.TimedOut() {
				t.Error("the wait was ended")
			}
			up.peer.Write([]byte("x"))
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}
