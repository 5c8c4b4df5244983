package router

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/readers"
)

// threadID names a thread in memory.
type threadID struct {
	account conversation.AccountID
	key     string // the thread in clear
}

// thread routes what arrives on one (account, thread), in order (Y3).
type thread struct {
	r   *Router
	id  threadID
	key eventlog.Key // keyed HMAC of the clear key; nothing else of the key is ever stored
	hex string

	used  atomic.Int64 // time of the last use, in Unix nanoseconds
	users atomic.Int32 // callers of hold that have not released the thread; the sweeper does not free it meanwhile

	mu      sync.Mutex // guards the fields below
	open    *live      // the open conversation; nil = none, or not known
	arrived uint64     // number of the last arrival
	waiting []arrival  // arrivals in the order of their numbers, which wait until the thread is resolved
	out     int        // arrivals that were handed to a conversation and are not answered yet
	// returning means that open has changed while arrivals were out. These may come back to be
	// routed anew, so nothing is handed out before the last of them is answered: it could overtake
	// them.
	returning bool
	resolving bool
	subs      []*readers.Subscription
}

// thread returns the thread of an account, making it when needed. It is for callers that use the
// thread at once; see hold.
func (r *Router) thread(account conversation.AccountID, clear string) *thread {
	th := r.hold(account, clear)
	th.release()
	return th
}

// hold is thread for a caller that waits (for the log, for a conversation) before it changes the
// thread: until release the sweeper does not free the thread. Without hold the caller could change
// a thread that was freed meanwhile, to which nothing is routed any more.
func (r *Router) hold(account conversation.AccountID, clear string) *thread {
	id := threadID{account, clear}
	r.threadsMu.RLock()
	th := r.threads[id]
	if th != nil {
		th.enter()
	}
	r.threadsMu.RUnlock()
	if th != nil {
		return th
	}
	key := r.threadKey(account, clear)
	r.threadsMu.Lock()
	defer r.threadsMu.Unlock()
	if th = r.threads[id]; th == nil {
		th = &thread{r: r, id: id, key: key, hex: hex.EncodeToString(key[:])}
		r.threads[id] = th
		r.threadsByKey[threadHash{account, key}] = th
	}
	th.enter()
	return th
}

// enter counts a user of the thread. The caller holds threadsMu, for reading at least.
func (th *thread) enter() {
	th.users.Add(1)
	th.used.Store(th.r.now().UnixNano())
}

// release ends what hold began: the sweeper may free the thread again.
func (th *thread) release() { th.users.Add(-1) }

// threadKey returns the key that names a thread in the log.
func (r *Router) threadKey(account conversation.AccountID, clear string) eventlog.Key {
	return r.vault.MAC("thread", account[:], []byte(clear))
}

// threadHash names a thread as the log does.
type threadHash struct {
	account conversation.AccountID
	key     eventlog.Key
}

// bindThreads finds the threads in memory that a loaded conversation is on, and tells them whether
// it is their open one.
func (r *Router) bindThreads(l *live, s *conversation.State) {
	for _, e := range s.Endpoints {
		k, ok := threadKeyOf(e)
		if !ok {
			continue
		}
		r.threadsMu.RLock()
		th := r.threadsByKey[threadHash{e.Account, k}]
		if th != nil {
			th.users.Add(1)
		}
		r.threadsMu.RUnlock()
		if th == nil {
			continue
		}
		if s.Phase == conversation.PhaseOpen {
			th.opened(l)
		} else {
			th.ended(l)
		}
		th.release()
	}
}

// resolve returns the thread's open conversation, nil if there is none. When none is known here it
// asks the log, since another node may have begun one.
func (th *thread) resolve(ctx context.Context) (*live, error) {
	th.mu.Lock()
	open := th.open
	th.mu.Unlock()
	if open != nil {
		return open, nil
	}
	id, err := th.r.log.Thread(ctx, eventlog.StreamID(th.id.account), th.key)
	if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
		return nil, fmt.Errorf("router: find the thread's conversation: %w", err)
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	if th.open == nil && err == nil { // else the open conversation became known meanwhile
		th.setOpen(th.r.live(conversation.ConversationID(id)))
	}
	return th.open, nil
}

// setOpen makes l the thread's open conversation (nil: none) and attaches it to the thread's
// subscriptions, which get their conversations in order. The caller holds th.mu.
func (th *thread) setOpen(l *live) {
	if th.open == l {
		return
	}
	th.returning = th.out > 0
	if th.open != nil {
		th.open.refer(-1)
	}
	th.open = l
	if l == nil {
		return
	}
	l.refer(1)
	for _, s := range th.subs {
		th.attach(s, l, 0)
	}
}

// opened records that l is the thread's open conversation.
func (th *thread) opened(l *live) {
	th.mu.Lock()
	th.setOpen(l)
	th.mu.Unlock()
}

// ended records that l is not, or no longer, the thread's open conversation; the log knows which
// one is.
func (th *thread) ended(l *live) {
	th.mu.Lock()
	if th.open == l {
		th.setOpen(nil)
	}
	th.mu.Unlock()
}

// OpenConversation returns the open conversation of a thread; zero: there is none.
func (r *Router) OpenConversation(ctx context.Context, account conversation.AccountID, clear string) (conversation.ConversationID, error) {
	th := r.hold(account, clear)
	defer th.release()
	l, err := th.resolve(ctx)
	if err != nil || l == nil {
		return conversation.ConversationID{}, err
	}
	return l.id, nil
}

func threadKeyOf(e conversation.Endpoint) (eventlog.Key, bool) {
	var k eventlog.Key
	b, err := hex.DecodeString(e.Thread)
	if err != nil || len(b) != len(k) {
		return k, false
	}
	copy(k[:], b)
	return k, true
}
