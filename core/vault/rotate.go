package vault

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// Rotated says what Rotate did.
type Rotated struct {
	Keys    int // wrapped anew
	Damaged int // left as they were, because neither master key opens them
}

// Rotate wraps every key of a store anew: from Options.Previous to Options.Master. What the keys
// have sealed, and every keyed hash, stays as it is. Nodes may use a database meanwhile, provided
// that all of them have both master keys; a file must not be in use (ErrLocked). The root comes
// first, and from then on all nodes wrap new keys by the new master key; the others follow in
// transactions of 1000. A Rotate that was interrupted is finished by the next one; one that has
// nothing to do returns zero.
func Rotate(ctx context.Context, o Options) (_ Rotated, err error) {
	if len(o.Previous) == 0 {
		return Rotated{}, errors.New("vault: rotate: needs the former master key and the new one")
	}
	o.Floor = 1 // an empty store is not made into a new one
	var lock *fileLock
	if o.DSN == "" {
		if _, err := os.Stat(o.Path); err != nil {
			return Rotated{}, fmt.Errorf("vault: rotate: %w", err)
		}
		if lock, err = acquireLock(o.Path + ".lock"); err != nil {
			return Rotated{}, err
		}
	}
	v, err := open(ctx, o, true)
	if err != nil {
		return Rotated{}, errors.Join(err, lock.release())
	}
	done, err := v.rotate(ctx)
	if err = errors.Join(err, v.store.close(), lock.release()); err != nil {
		return done, fmt.Errorf("vault: rotate: %w", err)
	}
	return done, nil
}

func (v *Vault) rotate(ctx context.Context) (done Rotated, err error) {
	next, former := v.masters[0], v.masters[1]
	wrapped, err := v.store.meta(ctx, metaRoot)
	if err != nil {
		return done, err
	}
	rotating, err := v.store.meta(ctx, metaRotating)
	if err != nil {
		return done, err
	}
	if root, err := former.unwrap(metaRoot, 0, wrapped); err == nil {
		if rotating != nil {
			return done, errors.New("an earlier change of the master key is not finished: finish it with its two keys first")
		}
		fresh := next.wrap(metaRoot, 0, root)
		ok, err := v.store.setMeta(ctx, wrapped, map[string][]byte{metaRoot: fresh, metaRotating: former.wrap(metaRotating, 0, root)})
		if err != nil {
			return done, err
		}
		if !ok {
			return done, errors.New("somebody else is changing the master key")
		}
		wrapped = fresh
	} else if rotating == nil {
		return done, nil // was done before
	}
	for after := int64(0); ; {
		var n Rotated // counted anew if the transaction fails
		last, err := v.store.rewrap(ctx, after, page, func(k wrappedKey) []byte {
			if _, err := next.unwrap(labelKey, k.id, k.wrapped); err == nil {
				return nil
			}
			plain, err := former.unwrap(labelKey, k.id, k.wrapped)
			if err != nil {
				n.Damaged++
				return nil
			}
			n.Keys++
			return next.wrap(labelKey, k.id, plain)
		})
		if err != nil {
			return done, err
		}
		if last == 0 {
			break
		}
		after, done = last, Rotated{done.Keys + n.Keys, done.Damaged + n.Damaged}
	}
	if err := v.store.scrub(ctx); err != nil {
		return done, err
	}
	_, err = v.store.setMeta(ctx, wrapped, map[string][]byte{metaRotating: nil})
	return done, err
}
