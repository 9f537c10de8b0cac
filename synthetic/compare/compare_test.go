package compare

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/klauspost/compress/zstd"
)

var jsonType = []Field{{"Content-Type", "application/json"}}

// ok answers 200 with JSON.
func ok(body string) Response {
	return Response{Status: 200, Header: jsonType, Body: []byte(body)}
}

// against returns a pair for GET /x.
func against(baseline, candidate Response) Pair {
	again := baseline
	return Pair{Method: "GET", Path: "/x", Baseline: baseline, Candidate: candidate, Again: &again}
}

// found returns the one pattern's fields as "name kind state".
func found(t *testing.T, r Report) []string {
	t.Helper()
	var all []string
	for _, p := range r.Patterns {
		for _, f := range p.Fields {
			all = append(all, fmt.Sprintf("%s %s %s", f.Name, f.Kind, f.State))
		}
	}
	slices.Sort(all)
	return all
}

func TestWhatDiffers(t *testing.T) {
	for _, c := range []struct{ name, a, b, want string }{
		{"nothing", `{"a":1}`, `{"a":1}`, ""},
		{"order of keys, space, escapes, numbers", `{"a":1,"b":"/\u0041"}`, `{ "b":"\/A", "a":10e-1 }`, ""},
		{"a large number's last digit", `{"a":9007199254740993}`, `{"a":9007199254740992}`, "$.a value"},
		{"value", `{"a":1}`, `{"a":2}`, "$.a value"},
		{"added", `{"a":1}`, `{"a":1,"b":2}`, "$.b added"},
		{"missing, with all below", `{"a":{"b":{"c":1}},"d":0}`, `{"d":0}`, "$.a missing"},
		{"retyped, with all below", `{"a":{"b":1}}`, `{"a":"{}"}`, "$.a retyped"},
		{"null is a type", `{"a":null}`, `{"a":1}`, "$.a retyped"},
		{"order of elements", `[1,2]`, `[2,1]`, "$[] value"},
		{"a longer list", `{"a":[1]}`, `{"a":[1,1]}`, "$.a value"},
		{"a list emptied: its fields are not lost", `{"a":[{"b":1}]}`, `{"a":[]}`, "$.a value"},
		{"lost in one element", `[{"a":1},{"a":1}]`, `[{"a":1},{}]`, "$[].a missing"},
		{"gained in one element", `[{"a":1},{}]`, `[{"a":1},{"a":1}]`, "$[].a added"},
		{"retyped in one element", `[{"a":1},{"a":1}]`, `[{"a":1},{"a":"1"}]`, "$[].a retyped"},
		{"lost in a longer list", `[{"a":1}]`, `[{"a":1},{}]`, "$ value, $[].a missing"},
		{"keys that are ids", `{"1":{"a":1},"2":{"a":1}}`, `{"1":{"a":1},"2":{"a":"1"}}`, "$.*.a retyped"},
		{"other ids", `{"1":{"a":1}}`, `{"2":{"a":1}}`, "$.* value, $.*.a value"},
		{"odd keys", `{"a b":1,"":2}`, `{}`, `$[""] missing, $["a b"] missing`},
		{"no JSON any more", `{"a":1}`, `<html>`, "body retyped"},
		{"two documents", `{"a":1}`, `{"a":1}{"a":1}`, "body retyped"},
		{"no JSON at all", `<a>`, `<b>`, "body value"},
		{"nothing sent", `{}`, ``, "body retyped"},
		{"root", `1`, `2`, "$ value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmp := New(Config{Exact: true})
			cmp.Add(against(ok(c.a), ok(c.b)))
			got := strings.Join(found(t, cmp.Report()), ", ")
			if got = strings.ReplaceAll(got, " different", ""); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			self := New(Config{Exact: true})
			self.Add(against(ok(c.b), ok(c.b)))
			if got := found(t, self.Report()); len(got) > 0 {
				t.Errorf("differs from itself: %q", got)
			}
		})
	}
}

func TestStatusAndHeaders(t *testing.T) {
	c := New(Config{Exact: true, Headers: []string{"ETag", "Set-Cookie"}})
	base := Response{Status: 200, Header: []Field{{"etag", "1"}, {"Set-Cookie", "sid=topsecret"}}}
	c.Add(against(base, Response{Status: 200, Header: []Field{{"ETag", "2"}}}))
	c.Add(against(base, Response{Status: 500, Body: []byte("everything differs")}))
	c.Add(against(base, Response{}))
	want := []string{"header etag value different", "header set-cookie missing different", "status value different"}
	r := c.Report()
	if got := found(t, r); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text, true); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"200 -> no answer", "200 -> 500", "*** -> (absent)", "1 -> 2"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("%q is not in:\n%s", part, &text)
		}
	}
	if strings.Contains(text.String(), "topsecret") {
		t.Errorf("a secret is shown:\n%s", &text)
	}
}

// shop answers as an application with ids, times and a moody field does; retyped
// is how often the price is a string.
func shop(r *rand.Rand, id int, stock string, retyped float64) Response {
	price := `12.5`
	if r.Float64() < retyped {
		price = `"12.5"`
	}
	related := make([]string, r.IntN(3))
	for i := range related {
		related[i] = fmt.Sprintf(`{"sku":%d,"seen":%d}`, r.IntN(9), r.IntN(9))
	}
	region := ""
	if r.IntN(3) > 0 {
		region = `,"region":"eu"`
	}
	return ok(fmt.Sprintf(`{"request_id":"%016x","at":%d,"item":{"id":%d,"price":%s,"stock":%s},"related":[%s],"cached":%t%s}`,
		r.Uint64(), 1790000000+r.IntN(3), id, price, stock, strings.Join(related, ","), r.IntN(10) == 0, region))
}

// play compares n answers of the shop; moody lets the rates of noise change.
func play(cfg Config, n int, seed uint64, retyped float64) *Comparison {
	c := New(cfg)
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		id := r.IntN(1000)
		stock := fmt.Sprint(id % 7)
		if i%2000 > 1500 { // a busy spell
			stock = fmt.Sprint(r.IntN(3))
		}
		again := shop(r, id, stock, 0)
		c.Add(Pair{
			Method: "GET", Path: fmt.Sprintf("/shop/%d/item", id), Again: &again,
			Baseline: shop(r, id, stock, 0), Candidate: shop(r, id, stock, retyped),
		})
	}
	return c
}

func TestNoiseIsNoDifferenceInTenThousandRequests(t *testing.T) {
	for seed := range uint64(3) {
		r := play(Config{}, 10_000, seed, 0).Report()
		if r.Verdict.Decision != Pass {
			t.Errorf("seed %d: %+v", seed, r.Verdict)
		}
		if n := len(r.Patterns); n != 1 || len(r.Patterns[0].Fields) < 6 {
			t.Errorf("seed %d: %d patterns; the noise was not seen: %q", seed, n, found(t, r))
		}
	}
}

func TestAFieldRetypedInOnePercentIsFound(t *testing.T) {
	for seed := range uint64(3) {
		r := play(Config{}, 10_000, seed, 0.01).Report()
		if r.Verdict.Decision != Fail || len(r.Verdict.Reasons) != 1 || !strings.Contains(r.Verdict.Reasons[0], "GET /shop/{id}/item: $.item.price had another type") {
			t.Errorf("seed %d: %+v", seed, r.Verdict)
		}
		f := r.Patterns[0].Fields[0]
		if len(f.Examples) != maxExamples || f.Examples[0].Baseline != "12.5" || f.Examples[0].Candidate != `"12.5"` {
			t.Errorf("seed %d: examples %+v", seed, f.Examples)
		}
	}
}

// TestErrorRateHolds looks after each request whether a test that is fair by its
// assumption ever calls out, at the least demanding limit.
func TestErrorRateHolds(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	const lives, pairs = 2000, 1000
	wrong := 0
	for range lives {
		var x, y int64
		for range pairs {
			if r.Float64() < tolerated { // the worst that is tolerated
				x++
			} else {
				y++
			}
			if evidence(x, y) >= limit(1) {
				wrong++
				break
			}
		}
	}
	if most := int(lives*alpha/2) + 12; wrong > most { // 4 standard deviations
		t.Errorf("%d of %d called out, want at most %d", wrong, lives, most)
	}
	if x := least(1); x != 13 {
		t.Errorf("the first field needs %d differences, its comment says 13", x)
	}
	if x := least(50); x != 27 {
		t.Errorf("the fiftieth field needs %d differences, its comment says 27", x)
	}
}

func least(k int) (x int64) {
	for evidence(x, 0) < limit(k) {
		x++
	}
	return x
}

func TestAdditiveOnly(t *testing.T) {
	c := New(Config{AdditiveOnly: true, Least: 50})
	for range 100 {
		c.Add(against(ok(`{"a":1}`), ok(`{"a":1,"b":2}`)))
	}
	r := c.Report()
	if got := found(t, r); r.Verdict.Decision != Pass || !slices.Equal(got, []string{"$.b added allowed"}) {
		t.Errorf("%+v %q", r.Verdict, got)
	}
	for range 100 {
		c.Add(against(ok(`{"a":1,"c":1}`), ok(`{"a":"1","b":2}`)))
	}
	r = c.Report()
	want := []string{"$.a retyped different", "$.b added allowed", "$.c missing different"}
	if got := found(t, r); r.Verdict.Decision != Fail || !slices.Equal(got, want) {
		t.Errorf("%+v %q", r.Verdict, got)
	}
}

func TestIgnoredFields(t *testing.T) {
	c := New(Config{Exact: true, Ignore: []string{"$.meta", "header etag"}, Headers: []string{"etag"}, Least: 1})
	p := against(ok(`{"meta":{"a":1},"metal":1}`), ok(`{"meta":{"a":2},"metal":1}`))
	p.Candidate.Header = []Field{{"ETag", "x"}}
	c.Add(p)
	if v := c.Verdict(); v.Decision != Pass {
		t.Errorf("%+v", v)
	}
	c.Add(against(ok(`{"metal":1}`), ok(`{"metal":2}`)))
	if v := c.Verdict(); v.Decision != Fail {
		t.Errorf("%+v", v)
	}
}

func TestVerdictWaits(t *testing.T) {
	c := New(Config{Least: 20})
	if v := c.Verdict(); v.Decision != Hold || v.Reasons[0] != "0 of 20 comparisons are made" {
		t.Errorf("of nothing: %+v", v)
	}
	c.Add(Pair{Method: "GET", Path: "/", Baseline: ok(`1`), Candidate: ok(`2`)})
	if r := c.Report(); r.Verdict.Decision != Hold || !strings.Contains(r.Verdict.Reasons[0], "never asked a second time") ||
		r.Patterns[0].Fields[0].State != Untested {
		t.Errorf("without a second answer: %+v", r)
	}
	for range 30 {
		c.Add(against(ok(`{}`), ok(`{}`)))
	}
	if v := c.Verdict(); v.Decision != Pass {
		t.Errorf("alike: %+v", v)
	}
	for range 12 {
		c.Add(against(ok(`{"a":1}`), ok(`{"a":2}`)))
	}
	if v := c.Verdict(); v.Decision != Hold || !strings.Contains(v.Reasons[0], "$.a") {
		t.Errorf("suspect: %+v", v)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	const secret = "hunter2hunter2"
	for _, c := range []struct {
		name string
		cfg  Config
		body string
	}{
		{"by name", Config{}, `{"userPassword":"%s"}`},
		{"by the name of what holds it", Config{}, `{"credentials":{"a":["%s"]}}`},
		{"by a name of one's own", Config{Secrets: []string{"Birthplace"}}, `{"birthplace":"%s"}`},
		{"in a map", Config{}, `{"4711":"%s"}`},
		{"a token by its looks", Config{}, `{"a":"eyJ%s"}`},
		{"all", Config{HideValues: true}, `{"a":"%s"}`},
		{"no JSON", Config{}, `%s`},
	} {
		c.cfg.Exact = true
		cmp := New(c.cfg)
		p := against(ok(fmt.Sprintf(c.body, secret)), ok(fmt.Sprintf(c.body, secret+"x")))
		p.Path = "/reset/" + secret + secret + "?token=" + secret
		cmp.Add(p)
		r := cmp.Report()
		if len(r.Patterns) != 1 || len(r.Patterns[0].Fields[0].Examples) != 1 {
			t.Fatalf("%s: no example: %+v", c.name, r)
		}
		if e := r.Patterns[0].Fields[0].Examples[0]; strings.Contains(fmt.Sprint(e), secret) {
			t.Errorf("%s: %+v", c.name, e)
		}
	}
}

func TestEncodingsAreUndone(t *testing.T) {
	plain := []byte(`{"a":1}`)
	for name, pack := range packers {
		c := New(Config{Exact: true})
		packed := ok("")
		packed.Header = append(slices.Clone(jsonType), Field{"content-encoding", name})
		packed.Body = pack(plain)
		c.Add(against(ok(string(plain)), packed))
		if got := found(t, c.Report()); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
		packed.Body = packed.Body[:len(packed.Body)/2]
		c.Add(against(ok(string(plain)), packed))
		if got := found(t, c.Report()); !slices.Equal(got, []string{"body retyped different"}) {
			t.Errorf("%s, damaged: %q", name, got)
		}
	}
}

var packers = map[string]func([]byte) []byte{
	"gzip": func(p []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(p)
		_ = w.Close()
		return b.Bytes()
	},
	"zstd": func(p []byte) []byte {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
		if err != nil {
			panic(err)
		}
		return w.EncodeAll(p, nil)
	},
}

func TestHostileBodiesAreNotCompared(t *testing.T) {
	bomb := packers["gzip"](make([]byte, 64<<20))
	zbomb := packers["zstd"](make([]byte, 64<<20))
	fields := `{"k":0`
	for i := range maxFields/100 + 1 {
		fields += fmt.Sprintf(`,"%s":{"k":0`, name(i))
		for j := range 100 {
			fields += fmt.Sprintf(`,"%s":1`, name(j))
		}
		fields += "}"
	}
	for _, c := range []struct {
		name, want string
		r          Response
	}{
		{"cut off", tooLarge, Response{Body: []byte("x"), Cut: true}},
		{"long", tooLarge, ok(strings.Repeat(" ", DefaultMaxBody+1))},
		{"deep", tooDeep, ok(strings.Repeat("[", 500_000))},
		{"deep objects", tooDeep, ok(strings.Repeat(`{"a":`, 100_000))},
		{"a gzip bomb", tooLarge, Response{Header: []Field{{"Content-Encoding", "gzip"}}, Body: bomb}},
		{"a zstd bomb", tooLarge, Response{Header: []Field{{"Content-Encoding", "zstd"}}, Body: zbomb}},
		{"a zstd frame of one large segment", tooLarge, Response{Header: []Field{{"Content-Encoding", "zstd"}}, Body: segment()}},
		{"fields", tooMany, ok(fields + "}")},
		{"unknown", "unknown encoding", Response{Header: []Field{{"Content-Encoding", "gzip, gzip"}}, Body: bomb}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmp := New(Config{Exact: true})
			c.r.Status = 200
			cmp.Add(against(c.r, ok("{}")))
			cmp.Add(against(ok("{}"), c.r))
			if r := cmp.Report(); r.NotCompared[c.want] != 2 || r.Whole != 0 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// segment is a zstd frame that asks for 16 MiB at once.
func segment() []byte {
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithSingleSegment(true))
	if err != nil {
		panic(err)
	}
	return w.EncodeAll(make([]byte, 16<<20), nil)
}

// name writes a number in letters.
func name(i int) string {
	return string([]byte{'a' + byte(i/26%26), 'a' + byte(i%26)})
}

// TestAllStaysBounded answers with new keys on new paths for ever.
func TestAllStaysBounded(t *testing.T) {
	c := New(Config{Exact: true})
	r := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		b := make([]byte, 8)
		for i := range b {
			b[i] = 'g' + byte(r.IntN(20))
		}
		return string(b)
	}
	for range 20_000 {
		body := fmt.Sprintf(`{"%s":1,"a":{"%s":{"%s":2}}}`, word(), word(), word())
		c.Add(Pair{Method: "GET", Path: "/" + word() + "/" + word() + "/" + word(), Baseline: ok(body), Candidate: ok(`{"a":{"b":{}}}`)})
	}
	if len(c.patterns) > maxPatterns || c.rows > maxRows+4*maxPatterns || len(c.paths.known) > maxPatterns*maxSegments {
		t.Errorf("%d patterns, %d rows, %d prefixes", len(c.patterns), c.rows, len(c.paths.known))
	}
	for _, p := range c.patterns {
		if n := len(*p.maps.Load()); n > maxMaps {
			t.Errorf("%d maps", n)
		}
	}
}

func TestWideObjectsAreMaps(t *testing.T) {
	c := New(Config{Exact: true})
	wide := func(value string) string {
		s := `{"z":0`
		for i := range maxKeys + 10 {
			s += fmt.Sprintf(`,"%s":{"v":%s}`, name(i), value)
		}
		return s + "}"
	}
	c.Add(against(ok(wide("1")), ok(wide("1"))))
	if got := found(t, c.Report()); len(got) > 0 {
		t.Errorf("alike: %q", got)
	}
	c.Add(against(ok(wide("1")), ok(wide(`"1"`))))
	if got := found(t, c.Report()); !slices.Equal(got, []string{"$.*.v retyped different"}) {
		t.Errorf("retyped: %q", got)
	}
}

func TestPatternsOfPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/":             "GET /",
		"/users/17":     "GET /users/{id}",
		"/v1/users/17/": "GET /v1/users/{id}/",
		"/a/0f8fad5b-d9cb-469f-a165-70867728950e": "GET /a/{id}",
		"/a/deadbeef01":                  "GET /a/{id}",
		"/a/usr_8f3k2q9d1x":              "GET /a/{id}",
		"/2026-11-23/x":                  "GET /{id}/x",
		"/users/alice":                   "GET /users/alice",
		"/assets/app.js":                 "GET /assets/app.js",
		"/" + strings.Repeat("long", 20): "GET /{id}",
		strings.Repeat("/a", 20):         "GET " + strings.Repeat("/a", maxSegments) + "/...",
	} {
		p := newPaths()
		if got := p.of("GET", path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
	p := newPaths()
	last := ""
	for i := range 200 {
		last = p.of("GET", "/products/"+name(i))
	}
	if last != "GET /products/{name}" {
		t.Errorf("slugs: %q", last)
	}
}

func TestManyAddAtOnce(t *testing.T) {
	c := New(Config{Least: 1})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 3))
			for range 200 {
				again := shop(r, 1, "1", 0)
				c.Add(Pair{Method: "GET", Path: "/a", Baseline: shop(r, 1, "1", 0), Candidate: shop(r, 1, "1", 1), Again: &again})
				c.Verdict()
			}
		})
	}
	all.Wait()
	if r := c.Report(); r.Comparisons != 800 || r.Verdict.Decision != Fail {
		t.Errorf("%d comparisons: %+v", r.Comparisons, r.Verdict)
	}
}

// Nothing of a pair is kept: whoever keeps answers in memory that is used again
// would see reports change.
func TestNothingOfAPairIsKept(t *testing.T) {
	c := New(Config{Exact: true, Headers: []string{"x-build"}})
	var memory [][]byte
	lent := func(text string) string {
		b := []byte(text)
		memory = append(memory, b)
		return unsafe.String(&b[0], len(b))
	}
	answer := func(status int, build, body string) Response {
		return Response{Status: status, Header: []Field{{lent("X-Build"), lent(build)}}, Body: []byte(lent(body))}
	}
	for _, path := range []string{"/", "x", "/carts/12", "/a%1f/page"} {
		c.Add(Pair{Method: lent("GET"), Path: lent(path), Baseline: answer(200, "one", `{"name":"a"}`), Candidate: answer(200, "two", `{"name":7}`)})
		c.Add(Pair{Method: lent("GET"), Path: lent(path), Baseline: answer(200, "one", "a"), Candidate: answer(500, "two", "b")})
	}
	write := func() string {
		var b strings.Builder
		if err := c.Report().WriteText(&b, true); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	before := write()
	for _, b := range memory {
		for i := range b {
			b[i] = '#'
		}
	}
	if after := write(); after != before {
		t.Errorf("the report was\n%sand is\n%s", before, after)
	}
}
