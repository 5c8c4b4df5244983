// Package fakehost is a gateway in memory for tests of the web chat plugin: an sdk.Host that keeps
// conversations as logs, answers after a commit that a test may hold back or refuse, streams
// records to subscriptions, and lets a test act as the agent.
//
// It behaves like the real one wherever the plugin could notice a difference: records carry seq and
// prev, events with the same dedupe key are duplicates, a thread has one open conversation, and
// subscriptions resume after a cursor and go on with later conversations of the thread.
package fakehost

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest/memgateway"
)

// Host is a gateway in memory. Make one with New; Close waits for its goroutines.
type Host struct {
	log  *slog.Logger
	work sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond
	version  uint64 // counts changes of the host
	threads  map[key]*thread
	ledger   memgateway.Ledger
	current  *sdk.Event // the event that is being committed
	events   []sdk.Event
	signals  []sdk.Signal
	statuses []sdk.AccountStatus
	held     []func()
	hold     bool
	refuse   error // returned by EmitAsync
	ackErr   error // put into acknowledgements
	blobs    map[sdk.BlobID]Blob
	grants   map[string]Grant
	baseURL  string
	closed   bool
}

// Blob is a stored attachment.
type Blob struct {
	sdk.File
	Data []byte
}

// Grant is a grant that was minted.
type Grant struct {
	Account sdk.AccountID
	Thread  sdk.ThreadID
	Purpose string
}

type key struct {
	account sdk.AccountID
	thread  sdk.ThreadID
}

type thread struct {
	key
	conversations []*conversation
	subs          map[*subscription]struct{}
}

type conversation struct {
	id      sdk.ConversationID
	ended   bool
	seq     uint64
	records []sdk.Record
}

// New returns a host without conversations. Files are at baseURL/files/ID.
func New(log *slog.Logger, baseURL string) *Host {
	h := &Host{
		log: log, baseURL: baseURL,
		threads: map[key]*thread{},
		blobs:   map[sdk.BlobID]Blob{}, grants: map[string]Grant{},
	}
	h.ledger.Connected, h.ledger.Write = true, h.write
	h.changed = sync.NewCond(&h.mu)
	return h
}

// Configure says which accounts the plugin has. Until it is called every account is the plugin's.
func (h *Host) Configure(accounts []sdk.Account) {
	h.ledger.Configure(sdk.Wire{}.Configure(&sdk.Config{Accounts: accounts}).GetAccounts())
}

// Close ends every subscription and waits for its goroutine.
func (h *Host) Close() {
	h.mu.Lock()
	h.closed = true
	h.notify()
	h.mu.Unlock()
	h.work.Wait()
}

// notify wakes everybody who waits for a change; the caller holds mu.
func (h *Host) notify() {
	h.version++
	h.changed.Broadcast()
}

// Emit implements sdk.Host.
func (h *Host) Emit(ctx context.Context, ev sdk.Event) (sdk.Ack, error) {
	type answer struct {
		ack sdk.Ack
		err error
	}
	ch := make(chan answer, 1)
	// As in the SDK, the limit of the queue does not apply to callers who wait.
	if err := h.EmitAsync(ev, func(a sdk.Ack, err error) { ch <- answer{a, err} }); errors.Is(err, sdk.ErrOverload) {
		h.emit(ev, func(a sdk.Ack, err error) { ch <- answer{a, err} })
	} else if err != nil {
		return sdk.Ack{}, err
	}
	select {
	case a := <-ch:
		return a.ack, a.err
	case <-ctx.Done():
		return sdk.Ack{}, ctx.Err()
	}
}

// EmitAsync implements sdk.Host.
func (h *Host) EmitAsync(ev sdk.Event, done func(sdk.Ack, error)) error {
	h.mu.Lock()
	err := h.refuse
	h.mu.Unlock()
	if err != nil {
		return err
	}
	h.emit(ev, done)
	return nil
}

func (h *Host) emit(ev sdk.Event, done func(sdk.Ack, error)) {
	h.mu.Lock()
	commit := func() {
		h.mu.Lock()
		ack, err := h.commit(ev)
		h.notify()
		h.mu.Unlock()
		done(ack, err)
	}
	if h.hold {
		h.held = append(h.held, commit)
		h.notify()
		h.mu.Unlock()
		return
	}
	h.mu.Unlock()
	commit()
}

// Signal implements sdk.Host.
func (h *Host) Signal(s sdk.Signal) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.signals = append(h.signals, s)
	h.notify()
}

// Status implements sdk.Host.
func (h *Host) Status(s sdk.AccountStatus) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.statuses = append(h.statuses, s)
}

// KV implements sdk.Host; the web chat plugin stores nothing.
func (h *Host) KV() sdk.KV { return nil }

// Logger implements sdk.Host.
func (h *Host) Logger() *slog.Logger { return h.log }

// Instance implements sdk.Host.
func (h *Host) Instance() string { return "test" }

// Node implements sdk.Host.
func (h *Host) Node() string { return "test" }

// MintGrant implements sdk.Host.
func (h *Host) MintGrant(_ context.Context, a sdk.AccountID, t sdk.ThreadID, purpose string) (sdk.Grant, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	token := uuid.NewString()
	h.grants[token] = Grant{a, t, purpose}
	return sdk.Grant{Token: sdk.NewSecret(token), Expires: time.Now().Add(time.Minute)}, nil
}

// UseGrant uses up a grant: a second call with the same token fails.
func (h *Host) UseGrant(token string) (Grant, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g, ok := h.grants[token]
	delete(h.grants, token)
	return g, ok
}

// commit lets the ledger answer ev; the ledger refuses what the gateway refuses. The caller holds
// h.mu.
func (h *Host) commit(ev sdk.Event) (sdk.Ack, error) {
	if h.ackErr != nil {
		return sdk.Ack{}, h.ackErr
	}
	wire, err := sdk.Wire{}.Emitted(&ev)
	if err != nil {
		return sdk.Ack{}, err
	}
	h.current = &ev
	ack := h.ledger.Commit(wire)
	switch ack.GetStatus() {
	case pluginv1.AckStatus_ACK_STATUS_REFUSED:
		return sdk.Ack{}, &sdk.RefusedError{Code: ack.GetCode()}
	case pluginv1.AckStatus_ACK_STATUS_COMMITTED:
		h.events = append(h.events, ev)
	default: // a duplicate gets no new record
	}
	return sdk.Ack{
		Duplicate:    ack.GetStatus() == pluginv1.AckStatus_ACK_STATUS_DUPLICATE,
		Conversation: sdk.ConversationID(ack.GetConversationId()), Seq: ack.GetLogSeq(),
	}, nil
}

// write writes the current event into its conversation and returns the seq of the last record. The
// caller holds h.mu.
func (h *Host) write(in *memgateway.Conversation, _ *pluginv1.Event) uint64 {
	ev := h.current
	t := h.thread(ev.Account, ev.Thread)
	c := t.open()
	switch b := ev.Body.(type) {
	case sdk.Start:
		if c == nil {
			c = &conversation{id: sdk.ConversationID(in.ID)}
			t.conversations = append(t.conversations, c)
			c.add("conversation.started/1", object{"kind": "inbound", "channel": "webchat"},
				object{"address": b.From.Address, "thread": ev.Thread, "name": b.From.Name, "first_name": b.FirstName})
		}
		if len(b.Parts) > 0 {
			c.message(object{"kind": "customer"}, b.ClientID, b.Parts, b.From.Name)
		}
	case sdk.Message:
		c.message(object{"kind": "customer"}, b.ClientID, b.Parts, "")
	case sdk.Receipt:
		c.add("receipt/1", object{"by": object{"kind": "customer"}, "delivered": b.DeliveredSeq, "read": b.ReadSeq}, nil)
	case sdk.End, sdk.Left:
		c.end("customer")
	default:
		c.seq++ // an event that customers do not see
	}
	return c.seq
}

func (h *Host) thread(a sdk.AccountID, t sdk.ThreadID) *thread {
	k := key{a, t}
	if h.threads[k] == nil {
		h.threads[k] = &thread{key: k, subs: map[*subscription]struct{}{}}
	}
	return h.threads[k]
}

func (t *thread) open() *conversation {
	if n := len(t.conversations); n > 0 && !t.conversations[n-1].ended {
		return t.conversations[n-1]
	}
	return nil
}

type object = map[string]any

// add appends a record. Every seventh seq is used by an event that customers do not see, so that
// prev matters.
func (c *conversation) add(kind string, head, body any) {
	prev := uint64(0)
	if n := len(c.records); n > 0 {
		prev = c.records[n-1].Seq
	}
	c.seq++
	if c.seq%7 == 0 {
		c.seq++
	}
	r := sdk.Record{Conversation: c.id, Seq: c.seq, Prev: prev, Time: time.Now().UTC(), Type: kind}
	r.Head = encode(head)
	if body != nil {
		r.Body = encode(body)
	}
	c.records = append(c.records, r)
}

func encode(v any) json.RawMessage {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a fault of the fake itself
	}
	return text
}

func (c *conversation) end(by string) {
	c.ended = true
	c.add("conversation.ended/1", object{"by": object{"kind": by}, "cause": by}, nil)
}

func (c *conversation) message(author object, clientID string, parts []sdk.Part, name string) {
	kinds, blobs, list := []string{}, []string{}, []object{}
	for _, p := range parts {
		switch p := p.(type) {
		case sdk.Text:
			kinds, list = append(kinds, "text"), append(list, object{"kind": "text", "text": p.Text})
		case sdk.RichText:
			kinds, list = append(kinds, "rich_text"), append(list, object{"kind": "rich_text", "html": p.HTML})
		case sdk.Answer:
			kinds, list = append(kinds, "answer"), append(list, object{"kind": "answer", "answer": object{"choice": p.Choice, "title": p.Title}})
		case sdk.Choices:
			options := []object{}
			for _, o := range p.Options {
				options = append(options, object{"id": o.ID, "title": o.Title, "description": o.Description})
			}
			kinds, list = append(kinds, "choices"), append(list, object{"kind": "choices", "choices": object{"text": p.Text, "options": options}})
		case sdk.File:
			kinds, blobs = append(kinds, "file"), append(blobs, string(p.Blob))
			list = append(list, object{"kind": "file", "file": object{
				"blob": p.Blob, "name": p.Name, "mime": p.MIME, "size": p.Size, "width": p.Width, "height": p.Height}})
		}
	}
	head := object{"id": uuid.Must(uuid.NewV7()).String(), "author": author, "kinds": kinds}
	if clientID != "" {
		head["client_id"] = clientID
	}
	if len(blobs) > 0 {
		head["blobs"] = blobs
	}
	body := object{"parts": list}
	if name != "" {
		body["name"] = name
	}
	c.add("message/1", head, body)
}
