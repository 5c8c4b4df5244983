package sdk

import (
	"context"
	"runtime"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// This file has the writer's side of the outbox: what goes into the next frame.

// next waits for something to write and returns it. The frame is valid until the next call. It
// returns nil when ctx has ended or s is no longer the outbox's session.
func (o *outbox) next(ctx context.Context, s *session) *pluginv1.PluginFrame {
	for {
		o.mu.Lock()
		if o.session != s {
			o.mu.Unlock()
			return nil
		}
		f := o.take()
		o.mu.Unlock()
		if f != nil {
			return f
		}
		select {
		case <-o.wake:
			// Let the goroutines that an acknowledgement has just woken add their events: a frame
			// of many costs little more than a frame of one.
			runtime.Gosched()
		case <-ctx.Done():
			return nil
		}
	}
}

func (o *outbox) take() *pluginv1.PluginFrame {
	if o.urgent.len() > 0 {
		return o.urgent.pop()
	}
	if o.control.len() > 0 {
		return o.control.pop()
	}
	// The other kinds take turns, so that many frames of one kind do not hold up the others.
	for range 5 {
		o.turn = (o.turn + 1) % 5
		var f *pluginv1.PluginFrame
		switch o.turn {
		case 0:
			f = o.takeHooks()
		case 1:
			f = o.takeEvents()
		case 2:
			f = o.takeSignals()
		case 3:
			f = o.takeStatuses()
		case 4:
			f = o.takeTemplates()
		}
		if f != nil {
			return f
		}
	}
	return nil
}

func (o *outbox) takeHooks() *pluginv1.PluginFrame {
	if o.hooks.len() == 0 {
		return nil
	}
	list := o.frame.hooks.HookResults
	list.Results = list.Results[:0]
	for bytes := 0; o.hooks.len() > 0 && len(list.Results) < contract.MaxFrameItems; {
		size := proto.Size(o.hooks.peek())
		if len(list.Results) > 0 && bytes+size > contract.MaxFrameBytes {
			break
		}
		bytes += size
		list.Results = append(list.Results, o.hooks.pop())
	}
	o.frame.frame.Frame = &o.frame.hooks
	return &o.frame.frame
}

func (o *outbox) takeSignals() *pluginv1.PluginFrame {
	if o.signals.len() == 0 {
		return nil
	}
	list := o.frame.signals.Signals
	list.Signals = list.Signals[:0]
	for o.signals.len() > 0 && len(list.Signals) < contract.MaxFrameItems {
		list.Signals = append(list.Signals, o.signals.pop())
	}
	o.frame.frame.Frame = &o.frame.signals
	return &o.frame.frame
}

func (o *outbox) takeStatuses() *pluginv1.PluginFrame {
	if len(o.dirty) == 0 {
		return nil
	}
	list := &pluginv1.AccountStatuses{}
	for id := range o.dirty {
		list.Statuses = append(list.Statuses, o.statuses[id])
		delete(o.dirty, id)
		if len(list.Statuses) == contract.MaxFrameItems {
			break
		}
	}
	return &pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_AccountStatuses{AccountStatuses: list}}
}

// takeTemplates takes one account's list: it may be as large as a frame.
func (o *outbox) takeTemplates() *pluginv1.PluginFrame {
	if o.minor < 1 {
		return nil
	}
	for id := range o.unlisted {
		delete(o.unlisted, id)
		return &pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_TemplateLists{
			TemplateLists: &pluginv1.TemplateLists{Lists: []*pluginv1.TemplateList{o.templates[id]}},
		}}
	}
	return nil
}

// takeEvents fills a frame with waiting events, as far as the credit goes.
func (o *outbox) takeEvents() *pluginv1.PluginFrame {
	if o.free.len()+o.metered.len() == 0 {
		return nil
	}
	if !o.pausedUntil.IsZero() {
		if time.Now().Before(o.pausedUntil) {
			return nil
		}
		o.pausedUntil = time.Time{}
	}
	list := o.frame.events.Events
	list.Events = list.Events[:0]
	bytes := 0
	for len(list.Events) < contract.MaxFrameItems {
		queue := &o.free
		if queue.len() == 0 {
			queue = &o.metered
		}
		if queue.len() == 0 {
			break
		}
		p := queue.peek()
		if p.abandoned {
			queue.pop()
			o.settledOne()
			continue
		}
		if len(list.Events) > 0 && bytes+p.size > contract.MaxFrameBytes {
			break
		}
		if !p.free {
			// An event larger than the whole window may go when no other is under way.
			if o.used >= o.window || (o.used > 0 && o.usedBytes+p.size > o.windowBytes) {
				break
			}
			o.used++
			o.usedBytes += p.size
		}
		queue.pop()
		p.wire.Seq = o.firstSeq + uint64(o.inflight.len())
		o.inflight.push(p)
		bytes += p.size
		list.Events = append(list.Events, p.wire)
	}
	if len(list.Events) == 0 {
		return nil
	}
	o.frame.frame.Frame = &o.frame.events
	return &o.frame.frame
}
