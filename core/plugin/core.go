package plugin

import (
	"context"

	"github.com/parley-gateway/parley/core/conversation"
)

// Core is what the plugin host needs of the rest of Parley: the router
// implements it. Methods are safe for concurrent use.
type Core interface {
	// Ingest makes an event of a plugin durable. It never blocks on the
	// disk: done is called exactly once, from another goroutine or from this
	// one, after the commit or the refusal. Events of one (account, thread)
	// are handled in the order of the calls.
	Ingest(ctx context.Context, in Inbound, done func(Ack))
	// Subscribe opens a reader of a thread for a connected channel.
	Subscribe(ctx context.Context, spec SubscriptionSpec, sink Sink) (Reader, error)
	// Signal passes typing or presence of a customer on. It never blocks.
	Signal(s CustomerSignal)
	// Begin records that the plugin is about to call its provider
	// (plugin-notes.md 4.6). It returns after the commit; false: the command
	// is no longer this plugin's to send.
	Begin(ctx context.Context, account conversation.AccountID, command [16]byte, instance string) (bool, error)
	// PluginReady says that a generation of a plugin has a session and takes
	// commands through the port until PluginGone is called with the same instance.
	PluginReady(plugin, instance string, port CommandPort)
	// PluginRoom says that a window of the generation which refused an Offer has
	// room again. It may be a false alarm.
	PluginRoom(plugin, instance string)
	// PluginGone says that a generation takes no more commands. The results that
	// it did give have been answered by then, unless that takes too long. What
	// becomes of its other commands is for the core to say, which answered Begin.
	PluginGone(plugin, instance string)
	// AccountStatus tells how an account is doing at its provider.
	AccountStatus(account conversation.AccountID, ok bool, code, text string)
}
