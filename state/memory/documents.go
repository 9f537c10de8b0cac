package memory

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"sluice/state"
)

// PutDocument implements state.Documents.
func (s *Store) PutDocument(ctx context.Context, key string, doc []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return err
	}
	if err := state.CheckDocument(key, doc); err != nil {
		return err
	}
	if doc == nil {
		delete(s.documents, key)
		return nil
	}
	if s.documents == nil {
		s.documents = map[string][]byte{}
	}
	s.documents[key] = bytes.Clone(doc)
	return nil
}

// Document implements state.Documents.
func (s *Store) Document(ctx context.Context, key string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.documents[key]), s.ready(ctx)
}

// DocumentKeys implements state.Documents.
func (s *Store) DocumentKeys(ctx context.Context, prefix string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	var keys []string
	for key := range s.documents {
		if strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}
