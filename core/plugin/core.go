package plugin

import (
	"context"

	"github.com/parley-gateway/parley/core/conversation"
)

// Core is what the plugin host needs of the rest of Parley: the router
// implements it. Methods are safe for concurrent use.
type Core interface {
	// Ingest makes an event of a plugin durable. It never waits for the disk: done is called
	// exactly once, from another goroutine or from this one, after the commit or the refusal.
	// Events of one (account, thread) are handled in the order of the calls.
	Ingest(ctx context.Context, in Inbound, done func(Ack))
	// Subscribe opens a reader of a thread for a connected channel.
	Subscribe(ctx context.Context, spec SubscriptionSpec, sink Sink) (Reader, error)
	// Signal passes on that a customer types or is present. It never blocks.
	Signal(s CustomerSignal)
	// Begin records that the plugin is about to call its provider (plugin-notes.md 4.6). It returns
	// after the commit; false: this plugin may no longer send the command.
	Begin(ctx context.Context, account conversation.AccountID, command [16]byte, instance string) (bool, error)
	// PluginReady says that a generation of a plugin has a session and takes
	// commands through the port until PluginGone is called with the same instance.
	PluginReady(plugin, instance string, port CommandPort)
	// PluginInfo says that a generation which is ready says something else of itself than before: the
	// traits of its accounts have changed with their configuration.
	PluginInfo(plugin, instance string, info Info)
	// PluginRoom says that a window of the generation which refused an Offer or a NoticeBot has room again. It may
	// be wrong: the window may be full again.
	PluginRoom(plugin, instance string)
	// PluginGone says that a generation takes no more commands. The results that it gave have been
	// answered before, unless that takes too long. The core decides what happens to its other
	// commands, since it knows from Begin which may have been sent.
	PluginGone(plugin, instance string)
	// AccountStatus reports whether an account works at its provider.
	AccountStatus(account conversation.AccountID, ok bool, code, text string)
	// Templates replaces the templates of an account by those that its provider has approved now. The
	// list must not be changed afterwards.
	Templates(account conversation.AccountID, list []Template)
}
