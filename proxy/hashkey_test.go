package proxy

import (
	"net/http"
	"strconv"
	"testing"

	"sluice/proxy/upstream"
)

// named starts a backend that answers with its name.
func named(t *testing.T, name string) string {
	return backend(t, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(name)) })
}

// byHash balances the rig's versions by a key.
func byHash(by HashBy) option {
	return func(r *rig) {
		r.upstream.Balance = upstream.Hash
		r.settings.HashBy = by
	}
}

func TestHashKeepsToAnEndpoint(t *testing.T) {
	endpoints := map[string]string{"v1": named(t, "a") + "," + named(t, "b") + "," + named(t, "c")}
	for _, tt := range []struct {
		by          HashBy
		path, other string // a request of the same key, and how its value is varied
		field       string
	}{
		{HashBy{Kind: HashHeader, Name: "x-tenant"}, "/", "", "X-Tenant"},
		{HashBy{Kind: HashCookie, Name: "cart"}, "/", "cart=", "Cookie"},
		{HashBy{Kind: HashPath}, "", "", ""},
	} {
		r, c := newRig(t, endpoints, byHash(tt.by)), client(t)
		seen := map[string]bool{}
		for key := range 48 { // all miss one of three endpoints once in 100 million times
			value := strconv.Itoa(key)
			first := ""
			for try := range 4 {
				var body string
				if tt.field == "" {
					_, body = r.get(c, "/"+value+"?"+string(rune('a'+try)))
				} else {
					_, body = r.get(c, tt.path, tt.field, tt.other+value)
				}
				if first == "" {
					first = body
				}
				if body != first {
					t.Fatalf("%+v: key %s went to %s and to %s", tt.by, value, first, body)
				}
			}
			seen[first] = true
		}
		if len(seen) != 3 {
			t.Errorf("%+v: 48 keys went to %d of three endpoints", tt.by, len(seen))
		}
	}
}

func TestHashOfClient(t *testing.T) {
	r := newRig(t, map[string]string{"v1": named(t, "a") + "," + named(t, "b")}, byHash(HashBy{Kind: HashClient}))
	first := ""
	for range 8 {
		_, body := r.get(client(t), "/") // a connection of its own each time
		if first == "" {
			first = body
		}
		if body != first {
			t.Fatal("one client was sent to two endpoints")
		}
	}
}

// A request without the key is served all the same.
func TestHashWithoutKey(t *testing.T) {
	r := newRig(t, map[string]string{"v1": named(t, "a") + "," + named(t, "b")}, byHash(HashBy{Kind: HashHeader, Name: "x-tenant"}))
	c, seen := client(t), map[string]bool{}
	for range 64 {
		_, body := r.get(c, "/")
		seen[body] = true
	}
	if len(seen) != 2 {
		t.Errorf("requests without a key went to %v alone", seen)
	}
}

func TestHashingAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, by := range []HashBy{{Kind: HashClient}, {Kind: HashHeader, Name: "x-tenant"}, {Kind: HashCookie, Name: "b"}, {Kind: HashPath}} {
		request := "GET / HTTP/1.1\r\nHost: shop.example.com\r\nX-Tenant: 7\r\nCookie: a=1; b=2\r\n\r\n"
		r := newRig(t, map[string]string{"v1": plainBackend(t, "\r\n\r\n")}, byHash(by))
		if n := allocsPerRequest(t, newAsker(t, r.addr, request)); n > maxAllocs {
			t.Errorf("%+v: %.3f allocations a request", by, n)
		}
	}
}
