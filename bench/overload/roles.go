package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"time"
)

// roles are what this program does in processes of its own.
var roles = map[string]func(context.Context, []string) error{
	"backend": backendRole, "load": loadRole,
}

// backendRole answers every request with 200 bytes after a while.
func backendRole(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return errors.New("usage: backend ADDRESS WAIT")
	}
	wait, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { ln.Close() })
	for {
		c, err := ln.Accept()
		if err != nil {
			return nil
		}
		go answerAll(c, wait)
	}
}

var backendAnswer = []byte("HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + strings.Repeat("s", 200))

// answerAll answers the requests of a connection, which have no bodies.
func answerAll(c net.Conn, wait time.Duration) {
	defer c.Close()
	head := make([]byte, 0, 4<<10)
	for {
		n, err := c.Read(head[len(head):cap(head)])
		head = head[:len(head)+n]
		if err != nil || len(head) == cap(head) {
			return
		}
		for {
			end := bytes.Index(head, []byte("\r\n\r\n"))
			if end < 0 {
				break
			}
			head = append(head[:0], head[end+4:]...)
			if wait > 0 {
				time.Sleep(wait)
			}
			if _, err := c.Write(backendAnswer); err != nil {
				return
			}
		}
	}
}

// loadRole runs a load and prints its result.
func loadRole(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: load JSON")
	}
	var l load
	if err := json.Unmarshal([]byte(args[0]), &l); err != nil {
		return err
	}
	r, err := l.run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}
