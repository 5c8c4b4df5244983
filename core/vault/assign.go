package vault

import (
	"context"
	"fmt"
	"sync"
)

// keyPool holds keys that are stored but not yet assigned, lowest id first.
type keyPool struct {
	mu     sync.Mutex
	ready  []dataKey
	last   int64 // largest id of a key that exists
	given  int64 // largest id that was assigned or skipped
	closed bool
}

// take removes and returns the next key; left is how many keys remain.
func (p *keyPool) take() (k dataKey, left int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.ready) == 0 {
		return dataKey{}, 0, false
	}
	k = p.ready[0]
	p.ready[0] = dataKey{}
	p.ready = p.ready[1:]
	p.given = k.id
	return k, len(p.ready), true
}

func (p *keyPool) add(keys []dataKey) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ready = append(p.ready, keys...)
	p.last = max(p.last, keys[len(keys)-1].id)
}

func (p *keyPool) state() (last int64, left int, closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last, len(p.ready), p.closed
}

// close ends the assigning of keys and returns the id up to which keys are used up.
func (p *keyPool) close() (given int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, false
	}
	p.closed = true
	return p.given, true
}

// startPool takes over the keys that an orderly stop left unused, and makes sure that a block is
// ready. After a kill the block that was in use is skipped: only the event store knows which of its
// keys were assigned, and a key may also have been used for something that is not in the event
// store (an attachment).
func (v *Vault) startPool(ctx context.Context, floor int64) error {
	reserved, err := v.store.reserved(ctx)
	if err != nil {
		return fmt.Errorf("vault: read reserved id: %w", err)
	}
	from := max(floor, reserved)
	keys, bad, last, err := v.store.unused(ctx, from)
	if err != nil {
		return fmt.Errorf("vault: read unused keys: %w", err)
	}
	if len(bad) > 0 {
		// These keys have sealed nothing yet, so dropping them loses nothing. As destroyed keys
		// they are never used again.
		v.log.WarnContext(ctx, "damaged keys that were not in use are dropped: look after the disk", "keys", len(bad))
		if err := v.store.destroy(ctx, bad); err != nil {
			return v.noteFailure(fmt.Errorf("vault: drop damaged keys: %w", err))
		}
	}
	if floor > last {
		v.log.WarnContext(ctx, "the event store uses keys that the key store lacks: was an old copy restored?",
			"event_store_key", floor, "key_store_key", last)
	}
	v.pool.given = from
	v.pool.last = max(from, last)
	if len(keys) < v.block {
		// The new block's transaction also marks the old keys as reserved.
		return v.refill(ctx, keys)
	}
	if err := v.store.setReserved(ctx, last); err != nil {
		return fmt.Errorf("vault: reserve keys: %w", err)
	}
	v.pool.add(keys)
	return nil
}

// Assign returns the id of a fresh data key that is durably stored. It does no I/O unless keys are
// asked for faster than they can be made. The caller must commit the id together with what it
// sealed under the key; this makes the assignment last. Errors: ErrReadOnly, ErrClosed, ErrFailed,
// or the reason why no key could be made (a full disk), in which case the next call tries again.
func (v *Vault) Assign() (int64, error) {
	if v.lock == nil {
		return 0, fmt.Errorf("vault: assign: %w", ErrReadOnly)
	}
	if v.hasFailed() {
		return 0, fmt.Errorf("vault: assign: %w", ErrFailed)
	}
	for {
		k, left, ok := v.pool.take()
		if ok {
			if left < v.block/2+1 {
				select {
				case v.wake <- struct{}{}:
				default: // a refill is requested already
				}
			}
			v.cache.put(k.id, k.aead)
			return k.id, nil
		}
		// The background refill was too slow or failed, so the keys are made here.
		if err := v.topUp(context.Background()); err != nil {
			return 0, fmt.Errorf("vault: assign: %w", err)
		}
	}
}

func (v *Vault) refillLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-v.wake:
		}
		if err := v.topUp(ctx); err != nil && ctx.Err() == nil {
			v.log.ErrorContext(ctx, "cannot make data keys ahead", "err", err)
		}
	}
}

// topUp adds a block, unless another caller has just added one.
func (v *Vault) topUp(ctx context.Context) error {
	v.refillMu.Lock()
	defer v.refillMu.Unlock()
	if v.hasFailed() {
		return ErrFailed
	}
	switch _, left, closed := v.pool.state(); {
	case closed:
		return ErrClosed
	case left > v.block/2:
		return nil
	}
	return v.refill(ctx, nil)
}

func (v *Vault) refill(ctx context.Context, before []dataKey) error {
	last, _, _ := v.pool.state()
	keys, err := v.store.addBlock(ctx, last, v.block)
	if err != nil {
		return v.noteFailure(fmt.Errorf("store a block of keys: %w", err))
	}
	v.pool.add(append(before, keys...))
	return nil
}
