package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"
)

// TestALoadIsAnswered by the backend of the drills, at a rate and without one.
func TestALoadIsAnswered(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go answerAll(c, time.Millisecond)
		}
	}()
	for _, rate := range []float64{0, 500} {
		at := time.Now().Add(50 * time.Millisecond)
		r, err := load{Address: ln.Addr().String(), Connections: 20, Rate: rate, At: at, For: 300 * time.Millisecond, Keep: true, Idle: 3}.run(context.Background())
		if err != nil || r.OK < 20 || r.Shed+r.Other+r.Errors > 0 || int(r.OK) != len(r.Samples) {
			t.Errorf("at a rate of %v: %+v, %v", rate, r, err)
		}
		if rate > 0 && r.OK > 170 {
			t.Errorf("%d requests in 0.3 s at a rate of %v", r.OK, rate)
		}
		if d := r.between(at, at.Add(time.Hour)); len(d) == 0 || d.at(0.99) < time.Millisecond || !strings.HasPrefix(d.String(), "p50 ") {
			t.Errorf("took %v", d)
		}
	}
}

func TestLastShed(t *testing.T) {
	at := time.Unix(100, 0)
	r := result{Samples: []sample{{At: at.UnixNano() - 5, Status: 503}, {At: at.UnixNano() + 7, Status: 503}, {At: at.UnixNano() + 9, Status: 200}}}
	if d := r.lastShed(at); d != 7 {
		t.Errorf("%d", d)
	}
}

func TestFlags(t *testing.T) {
	for _, args := range [][]string{{}, {"-times", "0.5", "load_test.go"}, {"-slow", "load_test.go"}, {"no such file"}} {
		if _, err := parseFlags(args); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
	if o, err := parseFlags([]string{"load_test.go"}); err != nil || o.times != 5 {
		t.Errorf("%+v, %v", o, err)
	}
}
