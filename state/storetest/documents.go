package storetest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"sluice/state"
)

// documents are kept beside the state, and neither touches the other.
func documents(t *testing.T, store state.Store) {
	Advance(t, store, 2)
	put := func(key, doc string) {
		t.Helper()
		if err := store.PutDocument(t.Context(), key, []byte(doc)); err != nil {
			t.Fatal(err)
		}
	}
	put("rollout/r2", "two")
	put("rollout/r1", "one")
	put("other", "o")
	put("rollout/r1", "one more")
	Document(t, store, "rollout/r1", "one more")
	Document(t, store, "rollout/r2", "two")
	Document(t, store, "rollout/", "")
	for prefix, want := range map[string][]string{
		"rollout/": {"rollout/r1", "rollout/r2"}, "": {"other", "rollout/r1", "rollout/r2"}, "z": nil,
	} {
		if keys, err := store.DocumentKeys(t.Context(), prefix); err != nil || !slices.Equal(keys, want) {
			t.Errorf("keys of %q: %v, error %v; want %v", prefix, keys, err, want)
		}
	}
	for range 2 { // the second finds nothing, which is no error
		if err := store.PutDocument(t.Context(), "rollout/r1", nil); err != nil {
			t.Fatal(err)
		}
	}
	Document(t, store, "rollout/r1", "")
	if s, err := store.Load(t.Context()); err != nil || s.Revision != 2 {
		t.Errorf("revision %d, error %v; want 2", s.Revision, err)
	}
	Advance(t, store, 3)
	Document(t, store, "rollout/r2", "two")
}

// Document holds a document against what it should be; "": there is none.
func Document(t *testing.T, store state.Documents, key, want string) {
	t.Helper()
	doc, err := store.Document(t.Context(), key)
	if err != nil || string(doc) != want || (doc == nil) != (want == "") {
		t.Errorf("document %s: %q, error %v; want %q", key, doc, err, want)
	}
}

func documentsAreTheCallers(t *testing.T, store state.Store) {
	doc := []byte("mine")
	if err := store.PutDocument(t.Context(), "k", doc); err != nil {
		t.Fatal(err)
	}
	doc[0] = 'X'
	got, _ := store.Document(t.Context(), "k")
	if len(got) == 4 {
		got[1] = 'X'
	}
	Document(t, store, "k", "mine")
}

func documentsRefused(t *testing.T, store state.Store) {
	for key, doc := range map[string][]byte{
		"": []byte("x"), strings.Repeat("k", state.MaxDocumentKey+1): []byte("x"), "line\nbreak": []byte("x"),
		"empty": {}, "long": bytes.Repeat([]byte("x"), state.MaxDocument+1),
	} {
		if err := store.PutDocument(t.Context(), key, doc); !errors.Is(err, state.ErrInvalid) {
			t.Errorf("key of %d bytes, document of %d: error %v, want ErrInvalid", len(key), len(doc), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, readErr := store.Document(ctx, "k")
	_, keysErr := store.DocumentKeys(ctx, "")
	for _, err := range []error{readErr, keysErr, store.PutDocument(ctx, "k", []byte("x"))} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.PutDocument(t.Context(), "k", []byte("x")); err == nil {
		t.Error("a closed store takes a document")
	}
}
