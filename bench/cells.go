package main

import (
	"fmt"
	"slices"
	"strings"

	"sluice/bench/peers"
)

// protocol is how clients speak to the peers. The backends are spoken to in
// HTTP/1.1 in the clear, always.
type protocol string

const (
	inClear protocol = "h1"  // HTTP/1.1, no TLS
	overTLS protocol = "tls" // HTTP/1.1 over TLS
	http2   protocol = "h2"  // HTTP/2 over TLS
)

// secure tells whether the protocol lies over TLS.
func (p protocol) secure() bool { return p != inClear }

// cell is one load under which every peer is measured.
type cell struct {
	Protocol    protocol   `json:"protocol"`
	Size        peers.Size `json:"size"`
	Connections int        `json:"connections"`
	// Streams are the requests that each connection of HTTP/2 has open; 0 with
	// HTTP/1.1.
	Streams int `json:"streams,omitempty"`
	// New makes every request a new session: no cookie, so the proxy draws a
	// version and sets a pin. Otherwise all carry one valid pin.
	New bool `json:"new_sessions"`
}

func (c cell) String() string {
	sessions := "pinned"
	if c.New {
		sessions = "new sessions"
	}
	prefix := map[protocol]string{inClear: "", overTLS: "TLS, HTTP/1.1, ", http2: "TLS, HTTP/2, "}[c.Protocol]
	return fmt.Sprintf("%s%s, %s, %s", prefix, c.Size.Name, c.clients(), sessions)
}

// clients says how many connections there are, and streams.
func (c cell) clients() string {
	if c.Protocol == http2 {
		return fmt.Sprintf("%d connections × %d streams", c.Connections, c.Streams)
	}
	return fmt.Sprintf("%d connections", c.Connections)
}

// takes tells whether a peer is measured in the cell.
func (c cell) takes(p peers.Peer) bool {
	switch {
	case c.Protocol.secure() != (p.TLS != nil):
		return false
	case p.LargeOnly:
		return c.Size.Bytes >= 1<<20 && c.Connections == 64
	case p.Floor:
		return c.Connections == 64 && !c.New
	}
	return true
}

// allParts returns what a run may consist of, in the order of the report.
func allParts() []string {
	return []string{string(inClear), string(overTLS), string(http2), "idle", "routing"}
}

// chooseParts takes the parts by name; "" are all.
func (o *options) chooseParts(names string) error {
	o.parts = allParts()
	if names == "" {
		return nil
	}
	o.parts = strings.Split(names, ",")
	for _, name := range o.parts {
		if !slices.Contains(allParts(), name) {
			return fmt.Errorf("-only: unknown %q; known are %s", name, strings.Join(allParts(), ", "))
		}
	}
	return nil
}

// has tells whether a part is measured.
func (o options) has(part string) bool { return slices.Contains(o.parts, part) }

// cells returns the matrix of the chosen parts.
func (o options) cells() []cell {
	var all []cell
	if o.has(string(inClear)) {
		all = append(all, o.plainCells()...)
	}
	if o.has(string(overTLS)) {
		for _, s := range peers.Sizes()[:2] {
			all = append(all, cell{Protocol: overTLS, Size: s, Connections: 64})
		}
	}
	if o.has(string(http2)) {
		for _, streams := range []int{4, 32} {
			all = append(all, http2Cell(streams))
		}
	}
	return all
}

// plainCells returns each size by each number of connections, pinned, and one
// cell of new sessions with the smallest answer.
func (o options) plainCells() []cell {
	var all []cell
	for _, s := range o.sizes {
		for _, n := range o.conns {
			all = append(all, cell{Protocol: inClear, Size: s, Connections: n})
		}
	}
	middle := o.conns[len(o.conns)/2]
	return append(all, cell{Protocol: inClear, Size: o.sizes[0], Connections: middle, New: true})
}

// http2Cell is one of HTTP/2 over TLS, 16 connections with the smallest answer.
func http2Cell(streams int) cell {
	return cell{Protocol: http2, Size: peers.Sizes()[0], Connections: 16, Streams: streams}
}

// needsTLS tells whether any cell, or the idle memory, needs a certificate.
func (o options) needsTLS() bool {
	return o.has(string(overTLS)) || o.has(string(http2)) || o.has("idle")
}
