package router

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// threadID names a thread in memory.
type threadID struct {
	account conversation.AccountID
	key     string // clear
}

// thread routes what arrives on one (account, thread), in order (Y3).
type thread struct {
	r   *Router
	id  threadID
	key eventlog.Key // keyed HMAC of the clear key; all that is ever stored
	hex string

	mu        sync.Mutex
	known     bool      // open is what the store says, or newer
	open      *live     // the open conversation; nil = none
	waiting   []arrival // in order, until the thread is resolved
	resolving bool
	subs      []*subscription
	used      time.Time
}

// thread returns the thread of an account, making it when needed.
func (r *Router) thread(account conversation.AccountID, clear string) *thread {
	id := threadID{account, clear}
	r.threadsMu.RLock()
	th := r.threads[id]
	r.threadsMu.RUnlock()
	if th != nil {
		return th
	}
	key := eventlog.Key(r.vault.MAC("thread", account[:], []byte(clear)))
	r.threadsMu.Lock()
	defer r.threadsMu.Unlock()
	if th = r.threads[id]; th == nil {
		th = &thread{r: r, id: id, key: key, hex: hex.EncodeToString(key[:]), used: time.Now()}
		r.threads[id] = th
		r.threadsByKey[threadHash{account, key}] = th
	}
	return th
}

// threadHash names a thread as the log does.
type threadHash struct {
	account conversation.AccountID
	key     eventlog.Key
}

// bindThreads finds the threads in memory that a loaded conversation is on,
// and shows it to them when it is open.
func (r *Router) bindThreads(l *live, s *conversation.State) {
	for _, e := range s.Endpoints {
		k, ok := threadKeyOf(e)
		if !ok {
			continue
		}
		r.threadsMu.RLock()
		th := r.threadsByKey[threadHash{e.Account, k}]
		r.threadsMu.RUnlock()
		if th == nil {
			continue
		}
		if s.Phase == conversation.PhaseOpen {
			th.opened(l)
		} else {
			th.ended(l)
		}
	}
}

// resolve tells the open conversation, asking the store when it is not known.
func (th *thread) resolve(ctx context.Context) (*live, error) {
	th.mu.Lock()
	th.used = time.Now()
	if th.known {
		defer th.mu.Unlock()
		return th.open, nil
	}
	th.mu.Unlock()
	id, err := th.r.log.Thread(ctx, eventlog.StreamID(th.id.account), th.key)
	if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
		return nil, fmt.Errorf("router: find the thread's conversation: %w", err)
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	if !th.known { // else somebody was faster
		th.known = true
		if err == nil {
			th.setOpen(th.r.live(conversation.ConversationID(id)))
		}
	}
	return th.open, nil
}

// setOpen needs th.mu; subscriptions follow.
func (th *thread) setOpen(l *live) {
	if th.open == l {
		return
	}
	th.open = l
	subs := th.subs
	if l != nil && len(subs) > 0 {
		th.r.spawn(func() {
			for _, s := range subs {
				s.attach(l, 0)
			}
		})
	}
}

// opened says that l is the thread's open conversation.
func (th *thread) opened(l *live) {
	th.mu.Lock()
	th.known = true
	th.setOpen(l)
	th.mu.Unlock()
}

// ended says that l is no longer open.
func (th *thread) ended(l *live) {
	th.mu.Lock()
	if th.open == l {
		th.open = nil
	}
	th.mu.Unlock()
}

// doubt makes the thread ask the store again, since l was not what it seemed.
func (th *thread) doubt(l *live) {
	th.mu.Lock()
	if th.open == l {
		th.open, th.known = nil, false
	}
	th.mu.Unlock()
}

// OpenConversation is the open conversation of a thread; zero: none.
func (r *Router) OpenConversation(ctx context.Context, account conversation.AccountID, clear string) (conversation.ConversationID, error) {
	l, err := r.thread(account, clear).resolve(ctx)
	if err != nil || l == nil {
		return conversation.ConversationID{}, err
	}
	return l.id, nil
}
