package bolt

import (
	"bytes"
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"sluice/state"
)

// documentsBucket is made with the first document, so that the files of older
// builds need no change before.
var documentsBucket = []byte("documents")

// PutDocument implements state.Documents: one transaction, synced.
func (s *Store) PutDocument(ctx context.Context, key string, doc []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := state.CheckDocument(key, doc); err != nil {
		return err
	}
	if doc == nil {
		// Most deletions find nothing: no write for them.
		if old, err := s.Document(ctx, key); err != nil || old == nil {
			return err
		}
	}
	err := s.db.Load().Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(documentsBucket)
		if err != nil {
			return err
		}
		if doc == nil {
			return b.Delete([]byte(key))
		}
		return b.Put([]byte(key), doc)
	})
	if err != nil {
		return fmt.Errorf("state/bolt: document %s: %w", key, err)
	}
	return nil
}

// Document implements state.Documents.
func (s *Store) Document(ctx context.Context, key string) ([]byte, error) {
	var doc []byte
	err := s.documents(ctx, func(b *bolt.Bucket) { doc = bytes.Clone(b.Get([]byte(key))) })
	if err != nil {
		return nil, fmt.Errorf("state/bolt: document %s: %w", key, err)
	}
	return doc, nil
}

// DocumentKeys implements state.Documents.
func (s *Store) DocumentKeys(ctx context.Context, prefix string) ([]string, error) {
	var keys []string
	err := s.documents(ctx, func(b *bolt.Bucket) {
		c := b.Cursor()
		for k, _ := c.Seek([]byte(prefix)); bytes.HasPrefix(k, []byte(prefix)) && k != nil; k, _ = c.Next() {
			keys = append(keys, string(k))
		}
	})
	if err != nil {
		return nil, fmt.Errorf("state/bolt: documents: %w", err)
	}
	return keys, nil
}

// documents shows the bucket to look, if there is one.
func (s *Store) documents(ctx context.Context, look func(*bolt.Bucket)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.db.Load().View(func(tx *bolt.Tx) error {
		if b := tx.Bucket(documentsBucket); b != nil {
			look(b)
		}
		return nil
	})
}
