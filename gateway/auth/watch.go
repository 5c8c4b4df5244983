package auth

import (
	"context"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/directory"
)

// watcher is an open socket's wish to be told.
type watcher struct {
	expires time.Time // absolute end of the session
	fn      func()
}

// Watch calls fn, once, when a session has ended: logged out, revoked, or at
// its absolute limit; at once when it already has. While somebody watches, the
// session is in use and does not end by idling. fn must not block and must
// not call back into Auth. cancel ends watching; fn may still be running then.
func (a *Auth) Watch(who Identity, fn func()) (cancel func()) {
	w, id := &watcher{expires: who.Expires, fn: fn}, who.Session
	a.mu.Lock()
	_, gone := a.revoked[id]
	if !gone {
		a.watchers[id] = append(a.watchers[id], w)
	}
	a.mu.Unlock()
	if gone {
		fn()
		return func() {}
	}
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		ws := a.watchers[id]
		if i := slices.Index(ws, w); i >= 0 {
			ws = slices.Delete(ws, i, i+1)
		}
		if len(ws) == 0 {
			delete(a.watchers, id)
		} else {
			a.watchers[id] = ws
		}
	}
}

// end drops sessions and tells who watches them.
func (a *Auth) end(now time.Time, ids ...directory.SessionID) {
	var tell []*watcher
	a.mu.Lock()
	for _, id := range ids {
		a.forget(id)
		a.revoked[id] = now
		tell = append(tell, a.watchers[id]...)
		delete(a.watchers, id)
	}
	a.mu.Unlock()
	for _, w := range tell {
		w.fn()
	}
}

// sweep looks for sessions that were ended elsewhere, or by time.
func (a *Auth) sweep(ctx context.Context, now time.Time) {
	since := time.UnixMilli(a.swept.Load()).Add(-sweepMargin)
	ids, err := a.dir.RevokedSince(ctx, since)
	if err != nil {
		if ctx.Err() == nil {
			a.log.ErrorContext(ctx, "cannot look for revoked sessions", "err", err)
		}
	} else {
		a.swept.Store(now.UnixMilli())
	}
	a.mu.Lock()
	for id, ws := range a.watchers {
		if !now.Before(ws[0].expires) {
			ids = append(ids, id)
			continue
		}
		a.touched[id] = now
		if s, ok := a.live[a.byID[id]]; ok {
			s.SeenAt = now
		}
	}
	for id, at := range a.revoked {
		// By then the row says so to whoever asks for the token again.
		if now.Sub(at) > 2*a.opts.AbsoluteTimeout {
			delete(a.revoked, id)
		}
	}
	for _, s := range a.live {
		if !a.good(s, now) {
			a.forget(s.ID)
		}
	}
	a.mu.Unlock()
	a.end(now, ids...)
}
