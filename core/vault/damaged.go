package vault

import (
	"context"
	"fmt"
	"sync"
)

// maxDamaged bounds how many damaged keys, and how many missing ones, are remembered.
const maxDamaged = 1000

// damaged remembers which keys were found damaged, or missing.
type damaged struct {
	mu   sync.Mutex
	keys map[int64]bool
}

// add remembers a damaged key and reports whether it was not known before.
func (d *damaged) add(id int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys[id] || len(d.keys) >= maxDamaged {
		return false
	}
	if d.keys == nil {
		d.keys = map[int64]bool{}
	}
	d.keys[id] = true
	return true
}

// Damaged is how many keys were needed and found damaged since the vault was opened, at most 1000.
func (v *Vault) Damaged() int {
	v.damaged.mu.Lock()
	defer v.damaged.mu.Unlock()
	return len(v.damaged.keys)
}

// Missing is how many keys were needed and not in the key store since the vault was opened, at most
// 1000.
func (v *Vault) Missing() int {
	v.missing.mu.Lock()
	defer v.missing.mu.Unlock()
	return len(v.missing.keys)
}

// Check tries every key that is not destroyed, some microseconds each, and
// returns how many there are and the ids of those that are damaged.
func (v *Vault) Check(ctx context.Context) (keys int, bad []int64, err error) {
	err = v.store.each(ctx, 0, func(k wrappedKey) error {
		if k.wrapped == nil {
			return nil
		}
		keys++
		if _, err := v.masters.unwrap(labelKey, k.id, k.wrapped); err != nil {
			bad = append(bad, k.id)
		}
		return nil
	})
	if err != nil {
		return keys, bad, fmt.Errorf("vault: check keys: %w", err)
	}
	return keys, bad, nil
}
