package hosttest

import (
	"testing"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// PluginID is the id of the suite's plugin.
const PluginID = "suite"

// Host is what the suite drives. Ids are as Configure has them.
type Host struct {
	// Account is an enabled account of the plugin. Nobody answers its customers.
	Account string
	// Staffed is another one; an agent takes its conversations (Reply, End).
	Staffed string
	// Disabled is an account of the plugin that is off.
	Disabled string

	// Emit hands an event of the plugin's over and returns the acknowledgement.
	// Plugin.Emit, where the host speaks the wire.
	Emit func(testing.TB, *pluginv1.Event) *pluginv1.EventAck
	// Gateway is the GatewayService that the plugin has.
	Gateway pluginv1.GatewayServiceClient
	// Redeem uses a grant and reports whether it opened anything.
	Redeem func(grant string) bool
	// End lets the agent of Staffed end the open conversation of a thread.
	End func(tb testing.TB, thread string)
	// Reply lets the agent of Staffed answer in the open conversation of a thread,
	// which gives the plugin a send command where it is no connected channel.
	// nil: the host sends no commands.
	Reply func(tb testing.TB, thread, text string)
	// Wire is the plugin that the host has a session with; nil: the host is met
	// through the SDK, which rules out what only the wire can say.
	Wire *Plugin
}

// Run runs the suite against hosts that start makes: one for each way of
// delivery that the suite needs. start has the host take p as its plugin, or
// plays it, and returns once events are taken; everything ends with its test.
// deliveries are the ways that the host knows.
func Run(t *testing.T, start func(t *testing.T, p *Plugin) *Host, deliveries ...pluginv1.Delivery) {
	for _, delivery := range deliveries {
		name := "connected"
		if delivery == pluginv1.Delivery_DELIVERY_STORE_AND_FORWARD {
			name = "store-and-forward"
		}
		t.Run(name, func(t *testing.T) {
			h := start(t, newPlugin(t, delivery))
			t.Run("events", func(t *testing.T) { events(t, h, delivery) })
			t.Run("store", func(t *testing.T) { store(t, h) })
			t.Run("blobs", func(t *testing.T) { blobs(t, h) })
			t.Run("grants", func(t *testing.T) { grants(t, h) })
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
