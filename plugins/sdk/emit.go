package sdk

import (
	"context"
	"log/slog"
	"sync"
	"time"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// waiting pools the entries of Emit. The pool carries no state: it only saves allocating an entry
// and its channel.
var waiting = sync.Pool{New: func() any { return &pending{ch: make(chan emitted, 1)} }}

// host implements Host over the Server.
type host struct {
	srv *Server
}

func (h *host) wire(ev *Event) (*pluginv1.Event, bool, error) {
	if ev.ReceivedTime.IsZero() {
		ev.ReceivedTime = time.Now()
	}
	w, err := eventToWire(ev)
	if err != nil {
		return nil, false, err
	}
	switch ev.Body.(type) {
	case LateResult, Receipt:
		return w, true, nil
	}
	return w, false, nil
}

// Emit implements Host.
func (h *host) Emit(ctx context.Context, ev Event) (Ack, error) {
	w, free, err := h.wire(&ev)
	if err != nil {
		return Ack{}, err
	}
	p := waiting.Get().(*pending)
	p.wire, p.free = w, free
	if err := h.srv.out.put(p, false); err != nil {
		p.release()
		return Ack{}, err
	}
	var e emitted
	select {
	case e = <-p.ch:
	case <-ctx.Done():
		if h.srv.out.abandon(p) {
			return Ack{}, ctx.Err() // p is not released: the outbox still uses it
		}
		e = <-p.ch
	}
	p.release()
	return e.ack, e.err
}

// release returns to the pool an entry that nobody else uses.
func (p *pending) release() {
	p.wire = nil
	waiting.Put(p)
}

// EmitAsync implements Host.
func (h *host) EmitAsync(ev Event, done func(Ack, error)) error {
	w, free, err := h.wire(&ev)
	if err != nil {
		return err
	}
	return h.srv.out.put(&pending{wire: w, free: free, done: done}, true)
}

// Signal implements Host.
func (h *host) Signal(s Signal) { h.srv.out.pushSignal(signalToWire(&s)) }

// Subscribe implements Host.
func (h *host) Subscribe(ctx context.Context, account AccountID, thread ThreadID, after Cursor, handler RecordHandler, opts ...SubscribeOptions) Subscription {
	sub := &subscription{owner: h.srv.subs, account: account, thread: thread, cursor: after, handler: handler}
	if len(opts) > 0 {
		sub.opts = opts[0]
	}
	h.srv.subs.subscribe(ctx, sub)
	return sub
}

// Status implements Host.
func (h *host) Status(s AccountStatus) { h.srv.out.setStatus(s.Account, statusToWire(s)) }

// KV implements Host.
func (h *host) KV() KV { return kv{&h.srv.gateway} }

// Blobs implements Host.
func (h *host) Blobs() Blobs { return blobs{&h.srv.gateway} }

// Logger implements Host.
func (h *host) Logger() *slog.Logger { return h.srv.log }

// Instance implements Host. It is "" before the first Session.
func (h *host) Instance() string { return h.srv.hello.Load().GetInstance() }

// Node implements Host. It is "" before the first Session.
func (h *host) Node() string { return h.srv.hello.Load().GetNode() }
