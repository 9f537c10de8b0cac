package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sort"

	bolt "go.etcd.io/bbolt"

	"sluice/state"
)

// appendAudit adds events under the next sequence numbers and deletes the
// oldest, so that the newest keep remain. The numbers in the bucket thus have
// no gaps.
func appendAudit(b *bolt.Bucket, events []state.Event, keep uint64) error {
	for _, e := range events {
		v, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("audit of service %s: %w", e.Service, err)
		}
		seq, err := b.NextSequence()
		if err != nil {
			return err
		}
		if err := b.Put(number(seq), v); err != nil {
			return err
		}
	}
	// A cursor may skip a key after its own Delete, so each round seeks anew.
	for k, _ := b.Cursor().First(); k != nil && binary.BigEndian.Uint64(k)+keep <= b.Sequence(); k, _ = b.Cursor().First() {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// Audit returns events, newest first. Asked for one service, it reads back
// until it has enough, through the whole audit at worst.
func (s *Store) Audit(ctx context.Context, service string, before uint64, limit int) ([]state.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var events []state.Event
	err := s.db.Load().View(func(tx *bolt.Tx) error {
		c := tx.Bucket(auditBucket).Cursor()
		k, v, err := seekBefore(tx.Bucket(auditBucket), c, before)
		if err != nil {
			return err
		}
		// Names need no escaping in JSON, so an event of the service holds this
		// very text; most others are passed over without being decoded.
		hint := []byte(`"service":"` + service + `"`)
		for ; k != nil && len(events) < limit; k, v = c.Prev() {
			if service != "" && !bytes.Contains(v, hint) {
				continue
			}
			e, err := decode(k, v)
			if err != nil {
				return err
			}
			if service == "" || e.Service == service {
				events = append(events, e)
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("state/bolt: audit: %w", err)
	}
	return events, nil
}

// seekBefore moves the cursor to the newest event that is older than a
// revision; 0 stands for the newest of all. Revisions rise with the sequence.
func seekBefore(b *bolt.Bucket, c *bolt.Cursor, before uint64) (k, v []byte, err error) {
	first, _ := c.First()
	if before == 0 || first == nil {
		k, v = c.Last()
		return k, v, nil
	}
	least := binary.BigEndian.Uint64(first)
	n := sort.Search(int(b.Sequence()-least+1), func(i int) bool {
		key := number(least + uint64(i))
		e, derr := decode(key, b.Get(key))
		if derr != nil {
			err = derr
		}
		return derr != nil || e.Revision >= before
	})
	if err != nil || n == 0 {
		return nil, nil, err
	}
	k, v = c.Seek(number(least + uint64(n) - 1))
	return k, v, nil
}

func decode(k, v []byte) (state.Event, error) {
	var e state.Event
	if err := json.Unmarshal(v, &e); err != nil {
		return e, fmt.Errorf("key audit/%d: %w", binary.BigEndian.Uint64(k), err)
	}
	return e, nil
}
