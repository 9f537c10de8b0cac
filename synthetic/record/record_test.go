package record_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/configs"
	"sluice/synthetic/record"
	"sluice/synthetic/replay"
)

// entry is an exchange of a test: method, URL, status, then what the rest says.
func entry(method, target string, status int, rest ...func(*record.Exchange)) record.Exchange {
	u, err := url.Parse(target)
	if err != nil {
		panic(err)
	}
	e := record.Exchange{Method: method, URL: u, Status: status}
	for _, r := range rest {
		r(&e)
	}
	return e
}

func sends(fields ...string) func(*record.Exchange) {
	return func(e *record.Exchange) { e.Fields = append(e.Fields, pairs(fields)...) }
}

func answers(fields ...string) func(*record.Exchange) {
	return func(e *record.Exchange) { e.Answer = append(e.Answer, pairs(fields)...) }
}

func pairs(fields []string) (all []record.Field) {
	for i := 0; i < len(fields); i += 2 {
		all = append(all, record.Field{Name: fields[i], Value: fields[i+1]})
	}
	return all
}

func body(kind, text string) func(*record.Exchange) {
	return func(e *record.Exchange) {
		e.Body, e.Fields = []byte(text), append(e.Fields, record.Field{Name: "Content-Type", Value: kind})
	}
}

func text(kind, text string) func(*record.Exchange) {
	return func(e *record.Exchange) { e.Type, e.Text = kind, []byte(text) }
}

func kind(kind string) func(*record.Exchange) { return func(e *record.Exchange) { e.Kind = kind } }

// made returns the YAML of a recording, and the journey as a file has it.
func made(t interface{ Fatal(...any) }, all ...record.Exchange) (string, *configs.Journey) {
	r := record.New(record.Options{Name: "made"})
	for _, e := range all {
		r.Add(e)
	}
	j, err := r.Journey()
	if err != nil {
		t.Fatal(err)
	}
	return written(t, j)
}

func written(t interface{ Fatal(...any) }, j *record.Journey) (string, *configs.Journey) {
	var b bytes.Buffer
	if err := j.WriteYAML(&b, "a recording"); err != nil {
		t.Fatal(err)
	}
	const services = "services: {web: {journeys: [made], versions: {v1: {endpoints: [\"127.0.0.1:9001\"], weight: 1}}}}\n"
	f, err := configs.Parse("sluice.yaml", []byte(services+b.String()), func(name string) (string, bool) { return "from " + name, true })
	if err != nil {
		t.Fatal(err, "\n"+b.String())
	}
	return b.String(), f.Journeys["made"]
}

func TestWhatIsLeftOut(t *testing.T) {
	r := record.New(record.Options{Name: "made"})
	for _, e := range []record.Exchange{
		entry("GET", "https://Shop.example.com/", 200, text("text/html", "<html>")),
		entry("GET", "https://shop.example.com/a.css", 200, kind("stylesheet")),
		entry("GET", "https://shop.example.com/a.png?v=1", 200),
		entry("GET", "https://shop.example.com/logo", 200, text("image/svg+xml", "<svg>")),
		entry("GET", "https://shop.example.com/config.js", 200, kind("fetch"), text("text/javascript", "1")),
		entry("GET", "https://cdn.example.com/lib.js", 200),
		entry("GET", "https://api.example.com/track", 204),
		entry("POST", "https://api.example.com/track", 204),
		entry("GET", "wss://shop.example.com/live", 101),
		entry("GET", "https://shop.example.com/live", 200, kind("eventsource")),
		entry("OPTIONS", "https://shop.example.com/api", 204, sends("Access-Control-Request-Method", "PUT")),
		entry("GET", "https://shop.example.com/blocked", 0),
		entry("get", "https://shop.example.com/", 200),
		entry("GET", "data:text/plain,hello", 200),
		entry("GET", "https://shop.example.com/"+strings.Repeat("x", 9000), 200),
		{Method: "GET", Status: 200},
		entry("GET", "https://shop.example.com/cart", 200, sends("Cookie", "sid=1; theme=dark")),
	} {
		r.Add(e)
	}
	j, err := r.Journey()
	if err != nil {
		t.Fatal(err)
	}
	want := `3 requests of 17
left out: 1 request for a stream
left out: 3 requests for static assets (--assets keeps them)
left out: 1 request of a method that no step can have
left out: 1 request that go before others (CORS)
left out: 4 requests that no step can send
left out: 1 request without an answer
left out: 2 requests to api.example.com, since the first one is to shop.example.com
left out: 1 request to cdn.example.com, since the first one is to shop.example.com
no answer here sets the cookies that were sent: sid, theme; record in a fresh private window, with the login`
	if got := strings.Join(j.Notes(), "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	_, file := written(t, j)
	if file.Host != "shop.example.com" || len(file.Steps) != 3 || file.Steps[1].Path != "/config.js" || file.Steps[2].Name != "cart" {
		t.Errorf("%+v", file)
	}
	r = record.New(record.Options{Name: "made"})
	r.Add(entry("GET", "https://shop.example.com/a.css", 200))
	if _, err := r.Journey(); !errors.Is(err, record.ErrNothing) || err.Error() != "there is no request to make a step of; left out: 1 request for static assets (--assets keeps them)" {
		t.Error(err)
	}
	r = record.New(record.Options{Name: "made", Assets: true})
	for range 150 {
		r.Add(entry("GET", "http://127.0.0.1:8080/a.css", 200))
	}
	if j, err = r.Journey(); err != nil || j.Notes()[1] != "left out: 50 requests beyond the 100 steps that a journey may have" {
		t.Error(err, j.Notes())
	}
	if _, file = written(t, j); len(file.Steps) != 100 || file.Host != "" || file.Steps[99].Name != "a.css-100" {
		t.Errorf("%+v", file)
	}
}

// What a request took from an earlier answer is captured there; what only looks
// like that is not.
func TestCaptures(t *testing.T) {
	const id, csrf = "4711", "9f8e7d6c5b"
	order := entry("POST", "http://a.test/orders", 201, text("application/json", `{"order": {"id": 4711, "qty": 3, "note": "n"}, "token": "`+csrf+`"}`))
	for _, c := range []struct {
		name        string
		first, then record.Exchange
		want        string // in the YAML
		not         string
	}{
		{"a number in a path", order, entry("GET", "http://a.test/orders/4711", 200), "orders-id: {json: $.order.id}", "/4711"},
		{"a value of a query", order, entry("GET", "http://a.test/x?token="+csrf+"&qty=3", 200), "path: /x?token={{token}}&qty=3", csrf},
		{"a header", order, entry("GET", "http://a.test/x", 200, sends("X-CSRF-Token", csrf)), "X-CSRF-Token: '{{token}}'", csrf},
		{"a number of JSON", order, entry("PUT", "http://a.test/x", 200, body("application/json", `{"orderId": 4711, "qty": 3}`)), `body: '{"orderId": {{id}}, "qty": 3}'`, "4711"},
		{"a small number is found by chance", order, entry("GET", "http://a.test/x?page=3", 200), "page=3", "capture"},
		{"a cookie that is sent as a header", entry("GET", "http://a.test/", 200, answers("Set-Cookie", "XSRF-TOKEN=abc123def456; Path=/")),
			entry("POST", "http://a.test/x", 200, sends("X-Xsrf-Token", "abc123def456")), "xsrf-token: {cookie: XSRF-TOKEN}", "abc123"},
		{"a tag of a page", entry("GET", "http://a.test/", 200, text("text/html", `<meta content="abc123def456" name="csrf-token">`)),
			entry("POST", "http://a.test/x", 200, sends("X-Csrf-Token", "abc123def456")), `csrf-token: {regex: 'content="([^"'']*)["''][^>]*name="csrf-token"'}`, "abc123"},
		{"a tag without quotes", entry("GET", "http://a.test/", 200, text("text/html", `<input name=a value=x><input value=abc123def456 name=token>`)),
			entry("POST", "http://a.test/x", 200, body("application/x-www-form-urlencoded", "token=abc123def456")), `token: {regex: 'value=([^"''\s>]+)[^>]*name=token'}`, "abc123"},
		{"a short field of a form", entry("GET", "http://a.test/", 200, text("text/html", `<i>77</i><input type=hidden name="state" value="77">`)),
			entry("POST", "http://a.test/x", 200, body("application/x-www-form-urlencoded", "state=77")), `state: {regex: 'name="state"[^>]*value="([^"'']*)'}`, "state: 77"},
		{"an ETag", entry("GET", "http://a.test/x", 200, answers("Etag", `"abc-1234"`)), entry("PUT", "http://a.test/x", 200, sends("If-Match", `"abc-1234"`)), "etag: {header: Etag}", "abc-1234"},
		{"a Location as a whole URL", entry("POST", "http://a.test/x", 303, answers("Location", "http://a.test/done/12345?k=1")), entry("GET", "http://a.test/done/12345?k=1", 200), "path: '{{location}}'", "12345"},
		{"a Location that is always the same", entry("POST", "http://a.test/x", 303, answers("Location", "/done")), entry("GET", "http://a.test/done", 200), "path: /done", "location"},
		{"a Location of another host", entry("POST", "http://a.test/x", 303, answers("Location", "http://b.test/done/1")), entry("GET", "http://a.test/done/1", 200), "path: /done/1", "location"},
		{"what the client said itself", entry("POST", "http://a.test/users", 200, body("application/json", `{"id": "my-id-1234"}`), text("application/json", `{"id": "my-id-1234"}`)),
			entry("GET", "http://a.test/users/my-id-1234", 200), "path: /users/my-id-1234", "capture"},
		{"a name with a quote", entry("GET", "http://a.test/", 200, text("application/json", `{"a'b": {"c d": ["x", "abc123def456"]}}`)), entry("GET", "http://a.test/abc123def456", 200), `json: '$[''a\''b''][''c d''][1]'`, "abc123"},
		{"a value that escapes in a path", entry("GET", "http://a.test/", 200, text("application/json", `{"cursor": "a+b/c==12345"}`)), entry("GET", "http://a.test/?cursor=a%2Bb%2Fc%3D%3D12345", 200), "cursor=a%2Bb%2Fc%3D%3D12345", "capture"},
		{"a value of an escaped form", entry("GET", "http://a.test/", 200, text("application/json", `{"cursor": "a+b/c==12345"}`)), entry("POST", "http://a.test/", 200, body("application/x-www-form-urlencoded", "cursor=a%2Bb%2Fc%3D%3D12345")), "cursor: '{{cursor}}'", "12345"},
	} {
		t.Run(c.name, func(t *testing.T) {
			yaml, _ := made(t, c.first, c.then)
			if !strings.Contains(yaml, c.want) || strings.Contains(yaml, c.not) {
				t.Errorf("want %s, and not %s, in\n%s", c.want, c.not, yaml)
			}
		})
	}
}

// Secrets are nowhere in what is written, whatever they are sent in.
func TestSecretsAreNotWritten(t *testing.T) {
	const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
	yaml, j := made(t,
		entry("POST", "https://u:hidden-0@a.test/login/token/hidden-9abc?api_key=hidden-1&q=fine", 200, sends("Authorization", "Basic hidden-2", "Cookie", "sid=hidden-3", "X-Api-Key", "hidden-4", "Proxy-Authorization", "hidden-5",
			"Origin", "https://u:hidden-0@a.test", "Sluice-Token", "hidden-6", "X-Whatever", jwt), body("application/json", `{"user": {"password": "hidden-7"}, "pin": 9753, "x": "`+jwt+`", "otp": "12"}`)),
		entry("POST", "https://a.test/b", 200, sends("X-Note", "prefix:hidden-4-and-more"), body("application/x-www-form-urlencoded", "passwd=hidden-8&a=hidden-7")),
		entry("POST", "https://a.test/e", 200, sends("X-Secret", "secret"), body("text/plain", "the longer-secret-12, {{a}}, secret {{secret}}")),
		entry("POST", "https://a.test/f", 200, sends("X-Longer-Secret", "longer-secret-12")),
		entry("POST", "https://a.test/c", 200, body("text/plain", "so "+jwt+" it is")),
		entry("POST", "https://a.test/d", 200, body("multipart/form-data; boundary=xx", "--xx\r\nContent-Disposition: form-data; name=\"secret\"\r\n\r\nhidden-a\r\n--xx\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n"+jwt+"\r\n--xx--\r\n")),
	)
	if got := j.Steps[2].Body.Text; got != "the {{x-longer-secret}}, {{braces}}a}}, {{x-secret}} {{braces}}{{x-secret}}}}" {
		t.Errorf("got %s", got)
	}
	for _, secret := range []string{"hidden", "eyJ", "9753", "otp\": \"12"} {
		if strings.Contains(yaml, secret) {
			t.Errorf("%s is in\n%s", secret, yaml)
		}
	}
	if !strings.Contains(yaml, "# to be set in the environment: MADE_") || !strings.Contains(yaml, "Authorization: Basic {{authorization}}\n") || !strings.Contains(yaml, `otp: "${MADE_OTP}"`) {
		t.Errorf("got\n%s", yaml)
	}
	if got := j.Steps[0].Path; got != "/login/token/{{token}}?api_key={{api_key}}&q=fine" {
		t.Errorf("asks %s", got)
	}
}

// Whatever was recorded, the file takes what is made of it, and the fields that
// name secrets are hidden.
func TestWhatIsMadeIsTaken(t *testing.T) {
	odd := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"{{a}}", "{{braces}}", "${HOME}", "$${x}", "a: b", "- a", "~", "null", "true", "0123", "<<", "*a", "&a", "!!str x", "#", "a\nb", "\t", "\x00", "'", `"`, "é\u2028", strings.Repeat("z", 300)}), rapid.StringMatching(`[a-z0-9]{8,12}`))
	token := rapid.StringMatching(`[A-Za-z][A-Za-z0-9-]{0,8}`)
	fields := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) record.Field {
		return record.Field{Name: rapid.OneOf(token, rapid.SampledFrom([]string{"Host", "Content-Length", "Sluice-Override", "Authorization", "TE", "Set-Cookie", "Origin", "Accept", "a b"})).Draw(t, "name"), Value: odd.Draw(t, "value")}
	}), 0, 4)
	jsonText := rapid.Custom(func(t *rapid.T) string {
		b, _ := json.Marshal(map[string]any{odd.Draw(t, "key"): []any{odd.Draw(t, "a"), 4711, map[string]any{"id": odd.Draw(t, "b")}, nil}, "n": 12345678901234})
		return string(b)
	})
	bodies := rapid.OneOf(odd, jsonText, rapid.Custom(func(t *rapid.T) string {
		return url.Values{odd.Draw(t, "k"): {odd.Draw(t, "v")}, "password": {"hidden-password"}}.Encode()
	}), rapid.SampledFrom([]string{"password=hidden-password&a=1&a=2", "<x><password>hidden-password</password></x>", `{"a": {"password" : "hidden-password"}} and more`, "a password: hidden-password"}))
	types := rapid.SampledFrom([]string{"application/json", "application/json; charset=utf-8", "application/vnd.api+json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "multipart/form-data", "text/html", "", "é", "text/*"})
	exchange := rapid.Custom(func(t *rapid.T) record.Exchange {
		u := &url.URL{Scheme: "https", Host: "shop.example.com", Path: "/" + odd.Draw(t, "path"), RawQuery: rapid.OneOf(rapid.Just(""), rapid.Just("token=hidden-password"), odd).Draw(t, "query")}
		e := record.Exchange{Method: rapid.SampledFrom([]string{"GET", "POST", "PUT", "DELETE"}).Draw(t, "method"), URL: u, Fields: fields.Draw(t, "fields"), Answer: fields.Draw(t, "answer"),
			Status: rapid.IntRange(200, 599).Draw(t, "status"), Type: types.Draw(t, "type"), Kind: "fetch"}
		if e.Method != "GET" {
			e.Body = []byte(bodies.Draw(t, "body"))
			e.Fields = append(e.Fields, record.Field{Name: "Content-Type", Value: types.Draw(t, "kind")})
		}
		e.Text = []byte(rapid.OneOf(odd, jsonText).Draw(t, "text"))
		return e
	})
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(exchange, 1, 6).Draw(t, "all")
		yaml, j := made(t, all...)
		if len(j.Steps) != len(all) {
			t.Fatalf("%d steps of %d", len(j.Steps), len(all))
		}
		if strings.Contains(yaml, "hidden-password") {
			t.Fatalf("the password is in\n%s", yaml)
		}
	})
}

const least = `{"log": {"entries": [{"request": {"method": "GET", "url": "http://a.test/x"}, "response": {"status": 200}}]}}`

func TestOddHARs(t *testing.T) {
	base := base64.StdEncoding.EncodeToString([]byte(`{"token": "abc123def456"}`))
	for _, c := range []struct{ name, har, want, err string }{
		{"the least", least, "path: /x", ""},
		{"a byte order mark", "\xef\xbb\xbf" + least, "path: /x", ""},
		{"members around", `{"a": [1, {"entries": 2}], "log": {"version": "1.2", "pages": [{}], "entries": [` + between(least, "[", "]") + `], "comment": ""}, "b"`, "path: /x", ""},
		{"fields of wrong types", `{"log": {"entries": [{"request": 7}, {"request": {"method": "GET", "url": "http://a.test/x", "headers": "none", "postData": []}, "response": {"status": 200, "content": null}}, null, 8, []]}}`, "1 request of 5", ""},
		{"base64", `{"log": {"entries": [{"request": {"method": "GET", "url": "http://a.test/x"}, "response": {"status": 200, "content": {"mimeType": "application/json", "text": "` + base + `", "encoding": "base64"}}},` +
			`{"request": {"method": "GET", "url": "http://a.test/abc123def456"}, "response": {"status": 200, "content": {"text": "!!", "encoding": "base64"}}}]}}`, "json: $.token", ""},
		{"parameters without a text", `{"log": {"entries": [{"request": {"method": "POST", "url": "http://a.test/x", "postData": {"mimeType": "application/x-www-form-urlencoded", "params": [{"name": "a", "value": "b c"}]}}, "response": {"status": 200}}]}}`, "a: b c", ""},
		{"a form whose text is missing", `{"log": {"entries": [{"request": {"method": "POST", "url": "http://a.test/x", "bodySize": 9, "postData": {"mimeType": "multipart/form-data; boundary=x", "params": [{"name": "a", "value": "b"}]}}, "response": {"status": 200}}]}}`, "# what it sent is not recorded: fill in its body\n", ""},
		{"a guessed type", `{"log": {"entries": [{"request": {"method": "GET", "url": "http://a.test/x"}, "response": {"status": 204, "headers": [{"name": "date", "value": "x"}], "content": {"mimeType": "text/plain"}}}]}}`, "expect: {status: [204]}\n", ""},
		{"an answer whose body is missing", `{"log": {"entries": [{"request": {"method": "GET", "url": "http://a.test/x"}, "response": {"status": 200, "content": {"size": 90, "mimeType": "text/html"}}}]}}`, "# the recording lacks the bodies of 1 answer: what", ""},
		{"a missing icon", `{"log": {"entries": [{"request": {"method": "GET", "url": "http://a.test/x"}, "response": {"status": 200}}, {"_resourceType": "other", "request": {"method": "GET", "url": "http://a.test/favicon.ico"}, "response": {"status": 404, "content": {"mimeType": "text/plain"}}}]}}`, "# 1 request of 2\n", ""},
		{"cookies without a field", `{"log": {"entries": [{"request": {"method": "GET", "url": "http://a.test/x"}, "response": {"status": 200, "cookies": [{"name": "csrf", "value": "abc123def456"}]}},` +
			`{"request": {"method": "GET", "url": "http://a.test/", "headers": [{"name": "x-csrf", "value": "abc123def456"}, {"name": ":path", "value": "/"}]}, "response": {"status": 200}}]}}`, "cookie: csrf", ""},
		{"out of order", `{"log": {"entries": [{"startedDateTime": "2026-11-23T08:00:02.000Z", "request": {"method": "GET", "url": "http://a.test/second"}, "response": {"status": 200}},` +
			`{"startedDateTime": "2026-11-23T09:00:01.000+01:00", "request": {"method": "GET", "url": "http://a.test/first"}, "response": {"status": 200}}]}}`, "- name: first\n        path: /first\n        expect: {status: [200]}\n      - name: second", ""},
		{"empty", "", "", "it is no HAR file, or it breaks off: at byte 0: unexpected EOF"},
		{"a page", "<html>", "", "it is no HAR file, or it breaks off: at byte 0: invalid character '<' looking for beginning of value"},
		{"a list", "[]", "", "it is no HAR file: want an object with log"},
		{"no log", `{"a": 1}`, "", "it is no HAR file: there is no log.entries"},
		{"no entries", `{"log": {}}`, "", "it is no HAR file: there is no log.entries"},
		{"entries of another kind", `{"log": {"entries": {}}}`, "", "it is no HAR file: want a list of entries"},
		{"breaks off", least[:40], "", "it is no HAR file, or it breaks off: at byte 21: unexpected EOF"},
		{"deep", `{"log": {"entries": [` + strings.Repeat("[", 20_000), "", "it is no HAR file, or it breaks off: at byte 21: json: "},
		{"deep, besides", `{"log": {"a": ` + strings.Repeat(`{"a":`, 20_000), "", "it is no HAR file, or it breaks off: at byte 12: json: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := record.New(record.Options{Name: "made"})
			err := r.ReadHAR(strings.NewReader(c.har))
			if c.err != "" {
				if err == nil || !strings.HasPrefix(err.Error(), c.err) && !strings.Contains(err.Error(), "exceeded max depth") {
					t.Errorf("got  %v\nwant %s", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			j, err := r.Journey()
			if err != nil {
				t.Fatal(err)
			}
			if yaml, _ := written(t, j); !strings.Contains(yaml, c.want) {
				t.Errorf("want %s in\n%s", c.want, yaml)
			}
		})
	}
}

func between(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	return text[:strings.LastIndex(text, after)]
}

// An entry that never ends costs a bounded part of it.
func TestEndlessHAR(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 64 MiB")
	}
	for _, start := range []string{`{"log": {"entries": [{"comment": "`, `{"log": {"entries": [{"comment": [`, `{"`, `{"log": {"`} {
		from := &endless{start: start}
		if err := record.New(record.Options{Name: "made"}).ReadHAR(from); err == nil || !strings.HasSuffix(err.Error(), "it has more than 67108864 bytes") {
			t.Errorf("%s…: %v", start, err)
		}
		if from.n > 65<<20 {
			t.Errorf("%s…: %d bytes were read", start, from.n)
		}
	}
}

type endless struct {
	start string
	n     int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.start)
	e.start = e.start[n:]
	for i := n; i < len(p); i++ {
		p[i] = ' '
	}
	e.n += len(p)
	return len(p), nil
}

// A recording that is made to be searched for long is not.
func TestSearchIsBounded(t *testing.T) {
	page := text("text/html", strings.Repeat("=abc123def4", 90_000))
	all := []record.Exchange{}
	for i := range 50 {
		all = append(all, entry("GET", fmt.Sprintf("http://a.test/p%d", i), 200, page))
	}
	query := "?"
	for i := range 500 {
		query += fmt.Sprintf("k%d=abc123def4%d&", i, i%10)
	}
	for range 50 {
		all = append(all, entry("GET", "http://a.test/"+query, 200))
	}
	began := time.Now()
	made(t, all...)
	if took := time.Since(began); took > 5*time.Minute {
		t.Errorf("it took %v", took)
	}
}

func readLog(t *testing.T, log string, layout replay.Layout, which record.Lines) (*record.Recorder, []string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "access.log")
	if err := os.WriteFile(name, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := replay.NewParser(layout)
	if err != nil {
		t.Fatal(err)
	}
	source, err := replay.Open([]string{name}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	r := record.New(record.Options{Name: "made"})
	notes, err := r.ReadLog(source, p, which)
	if err != nil {
		t.Fatal(err)
	}
	for i := range notes {
		notes[i] = strings.ReplaceAll(notes[i], name, "access.log")
	}
	return r, notes
}

func TestSessionOfALog(t *testing.T) {
	const log = `192.0.2.7 - - [23/Nov/2026:08:00:01 +0000] "GET / HTTP/1.1" 200 5 "-" "Mozilla"
192.0.2.8 - - [23/Nov/2026:08:00:01 +0000] "GET /other HTTP/1.1" 200 5 "-" "Mozilla"
192.0.2.7 - - [23/Nov/2026:08:00:02 +0000] "GET /a.css HTTP/1.1" 200 5 "-" "Mozilla"
what is this?
192.0.2.7 - - [23/Nov/2026:08:00:03 +0000] "POST /login?token=hidden HTTP/1.1" 303 5 "-" "Mozilla"
192.0.2.7 - - [23/Nov/2026:08:00:09 +0000] "GET /cart HTTP/1.1" 304 5 "-" "Mozilla"
192.0.2.7 - - [24/Nov/2026:08:00:03 +0000] "GET /next-day HTTP/1.1" 200 5 "-" "Mozilla"
`
	r, notes := readLog(t, log, replay.Layout{}, record.Lines{Client: "192.0.2.7", Until: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)})
	if len(notes) != 2 || !strings.HasPrefix(notes[0], "access.log:4: ") || notes[1] != "1 line is no request" {
		t.Errorf("notes %q", notes)
	}
	j, err := r.Journey()
	if err != nil {
		t.Fatal(err)
	}
	yaml, _ := written(t, j)
	const want = `# Recorded from a recording: look through it, and give it to a service by journeys: [made].
# 3 requests of 4
# left out: 1 request for static assets (--assets keeps them)
# to be set in the environment: MADE_TOKEN
journeys:
  made:
    secrets:
      token: "${MADE_TOKEN}"
    steps:
      - name: home
        path: /
        expect: {status: [200]}
      # what it sent is not recorded: fill in its body
      - name: post-login
        method: POST
        path: /login?token={{token}}
        expect: {status: [303]}
      - name: cart
        path: /cart
        expect: {status: [200]}
`
	if yaml != want {
		t.Errorf("got\n%s\nwant\n%s", yaml, want)
	}
}

func TestSessionByField(t *testing.T) {
	const log = `{"ts": "2026-11-23T08:00:01Z", "method": "GET", "host": "shop.test", "path": "/a", "status": 200, "client": "192.0.2.7", "user": "ada", "reason": "split", "service": "web"}
{"ts": "2026-11-23T08:00:02Z", "method": "GET", "host": "shop.test", "path": "/b", "status": 200, "client": "192.0.2.7", "user": "eve"}
{"ts": "2026-11-23T08:00:03Z", "method": "GET", "host": "shop.test", "path": "/c", "query": "q=1", "status": 200, "client": "192.0.2.9", "user": "ada"}
`
	r, notes := readLog(t, log, replay.Layout{Session: "field:user"}, record.Lines{Session: "ada"})
	j, err := r.Journey()
	if err != nil || len(notes) != 0 {
		t.Fatal(err, notes)
	}
	if _, file := written(t, j); file.Host != "shop.test" || len(file.Steps) != 2 || file.Steps[1].Path != "/c?q=1" {
		t.Errorf("%+v", file)
	}
}

// FuzzHAR reads anything as a HAR file; what is made of it is taken by the file.
func FuzzHAR(f *testing.F) {
	f.Add([]byte(least))
	f.Add([]byte(`{"log": {"entries": [{"_resourceType": "fetch", "request": {"method": "POST", "url": "https://a.test/o/4711?token=x", "headers": [{"name": "Authorization", "value": "Bearer abc"}],` +
		` "postData": {"mimeType": "application/json", "text": "{\"id\": 4711, \"{{a}}\": \"${B}\"}"}}, "response": {"status": 201, "headers": [{"name": "Location", "value": "/o/9"}],` +
		` "content": {"mimeType": "application/json", "text": "{\"id\": 9, \"csrf\": \"abc123def456\"}"}}}, {"request": {"method": "GET", "url": "https://a.test/o/9?c=abc123def456"}, "response": {"status": 200}}]}}`))
	f.Fuzz(func(t *testing.T, har []byte) {
		r := record.New(record.Options{Name: "made"})
		if r.ReadHAR(bytes.NewReader(har)) != nil {
			return
		}
		if j, err := r.Journey(); err == nil {
			written(t, j)
		}
	})
}

var _ io.Reader = (*endless)(nil)

// A HAR file as the developer tools of Chromium 156 wrote it, of a login, a
// redirect and two calls of a script; they list what a navigation ended first.
func TestWhatChromiumWrites(t *testing.T) {
	f, err := os.Open("testdata/chromium.har")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := record.New(record.Options{Name: "made"})
	if err := r.ReadHAR(f); err != nil {
		t.Fatal(err)
	}
	j, err := r.Journey()
	if err != nil {
		t.Fatal(err)
	}
	yaml, file := written(t, j)
	var steps []string
	for _, s := range file.Steps {
		steps = append(steps, s.Method+" "+s.Path)
	}
	if got := strings.Join(steps, ", "); got != "GET /, POST /login, GET {{location}}, POST /api/carts, PUT /api/carts/{{carts-id}}/lines" || strings.Contains(yaml, "sesame") {
		t.Errorf("%s\n%s", got, yaml)
	}
	for _, want := range []string{`csrf: {regex: 'name=csrf[^>]*value="([^"'']*)'}`, `name=\"csrf\"\r\n\r\n{{csrf}}\r\n`, `{"cartId":{{carts-id}},"n":2}`, "Authorization: Bearer {{authorization}}", "# 5 requests of 7\n"} {
		if !strings.Contains(yaml, want) {
			t.Errorf("%s is not in\n%s", want, yaml)
		}
	}
}
