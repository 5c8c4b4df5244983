package blob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// Log is what Plugins needs of the event log.
type Log interface {
	Conversation(ctx context.Context, id eventlog.StreamID) (eventlog.ConversationRow, error)
	Thread(ctx context.Context, account eventlog.StreamID, key eventlog.Key) (eventlog.StreamID, error)
	External(ctx context.Context, account eventlog.StreamID, key eventlog.Key) (stream eventlog.StreamID, seq uint64, err error)
}

// Named returns a function for Options.Named that asks the log which message names an attachment.
func Named(log Log, v Vault) func(context.Context, conversation.BlobID) (conversation.ConversationID, error) {
	return func(ctx context.Context, id conversation.BlobID) (conversation.ConversationID, error) {
		account, key := LogKey(v, id)
		stream, _, err := log.External(ctx, account, key)
		if errors.Is(err, eventlog.ErrNotFound) {
			err = ErrNotFound
		}
		return conversation.ConversationID(stream), err
	}
}

// Over returns a function for Options.Over that asks the log whether a conversation has ended.
func Over(log Log) func(context.Context, conversation.ConversationID) (bool, error) {
	return func(ctx context.Context, id conversation.ConversationID) (bool, error) {
		row, err := log.Conversation(ctx, eventlog.StreamID(id))
		if errors.Is(err, eventlog.ErrNotFound) {
			return true, nil
		}
		return err == nil && row.Phase != eventlog.PhaseOpen, err
	}
}

// ConversationKey returns a function for Options.ConversationKey that reads conversations' data
// keys from the log.
func ConversationKey(log Log) func(context.Context, conversation.ConversationID) (int64, error) {
	return func(ctx context.Context, id conversation.ConversationID) (int64, error) {
		row, err := log.Conversation(ctx, eventlog.StreamID(id))
		if errors.Is(err, eventlog.ErrNotFound) {
			return 0, ErrNotFound
		}
		return row.KeyID, err
	}
}

// Plugins gives plugins access to the store within their own accounts (plugin.Blobs).
type Plugins struct {
	Store *Store
	Log   Log
	Vault Vault // computes the keys of threads
	// Origin is the origin from which files are served, "https://files.example.com".
	Origin string
}

var _ plugin.Blobs = Plugins{}

// Put stores an attachment that a message of the thread may name, or of any thread when thread is
// "". On a connected channel the attachment belongs to the open conversation: the customer's next
// message belongs there, and the attachment is removed with the conversation. On other channels the
// conversation may end before the message comes, which then begins the next one: the attachment
// waits for the message, under a data key of its own.
func (p Plugins) Put(ctx context.Context, account conversation.AccountID, thread, name, mime string, r io.Reader) (conversation.File, error) {
	o := Owner{Account: account}
	if thread != "" {
		o.Thread = p.Vault.MAC("thread", account[:], []byte(thread)) // computed in the same way as by the router
		id, err := p.Log.Thread(ctx, eventlog.StreamID(account), o.Thread)
		if err == nil {
			err = p.connected(ctx, id, &o)
		}
		if err != nil && !errors.Is(err, eventlog.ErrNotFound) {
			return conversation.File{}, fmt.Errorf("blob: put: %w: %w", plugin.ErrNotDurable, err)
		}
	}
	f, err := p.Store.Put(ctx, o, name, mime, r)
	return f, forPlugin(err)
}

// connected makes an open conversation of a connected channel the owner of an upload.
func (p Plugins) connected(ctx context.Context, id eventlog.StreamID, o *Owner) error {
	row, err := p.Log.Conversation(ctx, id)
	if err != nil {
		return err
	}
	var state struct {
		Capabilities conversation.Capabilities `json:"capabilities"`
	}
	if err := json.Unmarshal(row.State, &state); err != nil {
		return err
	}
	if state.Capabilities.Connected {
		o.Conversation, o.KeyID = conversation.ConversationID(id), row.KeyID
	}
	return nil
}

// Get opens an attachment that belongs to one of the accounts.
func (p Plugins) Get(ctx context.Context, accounts []conversation.AccountID, id conversation.BlobID) (conversation.File, io.ReadCloser, error) {
	if err := p.may(ctx, accounts, id); err != nil {
		return conversation.File{}, nil, err
	}
	f, r, err := p.Store.Open(ctx, id)
	if err != nil {
		return f, nil, forPlugin(err)
	}
	return f, r, nil
}

// URL signs a URL of an attachment that belongs to one of the accounts.
func (p Plugins) URL(ctx context.Context, accounts []conversation.AccountID, id conversation.BlobID, ttl time.Duration, thumbnail bool) (string, time.Time, error) {
	if err := p.may(ctx, accounts, id); err != nil {
		return "", time.Time{}, err
	}
	url, expires := p.Store.signURL(id, ttl, thumbnail)
	return p.Origin + url, expires, nil
}

// may checks that an attachment belongs to the accounts: to an account itself, or to a conversation
// that has an endpoint on it.
func (p Plugins) may(ctx context.Context, accounts []conversation.AccountID, id conversation.BlobID) error {
	_, row, err := p.Store.Info(ctx, id)
	if err != nil {
		return forPlugin(err)
	}
	own, err := p.owns(ctx, accounts, row)
	if err != nil {
		return fmt.Errorf("blob: %w", err)
	}
	if !own {
		return plugin.ErrDenied
	}
	return nil
}

func (p Plugins) owns(ctx context.Context, accounts []conversation.AccountID, row Row) (bool, error) {
	if row.Conversation.IsZero() {
		return slices.Contains(accounts, row.Account), nil
	}
	conv, err := p.Log.Conversation(ctx, eventlog.StreamID(row.Conversation))
	if errors.Is(err, eventlog.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if slices.Contains(accounts, conversation.AccountID(conv.Account)) {
		return true, nil
	}
	var state struct {
		Endpoints []conversation.Endpoint `json:"endpoints"`
	}
	if err := json.Unmarshal(conv.State, &state); err != nil {
		return false, err
	}
	return slices.ContainsFunc(state.Endpoints, func(e conversation.Endpoint) bool { return slices.Contains(accounts, e.Account) }), nil
}

// forPlugin turns an error into one that the plugin can act on.
func forPlugin(err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("%w: %w", plugin.ErrNotFound, err)
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrPixels):
		return fmt.Errorf("%w: %w", plugin.ErrTooLarge, err)
	case errors.Is(err, ErrType):
		return fmt.Errorf("%w: %w", plugin.ErrDenied, err)
	case errors.Is(err, ErrFull), errors.Is(err, ErrUnavailable):
		return fmt.Errorf("%w: %w", plugin.ErrNotDurable, err)
	default:
		return err
	}
}
