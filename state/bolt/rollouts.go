package bolt

import (
	"encoding/json"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"sluice/state"
)

// rolloutsBucket is made with the first rollout, so that the files of older
// builds need no change before.
var rolloutsBucket = []byte("rollouts")

func readRollouts(tx *bolt.Tx) (map[string]*state.Rollout, error) {
	b := tx.Bucket(rolloutsBucket)
	if b == nil {
		return nil, nil
	}
	var read map[string]*state.Rollout
	err := b.ForEach(func(k, v []byte) error {
		var r *state.Rollout
		if err := json.Unmarshal(v, &r); err != nil {
			return fmt.Errorf("key rollouts/%s: %w", k, err)
		}
		if read == nil {
			read = map[string]*state.Rollout{}
		}
		read[string(k)] = r
		return nil
	})
	return read, err
}

// writeRollouts writes what changed since prev.
func writeRollouts(tx *bolt.Tx, prev, next state.State) error {
	if len(prev.Rollouts) == 0 && len(next.Rollouts) == 0 {
		return nil
	}
	b, err := tx.CreateBucketIfNotExists(rolloutsBucket)
	if err != nil {
		return err
	}
	for id, r := range next.Rollouts {
		if r.Revision != next.Revision {
			continue
		}
		v, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("key rollouts/%s: %w", id, err)
		}
		if err := b.Put([]byte(id), v); err != nil {
			return fmt.Errorf("key rollouts/%s: %w", id, err)
		}
	}
	for id := range prev.Rollouts {
		if next.Rollouts[id] != nil {
			continue
		}
		if err := b.Delete([]byte(id)); err != nil {
			return fmt.Errorf("key rollouts/%s: %w", id, err)
		}
	}
	return nil
}
