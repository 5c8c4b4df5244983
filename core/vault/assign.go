package vault

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
)

// spareKey is a key that is stored but not yet assigned.
type spareKey struct {
	dataKey
	wrapped []byte
}

// keyPool holds the spare keys, lowest id first.
type keyPool struct {
	mu     sync.Mutex
	ready  []spareKey
	last   int64 // largest id that is known to be handed out
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
	k = p.ready[0].dataKey
	p.ready[0] = spareKey{}
	p.ready = p.ready[1:]
	p.given = k.id
	return k, len(p.ready), true
}

func (p *keyPool) add(keys []spareKey) {
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

// close ends the assigning of keys and returns the id up to which keys are used up, and the keys
// that are not.
func (p *keyPool) close() (given int64, unused []wrappedKey, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0, nil, false
	}
	p.closed = true
	for _, k := range p.ready {
		unused = append(unused, wrappedKey{k.id, k.wrapped})
	}
	return p.given, unused, true
}

// startPool takes over the keys that an orderly stop left unused, and makes sure that a block is
// ready.
func (v *Vault) startPool(ctx context.Context, floor int64) error {
	unused, last, err := v.store.takeOver(ctx, floor)
	if err != nil {
		return v.noteFailure(fmt.Errorf("vault: take over unused keys: %w", err))
	}
	var keys []spareKey
	var bad []int64
	for _, k := range unused {
		plain, err := v.masters.unwrap(labelKey, k.id, k.wrapped)
		if err != nil {
			bad = append(bad, k.id)
			continue
		}
		aead, err := newAEAD(plain)
		if err != nil {
			return err
		}
		keys = append(keys, spareKey{dataKey{k.id, aead}, k.wrapped})
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
	v.pool.last = max(floor, last)
	v.pool.given = v.pool.last
	if len(keys) > 0 {
		v.pool.given = keys[0].id - 1
		v.pool.add(keys)
	}
	if len(keys) < v.block {
		if err := v.refill(ctx); err != nil {
			return fmt.Errorf("vault: %w", err)
		}
	}
	return nil
}

// Assign returns the id of a fresh data key that is durably stored. It does no I/O unless keys are
// asked for faster than they can be made. The caller must commit the id together with what it
// sealed under the key; this makes the assignment last. Errors: ErrReadOnly, ErrClosed, ErrFailed,
// or the reason why no key could be made (a full disk, ErrUnavailable), in which case the next call
// tries again.
func (v *Vault) Assign() (int64, error) {
	if v.readOnly {
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

// attempt is one try to add a block. Those who need keys meanwhile wait for it and share its
// outcome, so that nobody waits for more than one try after the other's.
type attempt struct {
	done chan struct{}
	err  error
}

// topUp adds a block, unless there are enough keys by now.
func (v *Vault) topUp(ctx context.Context) error {
	v.refillMu.Lock()
	if a := v.refilling; a != nil {
		v.refillMu.Unlock()
		<-a.done
		return a.err
	}
	a := &attempt{done: make(chan struct{})}
	v.refilling = a
	v.refillMu.Unlock()
	a.err = v.tryTopUp(ctx)
	v.refillMu.Lock()
	v.refilling = nil
	v.refillMu.Unlock()
	close(a.done)
	return a.err
}

func (v *Vault) tryTopUp(ctx context.Context) error {
	if v.hasFailed() {
		return ErrFailed
	}
	switch _, left, closed := v.pool.state(); {
	case closed:
		return ErrClosed
	case left > v.block/2:
		return nil
	}
	return v.refill(ctx)
}

// refill makes a block of keys, which are durable when they come into the pool. They are wrapped by
// the master key that the store has now, which is not always this node's first one.
func (v *Vault) refill(ctx context.Context) error {
	last, _, _ := v.pool.state()
	var keys []spareKey
	err := v.store.addBlock(ctx, last, v.block, func(root []byte, first int64) ([][]byte, error) {
		w, _, err := v.masters.of(metaRoot, root)
		if err != nil {
			return nil, err
		}
		keys = make([]spareKey, v.block)
		wrapped := make([][]byte, v.block)
		var plain [keySize]byte
		for i := range keys {
			_, _ = rand.Read(plain[:]) // never fails (crypto/rand)
			id := first + int64(i)
			aead, err := newAEAD(plain[:])
			if err != nil {
				return nil, err
			}
			wrapped[i] = w.wrap(labelKey, id, plain[:])
			keys[i] = spareKey{dataKey{id, aead}, wrapped[i]}
		}
		return wrapped, nil
	})
	if err != nil {
		v.failures.Add(1)
		return v.noteFailure(fmt.Errorf("store a block of keys: %w", err))
	}
	v.blocks.Add(1)
	v.pool.add(keys)
	return nil
}
