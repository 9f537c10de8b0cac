package proxy

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"
)

// handshakeFailures awaits that n handshakes have failed, by the count.
func (r *rig) handshakeFailures(n uint64) {
	r.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		if r.stats.Process().HandshakeFailures["test"] == n {
			return
		}
		<-tick.C
	}
	r.t.Errorf("counted %v, want %d", r.stats.Process().HandshakeFailures, n)
}

func TestAHandshakeThatStallsEnds(t *testing.T) {
	t.Parallel()
	server, _ := tlsConfigs(t)
	r := newRig(t, nil, func(r *rig) { r.listener.TLS, r.listener.HeadTimeout = server, 100*time.Millisecond })
	for _, begun := range []string{"", "\x16\x03\x01\x02\x00\x01\x00"} {
		c := r.dial()
		if _, err := io.WriteString(c, begun); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Errorf("after %q the connection stays: %v", begun, err)
		}
	}
	r.handshakeFailures(2)
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

func TestWhatIsNoHandshakeIsCounted(t *testing.T) {
	server, _ := tlsConfigs(t)
	r := newRig(t, nil, func(r *rig) { r.listener.TLS = server })
	c := r.dial()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	io.Copy(io.Discard, c)
	old := tls.Client(r.dial(), &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err := old.Handshake(); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	r.handshakeFailures(2)
}

// For the validation of a domain no client certificate is asked for: what comes
// after it would go around that.
func TestAConnectionForAValidationCarriesNoRequest(t *testing.T) {
	server, clientTLS := tlsConfigs(t)
	server.NextProtos = []string{"http/1.1", "acme-tls/1"}
	clientTLS.NextProtos = []string{"acme-tls/1"}
	r := newRig(t, map[string]string{"v1": "127.0.0.1:1"}, func(r *rig) { r.listener.TLS = server })
	c := r.dialTLS(clientTLS)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if got, _ := io.ReadAll(c); len(got) > 0 {
		t.Errorf("answered %q", got)
	}
}
