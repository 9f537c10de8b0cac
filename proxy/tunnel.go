package proxy

import (
	"io"
	"strings"

	"sluice/proxy/buffer"
	"sluice/proxy/sock"
	"sluice/proxy/upstream"
)

// tunneler is a codec that can hand over its connection after a 101.
type tunneler interface {
	// hijack returns the client's connection, and the bytes that the client
	// has sent already behind its request.
	hijack() (*sock.Conn, *buffer.Buffer)
}

// tunnel passes the 101 on and then bytes both ways until one side is done or
// nothing moved for the body timeout.
func (x *exchange) tunnel() {
	x.outcome.Status = 101
	x.close = true
	x.dropResponseFields()
	x.extra = x.extra[:0]
	t, ok := x.down.(tunneler)
	if !ok || x.down.begin(&x.res, x.extra, false) != nil || x.down.flush() != nil {
		x.endRelay(relayClientGone)
		return
	}
	x.target.Stats.TunnelOpened(x.peer.shard)
	x.keepForLog()
	client, early := t.hijack()
	x.up.In.Drop()
	done := make(chan int64, 1)
	go func() { done <- x.carry(x.up.Conn, client, early) }()
	x.bytesOut = x.carry(client, x.up.Conn, &x.up.In)
	x.bytesIn = <-done
	x.target.Stats.TunnelClosed(x.peer.shard)
	x.dropUpstream(upstream.Done)
}

// keepForLog copies what the access log tells of the request. The memory that
// it came in is the tunnel's from now on, and what passes there is secret.
func (x *exchange) keepForLog() {
	x.req.Method = strings.Clone(x.req.Method)
	x.req.Host = strings.Clone(x.req.Host)
	x.req.Path = strings.Clone(x.req.Path)
}

// carry copies from src to dst, at first what waits in the buffer, and returns
// how many bytes. When src has ended, dst is told; when either failed, both
// are ended, so that the other direction ends too.
func (x *exchange) carry(dst, src *sock.Conn, b *buffer.Buffer) (carried int64) {
	timeout := x.target.Settings.BodyTimeout
	for {
		for b.Len() > 0 {
			n, err := dst.Write(b.Bytes())
			carried += int64(n)
			if err != nil {
				src.Abort()
				dst.Abort()
				return carried
			}
			b.Consume(n)
		}
		src.SetTimeout(timeout)
		dst.SetTimeout(timeout)
		switch err := src.Fill(b); err {
		case nil:
		case io.EOF:
			dst.CloseWrite()
			return carried
		default:
			src.Abort()
			dst.Abort()
			return carried
		}
	}
}
