package hosttest

import (
	"testing"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// PluginID is the id of the suite's plugin.
const PluginID = "suite"

// Host is the host that the suite tests. Ids are those that Configure names.
type Host struct {
	// Account is an enabled account of the plugin. No agent answers its customers.
	Account string
	// Staffed is another enabled account, whose conversations an agent takes (Reply, End).
	Staffed string
	// Disabled is a disabled account of the plugin.
	Disabled string

	// Emit gives the host an event of the plugin and returns the acknowledgement. It is Plugin.Emit
	// when the host speaks the wire protocol.
	Emit func(testing.TB, *pluginv1.Event) *pluginv1.EventAck
	// Gateway is the GatewayService that the host offers to the plugin; nil: it offers none.
	Gateway pluginv1.GatewayServiceClient
	// Redeem uses a grant and reports whether the grant was valid.
	Redeem func(grant string) bool
	// End lets the agent of Staffed end the open conversation of a thread.
	End func(tb testing.TB, thread string)
	// Reply lets the agent of Staffed answer in the open conversation of a thread. On a
	// store-and-forward channel the plugin then gets a send command. nil: the host sends no
	// commands.
	Reply func(tb testing.TB, thread, text string)
	// MinorOne says that the host speaks minor 1 of the contract.
	MinorOne bool
	// Tool begins a session of the plugin's tool, of the account Staffed, in the open conversation of a
	// thread of that account, and returns the session's id. nil: the host starts no tools.
	Tool func(tb testing.TB, thread string) string
	// Bot has begin begin a conversation on a thread of the account Staffed, with Staffed as its bot, and
	// returns the conversation's id. nil: the host has no bots.
	Bot func(tb testing.TB, thread string, begin func()) string
	// Wire is the plugin with which the host has a session. nil: the suite reaches the host through
	// the SDK, and leaves out the cases that need the wire protocol.
	Wire *Plugin
}

// Run runs the suite against hosts that start makes: one for each of deliveries, which are the ways
// of delivery that the host knows, and further ones for cases that end a session. start makes p the
// host's plugin, or plays p itself, and returns once the host takes events. The host must end with
// the test.
func Run(t *testing.T, start func(t *testing.T, p *Plugin) *Host, deliveries ...pluginv1.Delivery) {
	for _, delivery := range deliveries {
		name := "connected"
		if delivery == pluginv1.Delivery_DELIVERY_STORE_AND_FORWARD {
			name = "store-and-forward"
		}
		t.Run(name, func(t *testing.T) {
			h := start(t, newPlugin(t, delivery))
			t.Run("events", func(t *testing.T) { events(t, h, delivery) })
			if h.Tool != nil {
				t.Run("tools", func(t *testing.T) { tools(t, h) })
			}
			if h.Bot != nil {
				t.Run("bots", func(t *testing.T) { bots(t, h) })
			}
			if h.Gateway != nil {
				t.Run("store", func(t *testing.T) { store(t, h) })
				t.Run("blobs", func(t *testing.T) { blobs(t, h) })
				t.Run("grants", func(t *testing.T) { grants(t, h) })
			}
			if h.Wire == nil {
				return
			}
			if h.Reply != nil && delivery == pluginv1.Delivery_DELIVERY_STORE_AND_FORWARD {
				t.Run("commands", func(t *testing.T) { commands(t, h) })
			}
			t.Run("subscriptions", func(t *testing.T) { subscriptions(t, h) })
			t.Run("sessions", func(t *testing.T) { sessions(t, delivery, start) })
		})
	}
}
