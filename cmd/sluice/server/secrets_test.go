package server

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/admin"
	"sluice/admin/api"
	"sluice/admin/client"
)

// No secret, token or cookie of anybody gets into the log, however much is
// logged.
func TestTheLogHoldsNoSecret(t *testing.T) {
	dir := t.TempDir()
	generated, line, err := admin.GenerateToken(admin.Identity{Name: "anna", Role: admin.Admin})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokens"), []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := write(t, dir, plainListener, "state: {backend: memory}", "log: {level: debug, access: {mode: all, format: combined}}", keys, web(t, 100, 0))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.Replace(string(text), `admin: {`, `admin: {tokens_file: tokens, `, 1))
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, path, Options{})
	s.admin, err = client.New(client.Config{Base: "http://" + s.AdminAddr().String(), Token: generated})
	if err != nil {
		t.Fatal(err)
	}
	override := s.token(time.Hour)
	c := stranger(t)
	c.get(s.url("", "/"), "Sluice-Token: "+override).served(t, "dark")
	c.get(s.url("", "/?sluice-token="+override))
	c.get(s.url("", "/"), "Cookie: sluice_token="+override+"; sid=my-session", "Authorization: Bearer my-bearer").served(t, "dark")
	s.reload()
	if _, err := s.admin.Explain(t.Context(), api.ExplainRequest{URL: "http://a/?sluice-token=" + override}); err != nil {
		t.Fatal(err)
	}
	rewrite(t, path, strings.Replace(string(text), "secret:", "secrets:", 1))
	_ = s.Reload(t.Context())
	var log strings.Builder
	for _, entry := range s.logs.All() {
		context, err := json.Marshal(entry.ContextMap())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&log, entry.Message, string(context))
	}
	s.close()
	log.WriteString(s.requests.String())
	if strings.Count(log.String(), `"GET / HTTP/1.1" 200`) != 2 {
		t.Errorf("requests were not logged: %s", log.String())
	}
	for what, secret := range map[string]string{
		"override key": "0123456789abcdef0123456789abcdef", "override token": override, "API token": generated,
		"session": "my-session", "bearer token": "my-bearer",
	} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log holds the %s", what)
		}
	}
}
