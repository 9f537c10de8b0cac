package resolve

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone is a DNS server on this machine, by UDP and TCP, whose records a test
// changes.
type zone struct {
	addr string

	mu      sync.Mutex
	records map[string][]dns.RR // by name and type, such as "web. A"
	rcodes  map[string]int      // by the same: what is answered instead
	silent  map[string]bool     // not answered at all
	lie     func(*dns.Msg)      // changes the answer
	asked   map[string]int
	cutOff  bool // answers by UDP that are truncated
	byTCP   int
}

// newZone starts a server that answers for these records, in the format of zone
// files.
func newZone(t testing.TB, records ...string) *zone {
	t.Helper()
	z := &zone{rcodes: map[string]int{}, silent: map[string]bool{}, asked: map[string]int{}}
	z.set(t, records...)
	var udp net.PacketConn
	var tcp net.Listener
	var err error
	for range 20 { // the port of the one may be taken in the other
		if udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if tcp, err = net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			break
		}
		udp.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	z.addr = udp.LocalAddr().String()
	var under sync.WaitGroup
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: z}, {Listener: tcp, Handler: z}} {
		ready := make(chan struct{})
		s.NotifyStartedFunc = func() { close(ready) }
		under.Go(func() { s.ActivateAndServe() })
		<-ready
		t.Cleanup(func() { s.Shutdown() })
	}
	t.Cleanup(under.Wait)
	t.Cleanup(func() { udp.Close(); tcp.Close() })
	return z
}

// set replaces all records.
func (z *zone) set(t testing.TB, records ...string) {
	t.Helper()
	all := map[string][]dns.RR{}
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		key := rr.Header().Name + " " + dns.TypeToString[rr.Header().Rrtype]
		all[key] = append(all[key], rr)
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	z.records = all
}

func (z *zone) change(f func()) {
	z.mu.Lock()
	defer z.mu.Unlock()
	f()
}

// ServeDNS implements dns.Handler.
func (z *zone) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	z.mu.Lock()
	defer z.mu.Unlock()
	q := question.Question[0]
	q.Name = strings.ToLower(q.Name)
	key := q.Name + " " + dns.TypeToString[q.Qtype]
	z.asked[key]++
	if z.silent[key] {
		return
	}
	reply := new(dns.Msg)
	reply.SetReply(question)
	reply.RecursionAvailable = true
	_, overTCP := w.RemoteAddr().(*net.TCPAddr)
	switch {
	case z.cutOff && !overTCP:
		reply.Truncated = true
	case z.rcodes[key] != 0:
		reply.Rcode = z.rcodes[key]
	default:
		z.answer(reply, q)
	}
	if overTCP {
		z.byTCP++
	}
	if z.lie != nil {
		z.lie(reply)
	}
	w.WriteMsg(reply)
}

// answer fills in the records of a name, along its aliases.
func (z *zone) answer(reply *dns.Msg, q dns.Question) {
	name := q.Name
	for range 4 {
		reply.Answer = append(reply.Answer, z.records[name+" "+dns.TypeToString[q.Qtype]]...)
		alias := z.records[name+" CNAME"]
		if len(alias) == 0 {
			break
		}
		reply.Answer = append(reply.Answer, alias...)
		name = alias[0].(*dns.CNAME).Target
	}
	if len(reply.Answer) > 0 {
		return
	}
	reply.Ns = z.records["internal. SOA"]
	for key := range z.records {
		if strings.HasPrefix(key, q.Name+" ") {
			return // there is the name, without this kind of record
		}
	}
	reply.Rcode = dns.RcodeNameError
}

// resolver returns one that asks this server alone.
func (z *zone) resolver() *Resolver { return &Resolver{Servers: []string{z.addr}} }

// lookUp finds an endpoint as the file writes it.
func lookUp(t testing.TB, r *Resolver, endpoint string) (Answer, error) {
	t.Helper()
	name, err := Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return r.Lookup(ctx, name)
}
