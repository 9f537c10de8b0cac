package proxy

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"testing"
)

// An endpoint that sends a second answer behind the first, a moment later, must
// not have it taken for the answer to the next request on that connection,
// which is somebody else's.
func TestLateUnaskedAnswerReachesNobody(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	answered, planted := make(chan struct{}), make(chan struct{})
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go plant(nc, answered, planted)
		}
	}()
	r := newRig(t, map[string]string{"v1": ln.Addr().String()})
	c := client(t)
	for i := range 20 {
		method := []string{"GET", "POST"}[i%2]
		req, err := http.NewRequest(method, "http://"+r.addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, body := r.do(c, req); res.StatusCode != 200 || body != "good" {
			t.Fatalf("request %d, %s: got %d %q", i, method, res.StatusCode, body)
		}
		answered <- struct{}{}
		<-planted
	}
}

// plant answers one request and, once the client has the answer, sends another.
func plant(nc net.Conn, answered <-chan struct{}, planted chan<- struct{}) {
	defer nc.Close()
	req, err := http.ReadRequest(bufio.NewReader(nc))
	if err != nil {
		return
	}
	io.Copy(io.Discard, req.Body)
	io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood")
	<-answered
	io.WriteString(nc, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON")
	planted <- struct{}{}
	io.Copy(io.Discard, nc) // until the proxy gives the connection up
}
