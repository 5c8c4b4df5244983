package blob_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// rows is a log with one open conversation on one thread.
type rows struct {
	row    eventlog.ConversationRow
	thread eventlog.Thread
	err    error // of every reading of a thread, if not nil
}

func (r rows) Conversation(_ context.Context, id eventlog.StreamID) (eventlog.ConversationRow, error) {
	if id != r.row.ID {
		return eventlog.ConversationRow{}, eventlog.ErrNotFound
	}
	return r.row, nil
}

func (r rows) Thread(_ context.Context, account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, error) {
	if r.err != nil {
		return eventlog.StreamID{}, r.err
	}
	if account != r.thread.Account || key != r.thread.Key {
		return eventlog.StreamID{}, eventlog.ErrNotFound
	}
	return r.thread.Conversation, nil
}

func (r rows) External(context.Context, eventlog.StreamID, eventlog.Key) (eventlog.StreamID, uint64, error) {
	return eventlog.StreamID{}, 0, eventlog.ErrNotFound
}

// A log that cannot be read now is the gateway's trouble: the plugin tries again for as long as it
// would with a full store (PR1).
func TestPluginsLogDown(t *testing.T) {
	f := open(t, nil)
	p := blob.Plugins{Store: f.Store, Vault: f.vault, Log: rows{err: errors.New("no connection")}}
	if _, err := p.Put(t.Context(), f.account, "visitor", "a.pdf", "", bytes.NewReader(pdf(50))); !errors.Is(err, plugin.ErrNotDurable) {
		t.Errorf("put: got %v, want ErrNotDurable", err)
	}
}

func TestPlugins(t *testing.T) {
	f := open(t, nil)
	ctx := t.Context()
	second, stranger := conversation.NewID[conversation.AccountID](), conversation.NewID[conversation.AccountID]()
	state, err := json.Marshal(conversation.State{
		Endpoints: []conversation.Endpoint{{Account: f.account}, {Account: second}}, Capabilities: conversation.Capabilities{Connected: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := blob.Plugins{Store: f.Store, Vault: f.vault, Origin: "https://files.example", Log: rows{
		row: eventlog.ConversationRow{ID: eventlog.StreamID(f.conv), Account: eventlog.StreamID(f.account), KeyID: f.key, State: state},
		thread: eventlog.Thread{
			Account: eventlog.StreamID(f.account), Key: f.vault.MAC("thread", f.account[:], []byte("visitor")), Conversation: eventlog.StreamID(f.conv),
		},
	}}
	put := func(thread string) conversation.File {
		file, err := p.Put(ctx, f.account, thread, "a.pdf", "", bytes.NewReader(pdf(50)))
		if err != nil {
			t.Fatal(err)
		}
		return file
	}
	inside, before := put("visitor"), put("somebody new")
	if _, row, err := f.Info(ctx, inside.Blob); err != nil || row.Conversation != f.conv || row.KeyID != f.key {
		t.Errorf("of an open thread: row %+v, %v; want the conversation's, under its key", row, err)
	}
	if _, row, err := f.Info(ctx, before.Blob); err != nil || !row.Conversation.IsZero() || row.Account != f.account {
		t.Errorf("before there is a conversation: row %+v, %v; want the account's", row, err)
	}
	agents, err := f.Put(ctx, f.owner(), "from an agent.pdf", "", bytes.NewReader(pdf(60)))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		accounts []conversation.AccountID
		id       conversation.BlobID
		want     error
	}{
		"own conversation's":    {[]conversation.AccountID{stranger, f.account}, inside.Blob, nil},
		"agent's to it":         {[]conversation.AccountID{f.account}, agents.Blob, nil},
		"by a second endpoint":  {[]conversation.AccountID{second}, inside.Blob, nil},
		"own account's":         {[]conversation.AccountID{f.account}, before.Blob, nil},
		"another's account's":   {[]conversation.AccountID{second}, before.Blob, plugin.ErrDenied},
		"another's":             {[]conversation.AccountID{stranger}, inside.Blob, plugin.ErrDenied},
		"by a plugin with none": {nil, inside.Blob, plugin.ErrDenied},
		"no such":               {[]conversation.AccountID{f.account}, conversation.NewID[conversation.BlobID](), plugin.ErrNotFound},
	} {
		file, r, err := p.Get(ctx, c.accounts, c.id)
		if !errors.Is(err, c.want) {
			t.Errorf("Get %s: got %v, want %v", name, err, c.want)
		}
		if err == nil {
			b, err := io.ReadAll(r)
			if err != nil || int64(len(b)) != file.Size {
				t.Errorf("Get %s: %d bytes, %v; want %d", name, len(b), err, file.Size)
			}
			_ = r.Close()
		}
		url, expires, err := p.URL(ctx, c.accounts, c.id, time.Minute, false)
		if !errors.Is(err, c.want) {
			t.Errorf("URL %s: got %v, want %v", name, err, c.want)
		}
		if path, ok := strings.CutPrefix(url, "https://files.example"); err == nil && (!ok || f.get(path).Code != 200 || time.Until(expires) < time.Minute) {
			t.Errorf("URL %s: %s, good until %v", name, url, expires)
		}
	}
	for name, c := range map[string]struct {
		content []byte
		want    error
	}{
		"too large": {pdf(1<<20 + 1), plugin.ErrTooLarge},
		"type":      {[]byte("<svg/>"), plugin.ErrDenied},
	} {
		if _, err := p.Put(ctx, f.account, "visitor", "a", "", bytes.NewReader(c.content)); !errors.Is(err, c.want) {
			t.Errorf("Put, %s: got %v, want %v", name, err, c.want)
		}
	}
}
