package sock

import (
	"io"
	"net"
	"testing"
	"time"
)

func TestAvailable(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := New(nc)
	defer c.Close()

	waiting := make(chan int64)
	go func() {
		n, _ := c.Available()
		waiting <- n
	}()
	io.WriteString(peer, "hello")
	if n := <-waiting; n != 5 {
		t.Errorf("%d bytes are there, want 5", n)
	}
	got := make([]byte, 5)
	if n, err := c.Available(); n != 5 || err != nil {
		t.Errorf("asked again: %d, %v", n, err)
	}
	io.ReadFull(nc, got)
	peer.(*net.TCPConn).CloseWrite()
	if n, err := c.Available(); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
}

func TestAvailableTimesOut(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := New(nc)
	defer c.Close()
	c.SetTimeout(20 * time.Millisecond)
	if n, err := c.Available(); err == nil || !c.TimedOut() {
		t.Errorf("%d, %v", n, err)
	}
}
