package resolve

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// written is an answer as text: address, weight if not 1, tier if not 0.
func written(a Answer) string {
	var words []string
	for _, e := range a.Endpoints {
		s := e.Addr.String()
		if e.Weight != 1 {
			s += fmt.Sprintf("*%.3g", e.Weight)
		}
		if e.Tier != 0 {
			s += fmt.Sprintf("/%d", e.Tier)
		}
		words = append(words, s)
	}
	return strings.Join(words, " ")
}

func TestLookup(t *testing.T) {
	z := newZone(t,
		"internal. 60 IN SOA ns.internal. admin.internal. 1 2 3 4 7",
		"web.internal. 30 IN A 10.0.0.2", "web.internal. 20 IN A 10.0.0.1", "web.internal. 40 IN AAAA fd00::1",
		"six.internal. 9 IN AAAA fd00::6",
		"odd.internal. 9 IN A 0.0.0.0", "odd.internal. 9 IN A 224.0.0.1", "odd.internal. 9 IN A 10.0.0.9", "odd.internal. 9 IN A 10.0.0.9",
		"alias.internal. 5 IN CNAME www.internal.", "www.internal. 50 IN CNAME web.internal.",
		"loop.internal. 5 IN CNAME loop.internal.",
		"mail.internal. 5 IN MX 10 web.internal.",
		"_http._tcp.web.internal. 15 IN SRV 10 3 8080 six.internal.", "_http._tcp.web.internal. 15 IN SRV 10 1 8081 six.internal.",
		"_http._tcp.web.internal. 15 IN SRV 20 0 8082 web.internal.",
		"_none._tcp.web.internal. 15 IN SRV 0 0 0 .",
		"_zero._tcp.web.internal. 8 IN SRV 0 0 80 six.internal.", "_zero._tcp.web.internal. 8 IN SRV 0 9 81 six.internal.",
		"_lost._tcp.web.internal. 15 IN SRV 0 0 80 nowhere.internal.", "_lost._tcp.web.internal. 15 IN SRV 0 0 80 six.internal.",
	)
	for _, tt := range []struct {
		endpoint, want string
		ttl            int // seconds
	}{
		{"dns://web.internal:80", "10.0.0.1:80 10.0.0.2:80 [fd00::1]:80", 20},
		{"dns://WEB.internal.:80", "10.0.0.1:80 10.0.0.2:80 [fd00::1]:80", 20},
		{"dns://six.internal:80", "[fd00::6]:80", 9},
		{"dns://odd.internal:80", "10.0.0.9:80", 9},
		{"dns://alias.internal:80", "10.0.0.1:80 10.0.0.2:80 [fd00::1]:80", 5},
		{"dns://nowhere.internal:80", "", 7},
		{"dns://mail.internal:80", "", 7},
		{"dns://loop.internal:80", "", 0},
		{"dns+srv://_http._tcp.web.internal", "[fd00::6]:8080*1.5 [fd00::6]:8081*0.5 10.0.0.1:8082*0.333/1 10.0.0.2:8082*0.333/1 [fd00::1]:8082*0.333/1", 9},
		{"dns+srv://_none._tcp.web.internal", "", 15},
		{"dns+srv://_zero._tcp.web.internal", "[fd00::6]:80*0.00222 [fd00::6]:81*2", 8},
		{"dns+srv://_lost._tcp.web.internal", "[fd00::6]:80", 7},
		{"dns+srv://_gone._tcp.web.internal", "", 7},
	} {
		a, err := lookUp(t, z.resolver(), tt.endpoint)
		if err != nil || written(a) != tt.want || a.TTL != time.Duration(tt.ttl)*time.Second || len(a.Unknown) > 0 {
			t.Errorf("%s: got %q, TTL %v, unknown %v, %v; want %q, %d s", tt.endpoint, written(a), a.TTL, a.Unknown, err, tt.want, tt.ttl)
		}
	}
}

func TestHostOfAnEndpoint(t *testing.T) {
	z := newZone(t, "web.internal. 30 IN A 10.0.0.2", "_http._tcp.web.internal. 15 IN SRV 10 3 8080 web.internal.")
	for _, endpoint := range []string{"dns://web.internal:80", "dns://web.internal.:80", "dns+srv://_http._tcp.web.internal"} {
		if a, err := lookUp(t, z.resolver(), endpoint); err != nil || a.Endpoints[0].Host != "web.internal" {
			t.Errorf("%s: got %+v, %v", endpoint, a, err)
		}
	}
}

func TestTruncatedAnswerIsAskedForByTCP(t *testing.T) {
	var records []string
	for i := range 1200 {
		records = append(records, fmt.Sprintf("web.internal. 30 IN A 10.1.%d.%d", i/250, i%250))
	}
	z := newZone(t, records...)
	z.change(func() { z.cutOff = true })
	a, err := lookUp(t, z.resolver(), "dns://web.internal:80")
	byTCP := 0
	z.change(func() { byTCP = z.byTCP })
	if err != nil || len(a.Endpoints) != MaxEndpoints || byTCP == 0 {
		t.Errorf("%d endpoints, %d answers by TCP, %v", len(a.Endpoints), byTCP, err)
	}
}

func TestFailingServers(t *testing.T) {
	broken := newZone(t)
	for _, kind := range []string{"A", "AAAA", "SRV"} {
		broken.change(func() { broken.rcodes["web.internal. "+kind] = dns.RcodeServerFailure })
	}
	good := newZone(t, "web.internal. 30 IN A 10.0.0.2")
	dead, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close() // whoever asks there is refused by the kernel
	for _, tt := range []struct {
		servers    []string
		want, fail string
	}{
		{[]string{broken.addr, good.addr}, "10.0.0.2:80", ""},
		{[]string{dead.LocalAddr().String(), good.addr}, "10.0.0.2:80", ""},
		{[]string{broken.addr}, "", "the server answered SERVFAIL"},
		{[]string{dead.LocalAddr().String()}, "", "connection refused"},
	} {
		a, err := lookUp(t, &Resolver{Servers: tt.servers}, "dns://web.internal:80")
		if written(a) != tt.want || (err == nil) != (tt.fail == "") || err != nil && !strings.Contains(err.Error(), tt.fail) {
			t.Errorf("%v: got %q, %v; want %q, %q", tt.servers, written(a), err, tt.want, tt.fail)
		}
	}
	if _, err := lookUp(t, &Resolver{Servers: []string{broken.addr}}, "dns+srv://_a._tcp.web.internal"); err != nil {
		t.Errorf("a name that does not exist: %v", err)
	}
	broken.change(func() { broken.rcodes["_a._tcp.web.internal. SRV"] = dns.RcodeRefused })
	if _, err := lookUp(t, &Resolver{Servers: []string{broken.addr}}, "dns+srv://_a._tcp.web.internal"); err == nil || !strings.Contains(err.Error(), "REFUSED") {
		t.Errorf("got %v", err)
	}
}

// What is not answered is said to be unknown, not to be empty.
func TestHalfAnAnswer(t *testing.T) {
	z := newZone(t, "web.internal. 30 IN A 10.0.0.2", "api.internal. 30 IN A 10.0.0.3",
		"_http._tcp.web.internal. 15 IN SRV 1 1 80 web.internal.", "_http._tcp.web.internal. 15 IN SRV 1 1 80 api.internal.")
	z.change(func() { z.rcodes["web.internal. AAAA"] = dns.RcodeServerFailure })
	a, err := lookUp(t, z.resolver(), "dns://web.internal:80")
	if want := []Question{{"web.internal", true}}; err != nil || written(a) != "10.0.0.2:80" || !slices.Equal(a.Unknown, want) || a.TTL != 30*time.Second {
		t.Errorf("got %+v, %v", a, err)
	}
	z.change(func() { z.rcodes["web.internal. A"] = dns.RcodeServerFailure })
	if a, err = lookUp(t, z.resolver(), "dns://web.internal:80"); err == nil {
		t.Errorf("neither family answered: got %+v", a)
	}
	a, err = lookUp(t, z.resolver(), "dns+srv://_http._tcp.web.internal")
	if want := []Question{{"web.internal", false}, {"web.internal", true}}; err != nil || written(a) != "10.0.0.3:80" || !slices.Equal(a.Unknown, want) {
		t.Errorf("got %+v, %v", a, err)
	}
	// No address in one family, and no word on the other: nothing is known.
	z.set(t)
	z.change(func() { clear(z.rcodes); z.rcodes["web.internal. A"] = dns.RcodeServerFailure })
	if a, err = lookUp(t, z.resolver(), "dns://web.internal:80"); err == nil {
		t.Errorf("got %+v", a)
	}
}

// Where AAAA is never answered, A must not wait for it.
func TestSilenceOnOneFamily(t *testing.T) {
	z := newZone(t, "web.internal. 30 IN A 10.0.0.2")
	z.change(func() { z.silent["web.internal. AAAA"] = true })
	begun := time.Now()
	a, err := lookUp(t, z.resolver(), "dns://web.internal:80")
	if err != nil || written(a) != "10.0.0.2:80" || len(a.Unknown) != 1 {
		t.Errorf("got %+v, %v", a, err)
	}
	if took := time.Since(begun); took > 1500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	z := newZone(t, "web.internal. 30 IN A 10.0.0.2")
	for _, tt := range []struct {
		lie  func(*dns.Msg)
		want string
	}{
		{func(m *dns.Msg) { m.Question[0].Name = "bank.example." }, "not for the question"},
		{func(m *dns.Msg) { m.Response = false }, "not for the question"},
		{func(m *dns.Msg) { m.Answer, m.RecursionAvailable = nil, false }, "does not look names up for others"},
		{func(m *dns.Msg) { m.Truncated = true }, "cut off even by TCP"},
	} {
		z.change(func() { z.lie = tt.lie })
		if a, err := lookUp(t, z.resolver(), "dns://web.internal:80"); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got %+v, %v; want %s", a, err, tt.want)
		}
	}
	// Records of another name are nobody's business.
	z.change(func() {
		z.lie = func(m *dns.Msg) {
			rr, _ := dns.NewRR("other.internal. 30 IN A 6.6.6.6")
			m.Answer = append(m.Answer, rr)
		}
	})
	if a, err := lookUp(t, z.resolver(), "dns://web.internal:80"); err != nil || written(a) != "10.0.0.2:80" {
		t.Errorf("got %+v, %v", a, err)
	}
}

// asSystem returns a resolver with files of its own in place of the system's.
func asSystem(t *testing.T, z *zone, hosts, resolv string) *Resolver {
	host, port, _ := net.SplitHostPort(z.addr)
	if host != "127.0.0.1" {
		t.Fatal(host)
	}
	dir := t.TempDir()
	r := &Resolver{hostsFile: filepath.Join(dir, "hosts"), resolvFile: filepath.Join(dir, "resolv.conf")}
	for path, text := range map[string]string{r.hostsFile: hosts, r.resolvFile: "nameserver 127.0.0.1\n" + resolv} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.port = port
	return r
}

func TestSystemFiles(t *testing.T) {
	z := newZone(t, "web.prod.internal. 30 IN A 10.0.0.2", "db.internal. 30 IN A 10.0.0.3", "db.internal.prod.internal. 30 IN A 10.6.6.6", "here. 1 IN A 10.6.6.6")
	r := asSystem(t, z, "# a comment\n10.0.0.7 here HERE.internal # web\nnot an address here\n::1 here\nfe80::1%eth0 here\n10.0.0.8\n", "search none.internal prod.internal\noptions ndots:1 timeout:2 attempts:1\n")
	for endpoint, want := range map[string]string{
		"dns://here:80":              "10.0.0.7:80 [::1]:80",
		"dns://here.Internal:80":     "10.0.0.7:80",
		"dns://web:80":               "10.0.0.2:80",
		"dns://web.prod.internal:80": "10.0.0.2:80",
		"dns://db.internal:80":       "10.0.0.3:80",
		"dns://localhost:80":         "127.0.0.1:80 [::1]:80",
		"dns://web.localhost:80":     "127.0.0.1:80 [::1]:80",
		"dns://web.:80":              "",
	} {
		a, err := lookUp(t, r, endpoint)
		if err != nil || written(a) != want {
			t.Errorf("%s: got %q, %v; want %q", endpoint, written(a), err, want)
		}
		if strings.Contains(endpoint, "here") && a.TTL != hostsTTL {
			t.Errorf("%s: TTL %v", endpoint, a.TTL)
		}
	}
}

func TestParse(t *testing.T) {
	for endpoint, want := range map[string]string{
		"dns://web:80":              "",
		"dns://web.internal.:65535": "",
		"dns+srv://_http._tcp.web":  "",
		"dns://web":                 `endpoint "dns://web": not dns://host:port, e.g. dns://web.internal:8080`,
		"dns://:80":                 `endpoint "dns://:80": not dns://host:port, e.g. dns://web.internal:8080`,
		"dns://-a:80":               `endpoint "dns://-a:80": not dns://host:port, e.g. dns://web.internal:8080`,
		"dns://web:0":               `endpoint "dns://web:0": port "0" is not a number from 1 to 65535`,
		"dns://web:http":            `endpoint "dns://web:http": port "http" is not a number from 1 to 65535`,
		"dns://10.0.0.1:80":         `endpoint "dns://10.0.0.1:80": 10.0.0.1 is an address already; write "10.0.0.1:80"`,
		"dns+srv://web":             `endpoint "dns+srv://web": not dns+srv://_service._protocol.host, e.g. dns+srv://_http._tcp.web.internal`,
		"dns+srv://_http._tcp.a:80": `endpoint "dns+srv://_http._tcp.a:80": not dns+srv://_service._protocol.host, e.g. dns+srv://_http._tcp.web.internal`,
	} {
		_, err := Parse(endpoint)
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s:\n got %v\nwant %s", endpoint, err, want)
		}
		if !IsName(endpoint) {
			t.Errorf("%s is taken for an address", endpoint)
		}
	}
	if IsName("web:80") || IsName("unix:/dns://") {
		t.Error("an address is taken for a name")
	}
}

// FuzzRead: no answer, whatever its records, may cause a fault, or more than it
// has records for.
func FuzzRead(f *testing.F) {
	m := new(dns.Msg)
	m.SetQuestion("web.internal.", dns.TypeA)
	for _, text := range []string{"web.internal. 5 IN CNAME a.internal.", "a.internal. 7 IN A 10.0.0.1", "web.internal. 5 IN SRV 1 2 3 a.internal."} {
		rr, err := dns.NewRR(text)
		if err != nil {
			f.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
		packed, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(packed)
	}
	f.Fuzz(func(t *testing.T, packed []byte) {
		m := new(dns.Msg)
		if m.Unpack(packed) != nil {
			return
		}
		for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeSRV} {
			r := read(m, "web.internal.", kind)
			if len(r.found) > len(m.Answer) || r.ttl < 0 || r.ttl > MaxTTL {
				t.Fatalf("%d records, TTL %v, of %d", len(r.found), r.ttl, len(m.Answer))
			}
			for _, addr := range r.addrs() {
				if !addr.IsValid() || addr.Is4In6() {
					t.Fatalf("address %v", addr)
				}
			}
			all := r.services()
			for _, srv := range all {
				if tier, weight := rank(srv, all); tier < 0 || !(weight > 0) {
					t.Fatalf("tier %d, weight %v", tier, weight)
				}
			}
		}
	})
}

func FuzzHosts(f *testing.F) {
	f.Add("127.0.0.1 localhost\n::1 localhost # x\n", "localhost")
	f.Fuzz(func(t *testing.T, text, host string) {
		for _, addr := range readHosts(strings.NewReader(text), host) {
			if !addr.IsValid() || addr.Zone() != "" {
				t.Fatalf("address %v", addr)
			}
		}
	})
}
