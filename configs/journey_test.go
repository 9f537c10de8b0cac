package configs

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"
)

// A journey of the file is complete: steps have names, files are read, and what
// is left out has its default.
func TestJourney(t *testing.T) {
	data, err := os.ReadFile("testdata/good/everything.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := sandbox(t)
	f, err := Parse(filepath.Join(dir, "sluice.yaml"), data, env)
	if err != nil {
		t.Fatal(err)
	}
	j := f.Journeys["checkout"]
	if got := j.Secrets["password"]; len(got.Bytes()) != 32 || got.String() != "(secret)" {
		t.Errorf("the secret is %q", got.Bytes())
	}
	if got := j.Secrets["pin"]; string(got.Bytes()) != "9001" || len(j.Secrets) != 2 {
		t.Errorf("the secrets are %q", got.Bytes())
	}
	if j.Host != "shop.example.com" || j.Timeout != time.Minute || !reflect.DeepEqual(j.Variables, map[string]string{"user": "ada", "page.size": "10"}) {
		t.Errorf("got %+v", j)
	}
	schema := []byte(`{"type": "object", "required": ["token"]}`)
	want := []JourneyStep{
		{Name: "step-1", Method: "GET", Path: "/?size={{page.size}}", Timeout: 10 * time.Second, Expect: JourneyExpect{
			Status: []StatusClass{{200, 200}, {300, 399}}, Header: map[string]string{"Content-Type": "text/html*"},
			Contains: []string{"<title>"}, Regex: []string{"[Ss]hop"}}},
		{Name: "login", Method: "POST", Path: "/login", Timeout: 5 * time.Second, Retries: 1,
			Headers: map[string]string{"Accept": "application/json"},
			Body:    &JourneyBody{JSON: `{"user": "{{user}}", "password": "{{password}}"}`},
			Expect: JourneyExpect{Status: []StatusClass{{201, 201}}, Latency: time.Second,
				JSON:       map[string]string{"$.user.name": "{{user}}", "$.carts[?(@.open == true)]": "*"},
				SchemaFile: filepath.Join(dir, "schema.json"), Schema: schema},
			Capture: map[string]*Capture{"token": {JSON: "$.token"}, "id": {Header: "X-Id", Show: true}, "session": {Cookie: "sid"}, "word": {Regex: `word (\w+)`}}},
	}
	if !reflect.DeepEqual(j.Steps[:2], want) {
		t.Errorf("got  %+v\nwant %+v", j.Steps[:2], want)
	}
	last := j.Steps[len(j.Steps)-2:]
	if last[0].Body.Text != "{{session}} {{ not a name }}" || string(last[1].Body.Content) != string(schema) {
		t.Errorf("bodies %+v, %+v", last[0].Body, last[1].Body)
	}
	if got := last[0].Expect.Status; !reflect.DeepEqual(got, []StatusClass{{200, 299}, {300, 399}}) || got[0].String() != "2xx" {
		t.Errorf("any status of %v", got)
	}
}
