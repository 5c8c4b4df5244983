package router

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// PluginReady gives the outbox a generation to send through (plugin.Core).
func (r *Router) PluginReady(id, instance string, p plugin.CommandPort) {
	r.setPluginInfo(id, p.Info())
	o := r.outbox
	o.mu.Lock()
	o.ports[id] = &port{instance: instance, port: p}
	var doubtful []*entry
	for _, e := range o.byID {
		b := o.accounts[conversation.AccountID(e.row.Account)]
		if b == nil || b.plugin != id || e.inflight || e.doubtful || e.lookup || e.row.State != eventlog.OutboxBegun {
			continue
		}
		e.doubtful = true
		doubtful = append(doubtful, e) // begun before this process started
	}
	o.mu.Unlock()
	for _, e := range doubtful {
		o.doubt(e, p.Info())
	}
	o.poke()
}

// PluginGone takes a generation out (plugin.Core).
func (r *Router) PluginGone(id, instance string) {
	o := r.outbox
	var doubtful []*entry
	var info plugin.Info
	o.mu.Lock()
	if p := o.ports[id]; p != nil && p.instance == instance {
		info = p.port.Info()
		delete(o.ports, id)
	} else if i, ok := r.pluginInfo(id); ok {
		info = i
	}
	for _, e := range o.byID {
		if !e.inflight || e.instance != instance {
			continue
		}
		o.accounts[conversation.AccountID(e.row.Account)].stop(e)
		if e.row.State == eventlog.OutboxBegun {
			e.doubtful = true
			doubtful = append(doubtful, e)
			continue
		}
		e.row.State = eventlog.OutboxQueued
		e.row.Attempt++
	}
	o.mu.Unlock()
	for _, e := range doubtful {
		o.doubt(e, info)
	}
	o.poke()
}

// doubt decides what becomes of a command that passed Begin and lost its
// plugin: sent again where that is harmless, asked for, or unknown (PR4).
func (o *outbox) doubt(e *entry, info plugin.Info) {
	o.mu.Lock()
	switch {
	case info.IdempotentSend || e.row.Kind == kindProcess:
		e.row.State, e.maybe, e.doubtful = eventlog.OutboxQueued, true, false
		e.row.Attempt++
		o.mu.Unlock()
	case info.CanLookup:
		e.lookup, e.doubtful = true, false
		o.mu.Unlock()
	default: // stays doubtful until the log says unknown
		o.mu.Unlock()
		o.insist(e, plugin.CommandResult{Command: e.row.CommandID, Outcome: conversation.StatusUnknown, Kind: "internal", Code: "plugin_lost"})
	}
}

// deferProcess makes an opaque item durable and queues its processing.
func (r *Router) deferProcess(in plugin.Inbound, acc account, done func(plugin.Ack)) {
	if !r.spawn(func() {
		id := conversation.NewID[conversation.MessageID]()
		now := r.now().UTC()
		row := eventlog.OutboxRow{
			CommandID: id, Account: eventlog.StreamID(acc.id), Index: -1, Kind: kindProcess, State: eventlog.OutboxQueued,
			Attempt: 1, Deadline: now.Add(24 * time.Hour), Payload: joinDeferred(in.Thread, in.Deferred), Node: r.node,
		}
		err := r.appendAccount(in, r.externals(in), TypeDeferred, DeferredHead{Plugin: in.Plugin, Command: id}, nil, &row)
		switch {
		case err == nil:
			r.outbox.add(&entry{row: row})
		case inDoubt(err):
			r.outbox.readAgain() // it may be there; the repeat of the event will be a duplicate
		}
		done(r.accountAck(in, err))
	}) {
		done(plugin.Ack{Status: plugin.Retry, Code: "stopping"})
	}
}

// joinDeferred is the payload of a deferred item: its thread, so that the
// plugin keeps the order of each, and what the plugin gave.
func joinDeferred(thread string, opaque []byte) []byte {
	out := binary.AppendUvarint(make([]byte, 0, len(thread)+len(opaque)+4), uint64(len(thread)))
	return append(append(out, thread...), opaque...)
}

// splitDeferred takes a payload apart.
func splitDeferred(payload []byte) (thread string, opaque []byte, err error) {
	n, k := binary.Uvarint(payload)
	if k <= 0 || n > uint64(len(payload)-k) {
		return "", nil, errors.New("router: deferred item: no thread")
	}
	return string(payload[k : k+int(n)]), payload[k+int(n):], nil
}
