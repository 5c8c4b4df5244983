package wire

import (
	"github.com/parley-gateway/parley/core/plugin"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// FromAgentSignal converts a signal for the customer of a thread.
func FromAgentSignal(account, thread string, g plugin.AgentSignal) *pluginv1.Signal {
	return &pluginv1.Signal{
		Account: account, Thread: thread, Conversation: g.Conversation.String(), Kind: fromSignalKind(g.Kind),
		On: g.On, Name: g.Name, Position: uint32(max(g.Position, 0)), WaitMs: uint32(max(g.Waited.Milliseconds(), 0)),
	}
}

func fromSignalKind(k plugin.SignalKind) pluginv1.SignalKind {
	switch k {
	case plugin.SignalTyping:
		return pluginv1.SignalKind_SIGNAL_KIND_TYPING
	case plugin.SignalPresence:
		return pluginv1.SignalKind_SIGNAL_KIND_PRESENCE
	case plugin.SignalQueue:
		return pluginv1.SignalKind_SIGNAL_KIND_QUEUE
	default:
		return pluginv1.SignalKind_SIGNAL_KIND_UNSPECIFIED
	}
}

// ToSignalKind converts a kind of signal that a customer may send; false: no such kind.
func ToSignalKind(k pluginv1.SignalKind) (plugin.SignalKind, bool) {
	switch k {
	case pluginv1.SignalKind_SIGNAL_KIND_TYPING:
		return plugin.SignalTyping, true
	case pluginv1.SignalKind_SIGNAL_KIND_PRESENCE:
		return plugin.SignalPresence, true
	default:
		return "", false
	}
}
