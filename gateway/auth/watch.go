package auth

import (
	"context"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/sessions"
)

// watcher is an open socket that wants to be told when its session ends.
type watcher struct {
	expires time.Time // when the session ends in any case
	fn      func()
	rights  *Identity // not nil: it is also told when the user's rights differ from these
}

// Watch calls fn, once, when a session has ended: logged out, revoked, or at its absolute limit; at
// once when it has ended before. A watched session counts as in use and does not end by idling. fn
// must not block and must not call back into Auth. cancel ends watching; fn may still be running
// then.
func (a *Auth) Watch(who Identity, fn func()) (cancel func()) {
	return a.watch(who.Session, &watcher{expires: who.Expires, fn: fn})
}

// WatchRights is Watch for something that was told the identity only once, when it was opened (a
// tunnel to a plugin): fn is also called when the user's role or privileges are no longer those of
// who. The session goes on. When one change ends the session and changes the rights, the watchers
// of the end are called first, in the order in which they began to watch.
func (a *Auth) WatchRights(who Identity, fn func()) (cancel func()) {
	return a.watch(who.Session, &watcher{expires: who.Expires, fn: fn, rights: &who})
}

func (a *Auth) watch(id sessions.ID, w *watcher) (cancel func()) {
	a.mu.Lock()
	_, gone := a.revoked[id]
	if !gone {
		a.watchers[id] = append(a.watchers[id], w)
	}
	a.mu.Unlock()
	if gone {
		w.fn()
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

// end removes sessions from memory and calls their watchers.
func (a *Auth) end(now time.Time, ids ...sessions.ID) {
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

// sweep ends sessions here that another process revoked or whose time is over.
func (a *Auth) sweep(ctx context.Context, now time.Time) {
	since := time.UnixMilli(a.swept.Load()).Add(-sweepMargin)
	records := a.dir.Snapshot() // read before the sessions: if a session ended together with a change in this snapshot, its end is seen below
	ids, err := a.sessions.RevokedSince(ctx, since)
	if err != nil {
		if ctx.Err() == nil {
			a.log.ErrorContext(ctx, "cannot look for revoked sessions", "err", err)
		}
	} else {
		a.swept.Store(now.UnixMilli())
	}
	a.end(now, ids...)
	var expired []sessions.ID
	var changed []*watcher
	a.mu.Lock()
	latest := a.dir.Snapshot() // a watcher that came since records were read may have later rights than those
	for id, ws := range a.watchers {
		ws = slices.DeleteFunc(ws, func(w *watcher) bool {
			if w.rights == nil || hasRightsOf(records, *w.rights) || hasRightsOf(latest, *w.rights) {
				return false
			}
			changed = append(changed, w)
			return true
		})
		if len(ws) == 0 {
			delete(a.watchers, id)
			continue
		}
		a.watchers[id] = ws
		if !now.Before(ws[0].expires) {
			expired = append(expired, id)
			continue
		}
		a.touched[id] = now
		if s, ok := a.live[a.byID[id]]; ok {
			s.SeenAt = now
		}
	}
	for id, at := range a.revoked {
		// By then the session's row shows to every look-up that the session has ended.
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
	for _, w := range changed {
		w.fn()
	}
	a.end(now, expired...)
}

// hasRightsOf reports whether a user still has exactly the role and the privileges of an identity.
// It does not check whether the session goes on.
func hasRightsOf(records *directory.Snapshot, who Identity) bool {
	u, ok := records.User(who.User)
	return ok && u.Role == who.Role && slices.Equal(u.Privileges, who.Privileges)
}
