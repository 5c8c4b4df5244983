package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/eventlog/sqlite"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/core/vault"
)

func (p *port) fill(full bool) {
	p.mu.Lock()
	p.full = full
	p.mu.Unlock()
}

// What waits at one node for its carrier goes out as another node has rewritten it, although no word of
// the rewriting passes between them (PR8, PR21).
func TestRewriteOfWhatWaitsElsewhere(t *testing.T) { rewriteElsewhere(t, newWorld(t, nil), nil) }

func TestRewriteOfWhatWaitsElsewhereOverPostgres(t *testing.T) {
	logs := twoLogs(t)
	rewriteElsewhere(t, newWorld(t, logs[0]), logs[1])
}

func rewriteElsewhere(t *testing.T, w *world, second eventlog.Log) {
	has := w.withFeatures(directory.FeatureRead).startAlone("n1")
	if second != nil {
		w.log = second
	}
	masks := w.startAlone("n2")
	p := newPort(readsInfo())
	p.fill(true)
	has.PluginReady("text", "g1", p)
	conv := w.textChat(has)
	_, err := has.Send(t.Context(), router.SendRequest{Conversation: conv, Agent: w.agents["ana"], ClientID: "1", Parts: textParts("my number is " + canary)})
	must(t, err)
	must(t, w.reads(has, conv, "m1"))
	must(t, masks.Rewrite(t.Context(), conv, masking(conversation.Author{Kind: conversation.System})))
	p.fill(false)
	has.PluginReady("text", "g1", p)
	var send, mark bool
	for i := range 2 {
		switch cmd := p.next(t, i); {
		case cmd.Send != nil:
			if send = true; cmd.Send.Parts[0].Text != "my number is #######" {
				t.Errorf("goes out as %q", cmd.Send.Parts[0].Text)
			}
		case cmd.MarkRead != nil:
			if mark = true; cmd.MarkRead.ProviderIDs[0] != "m1" || cmd.Thread != "+49301234" {
				t.Errorf("the read mark: %+v", cmd)
			}
		}
	}
	if !send || !mark {
		t.Errorf("a message %t, a read mark %t, want both", send, mark)
	}
}

// onStores runs a test over a log on each kind of store.
func onStores(t *testing.T, test func(t *testing.T, log eventlog.Log)) {
	t.Run("memory", func(t *testing.T) {
		l := memlog.New()
		t.Cleanup(func() { must(t, l.Close()) })
		test(t, l)
	})
	t.Run("SQLite", func(t *testing.T) {
		l, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
		must(t, err)
		t.Cleanup(func() { must(t, l.Close()) })
		test(t, l)
	})
	t.Run("PostgreSQL", func(t *testing.T) { test(t, twoLogs(t)[0]) })
}

// A read mark that waits can be read after a rewriting, also by the next start, and so can one that a node
// queues which has not heard of the rewriting yet.
func TestRewriteKeepsPayloads(t *testing.T) {
	onStores(t, func(t *testing.T, log eventlog.Log) {
		w := newWorld(t, log).withFeatures(directory.FeatureRead)
		w.lost = &lostKeys{Vault: w.vault, keys: map[int64]error{}}
		r, other := w.start("n1"), w.start("n2")
		r.PluginReady("text", "g1", newPort(readsInfo()))
		other.PluginReady("text", "g2", newPort(readsInfo()))
		conv := w.textChat(r)
		r.PluginGone("text", "g1")
		other.PluginGone("text", "g2")
		must(t, w.reads(r, conv, "1")) // node n1's
		must(t, w.reads(other, conv, "2"))
		oldKey := w.keyOf(conv)
		same := func(rec readers.Record) (json.RawMessage, error) { return rec.Body, nil }
		must(t, r.Rewrite(t.Context(), conv, router.Rewriting{Reason: "rekeyed", Change: same}))
		rows, err := w.log.Outbox(t.Context(), eventlog.StreamID{}, false, 0)
		must(t, err)
		for _, row := range rows {
			if row.KeyID == oldKey || row.KeyID != w.keyOf(conv) {
				t.Errorf("a row is sealed under key %d, the conversation's is %d", row.KeyID, w.keyOf(conv))
			}
		}
		if len(rows) != 2 {
			t.Fatalf("%d rows, want 2", len(rows))
		}
		w.stop(r)
		again, p, elsewhere := w.start("n1"), newPort(readsInfo()), newPort(readsInfo())
		again.PluginReady("text", "g3", p)
		if cmd := p.next(t, 0); cmd.MarkRead == nil || cmd.MarkRead.ProviderIDs[0] != "1" {
			t.Errorf("after the restart: %+v", cmd)
		}
		other.PluginReady("text", "g4", elsewhere)
		if cmd := elsewhere.next(t, 0); cmd.MarkRead == nil || cmd.MarkRead.ProviderIDs[0] != "2" {
			t.Errorf("at the other node: %+v", cmd)
		}
	})
}

// The failure of a call's command is told in the conversation, also after a rewriting has replaced the key
// under which the command was queued.
func TestRewriteKeepsFailuresOfCalls(t *testing.T) {
	w := newWorld(t, nil)
	r, p := w.start("n1"), newPort(callsInfo())
	r.PluginReady("text", "g1", p)
	conv := w.textChat(r)
	_, err := w.press(r, conv, w.calls(r, conv, w.text.ID, conversation.Pin{Node: "n1", Instance: "g1"}), "1")
	must(t, err)
	cmd := p.next(t, 0)
	must(t, r.Rewrite(t.Context(), conv, masking(conversation.Author{Kind: conversation.System})))
	w.result(r, cmd, plugin.CommandResult{Outcome: conversation.StatusFailed, Code: "no"})
	if failed := heads[conversation.SessionCommandFailed](t, r, conv, conversation.TypeSessionCommandFailed); len(failed) != 1 || failed[0].Code != "no" || failed[0].What != "digits" {
		t.Errorf("failed: %+v, want one", failed)
	}
}

// rewrittenLog rewrites the stream as another node would, just before an append that queues a command.
type rewrittenLog struct {
	eventlog.Log
	before func(*eventlog.Batch)
}

func (l *rewrittenLog) Append(ctx context.Context, b *eventlog.Batch) (eventlog.Appended, error) {
	if l.before != nil && len(b.Outbox) > 0 {
		before := l.before
		l.before = nil
		before(b)
	}
	return l.Log.Append(ctx, b)
}

// A command is never queued under a key that another node replaces at the same moment.
func TestRewriteBesideQueueing(t *testing.T) {
	onStores(t, func(t *testing.T, log eventlog.Log) {
		l := &rewrittenLog{Log: log}
		w := newWorld(t, l).withFeatures(directory.FeatureRead)
		r := w.start("n1")
		r.PluginReady("text", "g1", newPort(readsInfo()))
		conv := w.textChat(r)
		r.PluginGone("text", "g1")
		key, err := w.vault.Assign()
		must(t, err)
		l.before = func(*eventlog.Batch) {
			err := log.Rewrite(context.Background(), eventlog.StreamID(conv), eventlog.Rewriting{Key: key,
				Body: func(rec eventlog.Record) ([]byte, error) {
					aad := readers.BodyAAD(rec.Stream, rec.Seq)
					plain, err := w.vault.Open(rec.KeyID, aad, rec.Body)
					if err != nil {
						return nil, err
					}
					return w.vault.Seal(key, aad, plain)
				},
				Events: func() []eventlog.Event {
					return []eventlog.Event{{Type: string(conversation.TypeContentRewritten), At: time.Now(), Head: []byte(`{"by":{"kind":""},"seqs":[],"reason":"masked","audience":"audit"}`)}}
				}})
			if err != nil {
				t.Errorf("rewriting: %v", err)
			}
		}
		must(t, w.reads(r, conv, "1"))
		rows, err := w.log.Outbox(t.Context(), eventlog.StreamID{}, false, 0)
		must(t, err)
		if len(rows) != 1 || rows[0].KeyID != key {
			t.Errorf("rows %+v, want one under key %d", rows, key)
		}
	})
}

// slowVault is a vault whose Destroy waits until it may go on, or its context ends.
type slowVault struct {
	*vault.Vault
	begun chan struct{}
	goOn  chan struct{}
	once  sync.Once
}

func (v *slowVault) Destroy(ctx context.Context, keys ...int64) error {
	v.once.Do(func() { close(v.begun) })
	select {
	case <-v.goOn:
		return v.Vault.Destroy(ctx, keys...)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// While a rewriting waits for the key store, the conversation goes on.
func TestRewriteDoesNotHoldTheConversation(t *testing.T) {
	onStores(t, func(t *testing.T, log eventlog.Log) {
		w := newWorld(t, log)
		keys := &slowVault{Vault: w.vault, begun: make(chan struct{}), goOn: make(chan struct{})}
		r, err := router.New(router.Options{Node: "n1", Log: log, Vault: keys, Directory: w.dir, Bus: w.bus, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		must(t, r.Start(t.Context()))
		t.Cleanup(func() { w.stop(r) })
		r.PluginReady("text", "g1", newPort(textInfo()))
		first := ingest(r, w.smsMessage("+491", "my number is "+canary))
		oldKey := w.keyOf(first.Conversation)
		done := make(chan error, 1)
		go func() {
			done <- r.Rewrite(t.Context(), first.Conversation, masking(conversation.Author{Kind: conversation.System}))
		}()
		<-keys.begun
		ch := make(chan plugin.Ack, 1)
		r.Ingest(t.Context(), w.smsMessage("+491", "and on"), func(a plugin.Ack) { ch <- a })
		select {
		case a := <-ch:
			if a.Status != plugin.Committed || a.Conversation != first.Conversation {
				t.Errorf("a text meanwhile: %+v", a)
			}
		case <-time.After(20 * time.Second):
			t.Error("a text waits for the key store")
		}
		close(keys.goOn)
		must(t, <-done)
		if _, err := w.vault.Seal(oldKey, nil, nil); !errors.Is(err, vault.ErrDestroyed) {
			t.Errorf("the old key: %v, want it destroyed", err)
		}
	})
}

type stuckVault struct {
	plainVault
	goOn chan struct{}
}

func (v *stuckVault) Destroy(ctx context.Context, keys ...int64) error {
	select {
	case <-v.goOn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A key store that does not answer is given up after a time, and asked again later: the old key is
// destroyed in the end.
func TestRewriteGivesUpAndGoesOn(t *testing.T) {
	w := newWorld(t, nil)
	snap := w.dir.Snapshot()
	synctest.Test(t, func(t *testing.T) {
		keys := &stuckVault{goOn: make(chan struct{})}
		log, hints := memlog.New(), bus.NewLocal()
		defer func() { must(t, hints.Close()) }()
		r, err := router.New(router.Options{Node: "n1", Log: log, Vault: keys, Directory: fixedDirectory{snap}, Bus: hints, Logger: slog.New(slog.DiscardHandler)})
		must(t, err)
		must(t, r.Start(t.Context()))
		defer func() { must(t, r.Stop(context.Background())) }()
		r.PluginReady("text", "g1", &port{info: textInfo()})
		a := ingest(r, w.smsMessage("+491", "hello"))
		same := func(rec readers.Record) (json.RawMessage, error) { return rec.Body, nil }
		if err := r.Rewrite(context.Background(), a.Conversation, router.Rewriting{Reason: "rekeyed", Change: same}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while the key store is stuck: %v, want DeadlineExceeded", err)
		}
		left, err := log.ReplacedKeys(t.Context())
		if err != nil || len(left) != 1 {
			t.Fatalf("keys to be destroyed: %v, %v, want one", left, err)
		}
		close(keys.goOn)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if left, err = log.ReplacedKeys(t.Context()); err != nil || len(left) != 0 {
			t.Errorf("keys to be destroyed: %v, %v, want none", left, err)
		}
	})
}
