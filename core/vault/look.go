package vault

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// DestroyedWithin is how long a node may use a key in memory after another node's Destroy has
	// returned, as long as the key database answers it within a second.
	DestroyedWithin = 2 * time.Second
	// StaleAfter is how long a node that cannot reach the key database uses the keys in its memory.
	// Then it forgets them, because it cannot know which of them were destroyed.
	StaleAfter = time.Hour

	// lookEvery is how often a node asks what others have destroyed.
	lookEvery = time.Second / 2
)

// contact is when a node last heard from the key database, and what.
type contact struct {
	mu     sync.Mutex
	number int64 // of the latest destroying that was heard of
	at     time.Time
	err    error // of the last look, nil: it was answered
}

// heard notes what the database answered; err: why this node cannot use the store all the same.
func (c *contact) heard(number int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.number, c.at, c.err = max(c.number, number), time.Now(), err
}

// missed notes that the database did not answer, and returns for how long it has not.
func (c *contact) missed(err error) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	return time.Since(c.at)
}

func (c *contact) state() (number int64, at time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.number, c.at, c.err
}

func (v *Vault) lookLoop(ctx context.Context) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			v.look(ctx)
		}
	}
}

// look asks the database what other nodes have destroyed, and drops those keys from memory. A key
// that is being read from the store meanwhile does not come into the cache (see cache.putSince).
func (v *Vault) look(ctx context.Context) {
	since, _, before := v.contact.state()
	last, _, _ := v.pool.state() // before it asks: a block may be added meanwhile
	n, err := v.store.news(ctx, since)
	if ctx.Err() != nil {
		return // closed while it looked
	}
	if err == nil {
		if n.many {
			v.cache.clear()
		}
		if len(n.gone) > 0 {
			v.cache.drop(n.gone)
			v.removed.Add(uint64(len(n.gone)))
		}
		err = v.judge(n, last)
		v.contact.heard(n.number, err)
	} else if v.contact.missed(err) > StaleAfter {
		v.cache.clear()
	}
	switch {
	case err != nil:
		v.failures.Add(1)
		if before == nil {
			v.log.WarnContext(ctx, "the key store gives no keys: those in memory are used on", "err", err)
		}
	case before != nil:
		v.log.InfoContext(ctx, "the key store gives keys again")
	}
}

// mostGone is how many destroyed keys are read at a time. If there are more, as after an outage, all
// keys in memory are dropped instead: they are read again when they are needed.
const mostGone = 10_000

// judge returns why the store that gave these news cannot be used by this node, to which the ids up
// to last were known before.
func (v *Vault) judge(n news, last int64) error {
	if n.last < last {
		return v.noteFailure(fmt.Errorf("%w: it knows ids up to %d, but %d was handed out", errWentBack, n.last, last))
	}
	_, _, err := v.masters.of(metaRoot, n.root)
	return err
}

// Ready returns nil if keys can be read and made, as far as is known: ErrUnavailable while the key
// database does not answer, ErrMaster if it was given a master key that this node does not have, or
// ErrFailed. It does no I/O.
func (v *Vault) Ready() error {
	if v.hasFailed() {
		return ErrFailed
	}
	_, _, err := v.contact.state()
	return err
}

// Stats are counters since the vault was opened, and the present state.
type Stats struct {
	Spare    int           // keys that are stored and not yet assigned
	Blocks   uint64        // blocks of keys made
	Loads    uint64        // keys read from the store because they were not in memory
	Failures uint64        // accesses to the store that failed
	Removed  uint64        // keys that were dropped because another node destroyed them
	Silent   time.Duration // since the key database last answered; 0 for a file
	Ready    bool          // as Ready
}

// Stats returns the vault's statistics.
func (v *Vault) Stats() Stats {
	_, left, _ := v.pool.state()
	s := Stats{
		Spare: left, Blocks: v.blocks.Load(), Loads: v.loads.Load(), Failures: v.failures.Load(), Removed: v.removed.Load(), Ready: v.Ready() == nil,
	}
	if _, at, _ := v.contact.state(); !at.IsZero() {
		s.Silent = time.Since(at)
	}
	return s
}
