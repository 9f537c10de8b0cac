package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/rollout/hook"
	"sluice/state"
)

// TestHooksOfTheFileAreTold, signed by the secret that the file names.
func TestHooksOfTheFileAreTold(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	type delivery struct {
		signature string
		body      []byte
	}
	got := make(chan delivery, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- delivery{r.Header.Get(hook.SignatureHeader), body}
	}))
	defer receiver.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hook.key"), []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := write(t, dir, plainListener, "state: {backend: memory}", fmt.Sprintf(oneVersion, backend(t, "v1")), `policies:
  ours:
    gate: true
    stages: [{shift: {share: 50%}}]
    hooks: [{url: "`+receiver.URL+`/T0K3N", secret_file: hook.key, on: [gated, aborted]}]`)
	s := start(t, path, Options{})
	p, err := policy(s.file, "ours", []string{"web"})
	if err != nil {
		t.Fatal(err)
	}
	id := s.roll(p, backend(t, "v2"))
	s.awaitPhase(id, state.PhaseGated, 0)
	s.do(state.SteerRollout{ID: id, Action: state.ActionAbort})
	for _, want := range []state.Phase{state.PhaseGated, state.PhaseAborted} {
		select {
		case d := <-got:
			var tr hook.Transition
			if err := json.Unmarshal(d.body, &tr); err != nil || tr.Rollout != id || tr.To != want || tr.Legs[0].Candidate != "v2" {
				t.Errorf("error %v, body %s, want %s", err, d.body, want)
			}
			at, sum, _ := strings.Cut(strings.TrimPrefix(d.signature, "t="), ",v1=")
			mac := hmac.New(sha256.New, []byte(secret))
			fmt.Fprintf(mac, "%s.%s", at, d.body)
			if hex.EncodeToString(mac.Sum(nil)) != sum {
				t.Errorf("signature %q", d.signature)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("nobody told of %s", want)
		}
	}
	for _, e := range s.logs.All() {
		if line := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(line, "T0K3N") || strings.Contains(line, secret) {
			t.Errorf("logged: %s", line)
		}
	}
}

// TestAnUpgradeThatFailsGoesOnWithItsRollouts: nothing moves while the store is
// away, and then all that was counted is there.
func TestAnUpgradeThatFailsGoesOnWithItsRollouts(t *testing.T) {
	v1, v2 := fails(t, 0), fails(t, 0)
	path := write(t, t.TempDir(), plainListener, boltState, fmt.Sprintf(oneVersion, v1.address))
	s := start(t, path, Options{})
	s.warm()
	p := swift()
	p.Stages[1].Hold = time.Hour
	id := s.roll(p, v2.address)
	s.awaitPhase(id, state.PhaseShifting, 1)
	end := traffic(t, func() string { return s.url("", "/") })
	defer end()
	await(t, "evidence", func() bool {
		e := s.driver.Evidence(id)
		return len(e) == 1 && e[0].CandidateSessions > 50
	})
	if _, err := s.freeze(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := s.driver.Evidence(id)[0].CandidateSessions
	v2.part.Store(10_000)
	n := v2.failed.Load()
	await(t, "failures", func() bool { return v2.failed.Load() > n+20 })
	if r := s.rolloutOf(id); r.Phase != state.PhaseShifting {
		t.Fatalf("moved without its store: %s", account(r))
	}
	s.thaw(nil)
	s.awaitPhase(id, state.PhaseRolledBack, -1)
	r := s.rolloutOf(id)
	if e := r.Moves[len(r.Moves)-1].Evidence; len(e) != 1 || e[0].CandidateSessions < seen {
		t.Errorf("%d sessions before, then %+v", seen, e)
	}
}
