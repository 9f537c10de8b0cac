package rig

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Answer is one response as it came over the wire.
type Answer struct {
	Status  int
	Version string // who answered: the field Answered-By of the backends
	Cookie  string // NAME=VALUE of the first Set-Cookie; "" if there is none
	Bytes   int64  // head and body, as they were before TLS
}

// Client is one keep-alive connection that asks one request at a time.
type Client struct {
	conn  net.Conn
	in    *bufio.Reader
	read  int64 // bytes taken off the connection
	limit time.Duration
}

// Dial opens a connection on which each request may take limit.
func Dial(addr string, limit time.Duration) (*Client, error) {
	conn, err := net.DialTimeout("tcp", addr, limit)
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, limit: limit}
	c.in = bufio.NewReader(readCounter{c})
	return c, nil
}

// DialTLS is Dial, over TLS unless config is nil.
func DialTLS(addr string, limit time.Duration, config *tls.Config) (*Client, error) {
	c, err := Dial(addr, limit)
	if err != nil || config == nil {
		return c, err
	}
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(addr)
	}
	secure := tls.Client(c.conn, config)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := secure.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	c.conn = secure
	return c, nil
}

// readCounter reads from the client's connection and counts.
type readCounter struct{ c *Client }

func (r readCounter) Read(p []byte) (int, error) {
	n, err := r.c.conn.Read(p)
	r.c.read += int64(n)
	return n, err
}

// Get asks for a path, with a cookie unless it is "", and reads the whole
// answer.
func (c *Client) Get(path, cookie string) (Answer, error) {
	if cookie != "" {
		cookie = "Cookie: " + cookie + "\r\n"
	}
	if err := c.conn.SetDeadline(time.Now().Add(c.limit)); err != nil {
		return Answer{}, err
	}
	before := c.read
	if _, err := fmt.Fprintf(c.conn, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, c.conn.RemoteAddr(), cookie); err != nil {
		return Answer{}, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return Answer{}, err
	}
	a := answerOf(resp)
	a.Bytes = c.read - before
	return a, nil
}

// answerOf returns what the head of a response tells.
func answerOf(resp *http.Response) Answer {
	a := Answer{Status: resp.StatusCode, Version: resp.Header.Get("Answered-By")}
	if set := resp.Cookies(); len(set) > 0 {
		a.Cookie = set[0].Name + "=" + set[0].Value
	}
	return a
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// GetOnce asks one request on a connection of its own.
func GetOnce(addr, path, cookie string, limit time.Duration) (Answer, error) {
	c, err := Dial(addr, limit)
	if err != nil {
		return Answer{}, err
	}
	defer c.Close()
	return c.Get(path, cookie)
}
