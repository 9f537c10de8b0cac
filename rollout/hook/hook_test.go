package hook

import (
	"context"
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
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"sluice/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// rig is a sender whose waits are over at once.
type rig struct {
	*Sender
	t      *testing.T
	failed atomic.Int64
	logs   *observer.ObservedLogs
	mu     sync.Mutex
	waits  []time.Duration
}

func begin(t *testing.T) *rig {
	r := &rig{t: t}
	core, logs := observer.New(zap.DebugLevel)
	r.logs = logs
	r.Sender = New(Options{
		Log: zap.New(core), Now: func() time.Time { return noon },
		Secret: func(name string) []byte {
			if name == "ci" {
				return []byte("s3cret")
			}
			return nil
		},
		Failed: func() { r.failed.Add(1) },
		Wait: func(_ context.Context, d time.Duration) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.waits = append(r.waits, d)
		},
	})
	t.Cleanup(func() { r.Close(canceled()) })
	return r
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// finish lets all hooks be told.
func (r *rig) finish() {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r.Close(ctx)
	if ctx.Err() != nil {
		r.t.Fatal("hooks were not told within 20 s")
	}
}

// transition is what is told of a rollout's newest move.
func transition(seq int, to state.Phase) Transition {
	return Transitions(rollout(seq, to), uint64(seq)-1)[0]
}

func rollout(seq int, to state.Phase) *state.Rollout {
	return &state.Rollout{
		ID: "r7", Set: "shop", Seq: uint64(seq), Policy: state.Policy{Name: "standard"},
		Legs: []state.Leg{{Service: "api", Candidate: "v8", Baseline: "v7"}, {Service: "web", Candidate: "v2"}},
		Moves: []state.Move{{Seq: uint64(seq) - 1, To: state.PhaseShifting}, {
			Seq: uint64(seq), At: noon, By: "judge", From: state.PhaseShifting, To: to, Stage: 2, Share: 2500, Why: "harm",
			Evidence: []state.Evidence{{Service: "web", LogR: 5}},
		}},
	}
}

// receiver keeps what is posted; answer says with what each is answered.
type receiver struct {
	*httptest.Server
	mu   sync.Mutex
	got  []*http.Request
	body [][]byte
}

func receive(t *testing.T, answer func(n int, w http.ResponseWriter)) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		r.got, r.body = append(r.got, req), append(r.body, body)
		n := len(r.got)
		r.mu.Unlock()
		answer(n, w)
	}))
	t.Cleanup(r.Server.Close)
	return r
}

func fine(int, http.ResponseWriter) {}

// verify is what a receiver does, by the description of SignatureHeader alone.
func verify(header string, body []byte, secret string) error {
	var at int64
	var sum string
	if _, err := fmt.Sscanf(header, "t=%d,v1=%s", &at, &sum); err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(secret))
	fmt.Fprintf(mac, "%d.%s", at, body)
	if hex.EncodeToString(mac.Sum(nil)) != sum || at != noon.Unix() {
		return fmt.Errorf("%q does not sign the body", header)
	}
	return nil
}

func TestAHookIsPostedSigned(t *testing.T) {
	r, to := begin(t), receive(t, fine)
	want := transition(9, state.PhaseRolledBack)
	r.Tell(want, []state.Hook{{URL: to.URL + "/x?key=1", Secret: "ci"}, {URL: to.URL, On: []state.Phase{state.PhasePromoted}}})
	r.finish()
	if len(to.got) != 1 || r.failed.Load() != 0 {
		t.Fatalf("%d posts, %d failed", len(to.got), r.failed.Load())
	}
	req := to.got[0]
	if req.Method != "POST" || req.URL.String() != "/x?key=1" || req.Header.Get("Content-Type") != "application/json" || req.Header.Get(DeliveryHeader) != "r7-9-rolled_back" {
		t.Errorf("%s %s %v", req.Method, req.URL, req.Header)
	}
	if err := verify(req.Header.Get(SignatureHeader), to.body[0], "s3cret"); err != nil {
		t.Error(err)
	}
	var got Transition
	if err := json.Unmarshal(to.body[0], &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("error %v, got\n%+v, want\n%+v", err, got, want)
	}
	if got.Share != 0.25 || got.Legs[0].Baseline != "v7" || got.Evidence[0].LogR != 5 {
		t.Errorf("%+v", got)
	}
}

func TestAHookIsTriedAgainInOrder(t *testing.T) {
	r := begin(t)
	to := receive(t, func(n int, w http.ResponseWriter) {
		switch n {
		case 1:
			w.WriteHeader(503)
		case 2:
			w.WriteHeader(429)
		case 3:
			panic(http.ErrAbortHandler)
		}
	})
	for seq := range 3 {
		r.Tell(transition(seq+1, state.PhaseShifting), []state.Hook{{URL: to.URL}})
	}
	r.finish()
	var ids []string
	for _, req := range to.got {
		ids = append(ids, req.Header.Get(DeliveryHeader))
		if req.Header.Get(SignatureHeader) != "" {
			t.Error("signed without a secret")
		}
	}
	if got := strings.Join(ids, " "); got != "r7-1-shifting r7-1-shifting r7-1-shifting r7-1-shifting r7-2-shifting r7-3-shifting" || r.failed.Load() != 0 {
		t.Errorf("posts %s, %d failed", got, r.failed.Load())
	}
	for i, d := range r.waits {
		if pause := time.Second << i; d < pause/2 || d > pause {
			t.Errorf("wait %d was %v", i, d)
		}
	}
}

func TestAHookThatNeverAnswersIsGivenUp(t *testing.T) {
	r := begin(t)
	to := receive(t, func(n int, w http.ResponseWriter) { w.WriteHeader(500) })
	r.Tell(transition(1, state.PhaseShifting), []state.Hook{{URL: to.URL + "/T0K3N"}})
	r.finish()
	if len(to.got) != maxTries || r.failed.Load() != 1 {
		t.Errorf("%d tries, %d failed", len(to.got), r.failed.Load())
	}
	var all time.Duration
	for _, d := range r.waits {
		if all += d; d > maxPause {
			t.Errorf("waited %v", d)
		}
	}
	if all < time.Minute || all > 10*time.Minute {
		t.Errorf("given up after %v", all)
	}
}

// TestWhatCannotGetBetterIsNotTriedAgain also shows that nothing secret is
// logged.
func TestWhatCannotGetBetterIsNotTriedAgain(t *testing.T) {
	r := begin(t)
	to := receive(t, func(n int, w http.ResponseWriter) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader([]int{404, 302}[n%2])
	})
	hooks := []state.Hook{{URL: to.URL + "/T0K3N"}, {URL: to.URL + "/T0K3N?2"}, {URL: to.URL + "/T0K3N", Secret: "gone"}, {URL: "http://a b/T0K3N"},
		{Command: []string{filepath.Join(t.TempDir(), "none"), "T0K3N"}}}
	r.Tell(transition(1, state.PhaseShifting), hooks)
	r.finish()
	if len(to.got) != 2 || r.failed.Load() != 5 || len(r.waits) != 0 {
		t.Errorf("%d posts, %d failed, %d waits", len(to.got), r.failed.Load(), len(r.waits))
	}
	for _, e := range r.logs.All() {
		if line := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(line, "T0K3N") || strings.Contains(line, "s3cret") {
			t.Errorf("logged: %s", line)
		}
	}
}

func TestAHookThatHangsHoldsNobodyUp(t *testing.T) {
	r := begin(t)
	hang := make(chan struct{})
	slow := receive(t, func(int, http.ResponseWriter) { <-hang })
	t.Cleanup(func() { close(hang) }) // before the server's own, which waits
	told := make(chan int)
	quick := receive(t, func(n int, _ http.ResponseWriter) { told <- n })
	for seq := range maxWaiting + 5 {
		r.Tell(transition(seq+1, state.PhaseShifting), []state.Hook{{URL: slow.URL}, {URL: quick.URL}})
		select {
		case <-told:
		case <-time.After(10 * time.Second):
			t.Fatalf("post %d does not come", seq)
		}
	}
	if n := r.failed.Load(); n != 5 {
		t.Errorf("%d were not taken; want 5", n)
	}
	r.Close(canceled())
	n := r.failed.Load()
	if n < maxWaiting+5 {
		t.Errorf("%d failed at the end", n)
	}
	r.Tell(transition(1, state.PhaseShifting), []state.Hook{{URL: quick.URL}})
	if after := r.failed.Load(); after != n+1 {
		t.Errorf("%d failed after the end, %d before", after, n)
	}
}

func TestReceiversAreBounded(t *testing.T) {
	r := begin(t)
	hang := make(chan struct{})
	slow := receive(t, func(int, http.ResponseWriter) { <-hang })
	t.Cleanup(func() { close(hang) })
	var hooks []state.Hook
	for i := range maxLanes + 3 {
		hooks = append(hooks, state.Hook{URL: fmt.Sprint(slow.URL, "/", i)})
	}
	r.Tell(transition(1, state.PhaseShifting), hooks)
	if n := r.failed.Load(); n != 3 {
		t.Errorf("%d were not taken; want 3", n)
	}
}

func script(t *testing.T, body string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook.sh")
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"/bin/sh", path}
}

func TestACommandReadsTheTransition(t *testing.T) {
	r := begin(t)
	dir := t.TempDir()
	command := append(script(t, `cat > "$1/in"; echo "$SLUICE_ROLLOUT|$SLUICE_SET|$SLUICE_SERVICE|$SLUICE_VERSION|$SLUICE_FROM|$SLUICE_PHASE|$SLUICE_STAGE|$SLUICE_SHARE|$SLUICE_BY|$SLUICE_WHY|$2" > "$1/env"; echo hello`),
		dir, "$(no shell) looks; at this")
	want := transition(3, state.PhasePromoted)
	r.Tell(want, []state.Hook{{Command: command}})
	r.finish()
	env, _ := os.ReadFile(filepath.Join(dir, "env"))
	if got := strings.TrimSpace(string(env)); got != "r7|shop|api web|v8 v2|shifting|promoted|2|0.25|judge|harm|$(no shell) looks; at this" {
		t.Errorf("environment %s", got)
	}
	in, _ := os.ReadFile(filepath.Join(dir, "in"))
	var got Transition
	if err := json.Unmarshal(in, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("error %v, input %s", err, in)
	}
	if lines := r.logs.FilterMessage("a hook's command has run").All(); len(lines) != 1 || lines[0].ContextMap()["said"] != "hello" {
		t.Errorf("%v", lines)
	}
}

func TestACommandIsBounded(t *testing.T) {
	r := begin(t)
	hooks := []state.Hook{
		{Command: script(t, "echo no >&2; exit 3")},
		{Command: script(t, "sleep 60 & sleep 60"), Timeout: 50 * time.Millisecond},
		{Command: script(t, "i=0; while [ $i -lt 2000 ]; do echo 0123456789; i=$((i+1)); done; exit 1")},
	}
	r.Tell(transition(3, state.PhasePromoted), hooks)
	r.finish()
	if n := r.failed.Load(); n != 3 {
		t.Errorf("%d failed", n)
	}
	var said, errs []string
	for _, e := range r.logs.FilterMessage("a hook's command failed").All() {
		said = append(said, fmt.Sprint(e.ContextMap()["said"]))
		errs = append(errs, fmt.Sprint(e.ContextMap()["error"]))
	}
	if all := strings.Join(errs, "\n"); !strings.Contains(all, "exit status 3") || !strings.Contains(all, "longer than 50ms") {
		t.Errorf("errors %s", all)
	}
	longest := 0
	for _, s := range said {
		longest = max(longest, len(s))
	}
	if longest < maxOutput || longest > maxOutput+100 || !strings.Contains(strings.Join(said, ""), "bytes more") {
		t.Errorf("the longest output has %d bytes", longest)
	}
}

func TestTransitionsAreThoseSince(t *testing.T) {
	r := rollout(9, state.PhaseRolledBack)
	for after, want := range map[uint64]string{0: "r7-8-shifting r7-9-rolled_back", 7: "r7-8-shifting r7-9-rolled_back", 8: "r7-9-rolled_back", 9: ""} {
		var ids []string
		for _, tr := range Transitions(r, after) {
			ids = append(ids, tr.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("after %d: %s, want %s", after, got, want)
		}
	}
}
