package admin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const digits64 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestParseTokens(t *testing.T) {
	grants, err := parseTokens([]byte("# people\n\nann\tadmin  sha256:" + digits64 + "\nci deployer sha256:" + strings.ToUpper(digits64[1:]+"f") + " web,api\r\n"))
	if err != nil || len(grants) != 2 || grants[0].Name != "ann" || grants[0].Role != Admin || !grants[0].May("any") {
		t.Fatalf("%+v %v", grants, err)
	}
	if !grants[1].May("api") || grants[1].May("shop") {
		t.Errorf("%+v", grants[1])
	}
	grants, err = parseTokens([]byte("oncall operator+force sha256:" + digits64))
	if err != nil || !grants[0].Force || !grants[0].MayForce() || grants[0].Role != Operator {
		t.Fatalf("%+v %v", grants, err)
	}
	bad := map[string]string{
		"ann viewer+force sha256:" + digits64:                         "line 1: the role viewer changes no weights",
		"ann admin+might sha256:" + digits64:                          `line 1: unknown role "admin+might"`,
		"ann admin":                                                   "line 1: 2 fields; a line is: name role sha256:<hex> [service,service…]",
		"ann admin sha256:" + digits64 + " web, api":                  "line 1: 5 fields",
		"a/b admin sha256:" + digits64:                                `line 1: "a/b" is no name`,
		"\nann root sha256:" + digits64:                               `line 2: unknown role "root"; the roles are viewer, tester, deployer, operator and admin`,
		"ann public sha256:" + digits64:                               `unknown role "public"`,
		"ann admin " + digits64:                                       "the third field must be sha256: and 64 hexadecimal digits",
		"ann admin sha256:" + digits64[1:]:                            "64 hexadecimal digits",
		"ann admin sha256:" + digits64 + "00":                         "64 hexadecimal digits",
		"ann admin sluice_secret":                                     "the file holds hashes of tokens, not tokens",
		"ann admin sha256:" + digits64 + " web,,api":                  `line 1: "" is no name of a service`,
		strings.Repeat("ann admin sha256:"+digits64+"\n", 2):          `line 2: the name "ann" is taken by line 1`,
		"a admin sha256:" + digits64 + "\nb admin sha256:" + digits64: "line 2: the token is the same as that of line 1",
		"a b\nc d": "line 2: 2 fields", // every fault is told
	}
	for text, message := range bad {
		_, err := parseTokens([]byte(text))
		if err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("%q: %v, want %q", text, err, message)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error repeats the third field", text)
		}
	}
}

func TestGenerateToken(t *testing.T) {
	one, line, err := GenerateToken(Identity{Name: "ci", Role: Deployer, Services: []string{"web", "api"}})
	two, _, _ := GenerateToken(Identity{Name: "ci", Role: Deployer})
	if err != nil || one == two || len(one) < 43 || strings.Contains(line, one) {
		t.Fatalf("%q %q %v", one, line, err)
	}
	grants, err := parseTokens([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	id, ok := find(grants, one)
	if !ok || id.Name != "ci" || id.Role != Deployer || !id.May("web") || id.May("shop") {
		t.Errorf("%+v %v", id, ok)
	}
	if _, ok := find(grants, two); ok {
		t.Error("another token is taken for it")
	}
	for _, name := range []string{"", "a b", "a\nb admin", "#a"} {
		if _, _, err := GenerateToken(Identity{Name: name, Role: Viewer}); err == nil {
			t.Errorf("the name %q is taken", name)
		}
	}
	if _, _, err := GenerateToken(Identity{Name: "ci", Role: Public}); err == nil {
		t.Error("a token without a role is made")
	}
	if _, _, err := GenerateToken(Identity{Name: "ci", Role: Viewer, Services: []string{"web api"}}); err == nil {
		t.Error("a service with a space is taken")
	}
}

func TestTokensFollowTheirFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ann, annLine, _ := GenerateToken(Identity{Name: "ann", Role: Admin})
	bob, bobLine, _ := GenerateToken(Identity{Name: "bob", Role: Viewer})
	write(annLine)
	now := noon
	tokens, err := OpenTokens(path, nil, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	knows := func(token string, want bool) {
		t.Helper()
		if _, ok := tokens.Find(token); ok != want {
			t.Errorf("known: %v, want %v", ok, want)
		}
	}
	knows(ann, true)
	knows(bob, false)

	write(annLine + "\n" + bobLine)
	now = now.Add(recheck - 1)
	knows(bob, false) // not looked at again yet
	now = now.Add(1)
	knows(bob, true)

	write(bobLine + "\nnonsense") // the last good one is kept
	now = now.Add(recheck)
	knows(ann, true)
	if err := tokens.Err(); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("%v", err)
	}
	os.Remove(path)
	now = now.Add(recheck)
	knows(ann, true)
	if tokens.Err() == nil {
		t.Error("a missing file is no error")
	}
	write(bobLine)
	now = now.Add(recheck)
	knows(ann, false)
	knows(bob, true)
	if err := tokens.Err(); err != nil {
		t.Error(err)
	}

	// A file of the same size and time that was moved into place is seen.
	info, _ := os.Stat(path)
	cal, calLine, _ := GenerateToken(Identity{Name: "cal", Role: Viewer})
	if err := os.WriteFile(path+".new", []byte(calLine), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Chtimes(path+".new", info.ModTime(), info.ModTime())
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	now = now.Add(recheck)
	knows(cal, true)
	write("# nobody\n") // revokes all
	now = now.Add(recheck)
	knows(cal, false)
}

func TestOpenTokensRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenTokens(filepath.Join(dir, "none"), nil, nil); err == nil {
		t.Error("a missing file is opened")
	}
	if _, err := OpenTokens(dir, nil, nil); err == nil {
		t.Error("a directory is opened")
	}
	empty := filepath.Join(dir, "empty")
	os.WriteFile(empty, []byte("# nobody\n"), 0o600)
	if _, err := OpenTokens(empty, nil, nil); err == nil || !strings.Contains(err.Error(), "holds no token") {
		t.Errorf("%v", err)
	}
	large := filepath.Join(dir, "large")
	os.WriteFile(large, make([]byte, maxTokenFile+1), 0o600)
	if _, err := OpenTokens(large, nil, nil); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("%v", err)
	}
}

func BenchmarkFind(b *testing.B) {
	var grants []grant
	var last string
	for range 100 {
		token, line, _ := GenerateToken(Identity{Name: "ci", Role: Viewer})
		g, _ := parseGrant(line)
		grants, last = append(grants, g), token
	}
	b.ReportAllocs()
	for b.Loop() {
		find(grants, last)
	}
}
