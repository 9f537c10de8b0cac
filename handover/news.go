package handover

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// After left, the connection stays: the successor tells news of its state, so
// that requests which still come over connections of the predecessor are served
// by what is in force.
//
//	successor    predecessor
//	news      ->            its size, and then packets with that many bytes
//	          <- seen       it is in force there too

// kinds of messages, after left.
const (
	kindNews = "news"
	kindSeen = "seen"
)

// maxNews bounds the size of one piece of news.
const maxNews = 256 << 20

// Tell tells the predecessor news and waits, for a time at most, until it has
// seen to them. After an error there is nobody to be told any more; it is
// io.EOF where the predecessor has ended.
func (t *Takeover) Tell(news []byte, within time.Duration) error {
	if len(news) > maxNews {
		return fmt.Errorf("the news have %d bytes, more than %d", len(news), maxNews)
	}
	if err := t.conn.SetDeadline(time.Now().Add(within)); err != nil {
		return err
	}
	if err := send(t.conn, message{Kind: kindNews, Size: len(news)}); err != nil {
		return ended(err)
	}
	for len(news) > 0 {
		n, err := t.conn.Write(news[:min(len(news), maxMessage)])
		if err != nil {
			return ended(err)
		}
		news = news[n:]
	}
	m, err := receive(t.conn, time.Now().Add(within))
	if err == nil && m.Kind != kindSeen {
		err = errMalformed
	}
	return ended(err)
}

// ended makes io.EOF of what tells that the other process has ended.
func ended(err error) error {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, errMalformed) || errors.Is(err, net.ErrClosed) {
		return err
	}
	return io.EOF
}

// Close ends the connection to the predecessor, which is told nothing more.
func (t *Takeover) Close() { t.conn.Close() }

// follow takes news of the successor in until it ends, or the door is closed.
func (d *Door) follow(c *net.UnixConn) error {
	for {
		m, err := receive(c, time.Time{})
		if err != nil {
			return err
		}
		if m.Kind != kindNews || m.Size < 0 || m.Size > maxNews {
			return errMalformed
		}
		news, err := receiveNews(c, m.Size)
		if err != nil {
			return err
		}
		d.terms.News(news)
		_ = c.SetWriteDeadline(time.Now().Add(helloTime))
		if err := send(c, message{Kind: kindSeen}); err != nil {
			return err
		}
	}
}

// receiveNews reads as many bytes as were announced. Memory is taken as they
// come.
func receiveNews(c *net.UnixConn, size int) ([]byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(helloTime)); err != nil {
		return nil, err
	}
	var news []byte
	packet := make([]byte, maxMessage)
	for len(news) < size {
		n, err := c.Read(packet)
		if err != nil {
			return nil, err
		}
		if n == 0 || len(news)+n > size {
			return nil, errMalformed
		}
		news = append(news, packet[:n]...)
	}
	return news, nil
}
