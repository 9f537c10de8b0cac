package state

import (
	"context"
	"errors"
	"fmt"
)

// Documents keeps what changes every few seconds and needs neither a history
// nor the consent of others, such as the evidence of a rollout. A document is
// replaced whole; the last writer wins. Every Store has them, beside its state.
type Documents interface {
	// PutDocument replaces a document; nil deletes it, and deleting one that is
	// not there is no error. When it returns nil, the document survives a crash.
	// It refuses keys and documents beyond MaxDocumentKey and MaxDocument.
	PutDocument(ctx context.Context, key string, doc []byte) error
	// Document returns a document that the caller may keep and change; nil if
	// there is none.
	Document(ctx context.Context, key string) ([]byte, error)
	// DocumentKeys returns the keys of all documents that begin with prefix, in
	// order.
	DocumentKeys(ctx context.Context, prefix string) ([]string, error)
}

// The bounds of documents, in bytes. A key is not empty.
const (
	MaxDocumentKey = 256
	MaxDocument    = 4 << 20
)

// CheckDocument refuses, with an error wrapping ErrInvalid, what no store takes
// as a document.
func CheckDocument(key string, doc []byte) error {
	switch {
	case key == "" || len(key) > MaxDocumentKey || !printable(key):
		return fmt.Errorf("document %q: its key must be printable text of 1 to %d bytes: %w", key[:min(len(key), MaxDocumentKey)], MaxDocumentKey, ErrInvalid)
	case doc != nil && len(doc) == 0:
		return fmt.Errorf("document %s: it is empty: %w", key, ErrInvalid)
	case len(doc) > MaxDocument:
		return fmt.Errorf("document %s: it has %d bytes, and %d is the most: %w", key, len(doc), MaxDocument, ErrInvalid)
	}
	return nil
}

// PutDocument implements Documents: it waits its turn among the commands. A
// store that fails is an error wrapping ErrStore, a paused keeper ErrPaused.
func (k *Keeper) PutDocument(ctx context.Context, key string, doc []byte) error {
	if err := CheckDocument(key, doc); err != nil {
		return err
	}
	_, err := inTurn(ctx, k, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, k.store.PutDocument(ctx, key, doc)
	})
	return err
}

// Document implements Documents; its errors are those of PutDocument.
func (k *Keeper) Document(ctx context.Context, key string) ([]byte, error) {
	return inTurn(ctx, k, func(ctx context.Context) ([]byte, error) { return k.store.Document(ctx, key) })
}

// DocumentKeys implements Documents; its errors are those of PutDocument.
func (k *Keeper) DocumentKeys(ctx context.Context, prefix string) ([]string, error) {
	return inTurn(ctx, k, func(ctx context.Context) ([]string, error) { return k.store.DocumentKeys(ctx, prefix) })
}

// inTurn runs one act on the store of a keeper that is not paused, to its end
// although ctx ends. A rollback that comes meanwhile does not wait for it long
// (see acquireSoon).
func inTurn[T any](ctx context.Context, k *Keeper, act func(context.Context) (T, error)) (T, error) {
	var none T
	if err := k.acquire(ctx); err != nil {
		return none, err
	}
	defer k.release()
	if k.paused {
		return none, ErrPaused
	}
	value, err := call(context.WithoutCancel(ctx), k, act)
	if err != nil && !errors.Is(err, ErrStore) {
		err = fmt.Errorf("%w: %w", ErrStore, err)
	}
	return value, err
}
