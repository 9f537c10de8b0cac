package server

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/configs"
	"sluice/proxy/accesslog"
)

// TestTheFileKnowsTheFieldsOfTheAccessLog holds the list of configs to that of
// the access log.
func TestTheFileKnowsTheFieldsOfTheAccessLog(t *testing.T) {
	all := append(accesslog.DefaultFields(), accesslog.Referer, accesslog.Query)
	var names []string
	for _, f := range all {
		names = append(names, f.String())
	}
	path := write(t, t.TempDir(), "log: {access: {fields: ["+strings.Join(names, ", ")+"]}}", web(t, 100, 0))
	file, err := configs.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := accessLog(file.Log.Access).Layout.Fields; !slices.Equal(got, all) {
		t.Errorf("got %v, want %v", got, all)
	}
	if _, err := configs.Parse("f", []byte("log: {access: {fields: [no]}}"), nil); err == nil || !strings.Contains(err.Error(), "level, ts, msg") {
		t.Errorf("an unknown field: %v", err)
	}
}

// TestAccessLogFile: the file's keys hold, and a reload follows a rotation.
func TestAccessLogFile(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "access.log")
	s := start(t, write(t, dir, plainListener, "state: {backend: memory}",
		"log: {level: error, access: {mode: all, format: json, fields: [status, path, client], file: access.log, mask_client: true}}", web(t, 100, 0)), Options{})
	c := stranger(t)
	c.get(s.url("", "/one"))
	await(t, "the line is in the file", func() bool { // it is written when the client has its answer
		got, err := os.ReadFile(log)
		return err == nil && len(got) > 0
	})
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.get(s.url("", "/two"))
	s.close()
	for path, want := range map[string]string{
		log + ".1": `{"status":200,"path":"/one","client":"127.0.0.0"}`,
		log:        `{"status":200,"path":"/two","client":"127.0.0.0"}`,
	} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want+"\n" {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	if got := s.requests.String(); got != "" {
		t.Errorf("elsewhere: %q", got)
	}
}

func TestAccessLogWhereTheLogGoes(t *testing.T) {
	s := run(t, "log: {access: {mode: all, format: common}}", web(t, 100, 0))
	stranger(t).get(s.url("", "/one"))
	s.close()
	if got := s.requests.String(); !regexp.MustCompile(`^127\.0\.0\.\d+ - - \[[^]]+\] "GET /one HTTP/1\.1" 200 \d+\n$`).MatchString(got) {
		t.Errorf("got %q", got)
	}
}

// TestTagsInTheAccessLog: a request is traced to a commit, and new tags hold from
// the reload on.
func TestTagsInTheAccessLog(t *testing.T) {
	tagged := func(commit string) []string {
		return []string{plainListener, "state: {backend: memory}", "log: {access: {mode: all, fields: [path, version, tags]}}",
			strings.Replace(web(t, 100, 0), "weight: 100", "weight: 100, tags: {team: shop, commit: "+commit+"}", 1)}
	}
	path := write(t, t.TempDir(), tagged("3f2a9c1")...)
	s := start(t, path, Options{})
	c := stranger(t)
	c.get(s.url("", "/one"))
	rewrite(t, path, tagged("94b1e07")...)
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.get(s.url("", "/two"))
	s.close()
	const want = `{"path":"/one","version":"v1","tags":{"commit":"3f2a9c1","team":"shop"}}
{"path":"/two","version":"v1","tags":{"commit":"94b1e07","team":"shop"}}
`
	if got := s.requests.String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAccessLogThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	file, err := configs.Load(write(t, dir, plainListener, "state: {backend: memory}", "log: {access: {file: none/access.log}}", web(t, 100, 0)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), file, Options{}); err == nil || !strings.HasPrefix(err.Error(), "log.access.file: open "+dir) {
		t.Errorf("got %v", err)
	}
}
