package contract

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// minorOne lists the fields that minor 1 added to messages of minor 0. What only these lead to, such
// as the messages of ToolService, is of minor 1, too. contract_test compares the list with
// testdata/v1.0.txt.
var minorOne = map[protoreflect.FullName]struct{}{
	"parley.plugin.v1.Account.standby":               {},
	"parley.plugin.v1.Capabilities.part_limits":      {},
	"parley.plugin.v1.Capabilities.quotes":           {},
	"parley.plugin.v1.Capabilities.captions":         {},
	"parley.plugin.v1.Command.mark_read":             {},
	"parley.plugin.v1.Command.typing":                {},
	"parley.plugin.v1.Command.call":                  {},
	"parley.plugin.v1.ConfigureResponse.accounts":    {},
	"parley.plugin.v1.CustomerAction.tool":           {},
	"parley.plugin.v1.CustomerAction.call":           {},
	"parley.plugin.v1.CustomerAction.satisfaction":   {},
	"parley.plugin.v1.CustomerAction.form":           {},
	"parley.plugin.v1.DescribeResponse.tool":         {},
	"parley.plugin.v1.DescribeResponse.bot":          {},
	"parley.plugin.v1.DescribeResponse.calls":        {},
	"parley.plugin.v1.DescribeResponse.silence_ms":   {},
	"parley.plugin.v1.DescribeResponse.drain_ms":     {},
	"parley.plugin.v1.Edit.provider_id":              {},
	"parley.plugin.v1.Edit.provider_ids":             {},
	"parley.plugin.v1.Event.reply_window":            {},
	"parley.plugin.v1.Event.call":                    {},
	"parley.plugin.v1.Event.tool":                    {},
	"parley.plugin.v1.Event.bot":                     {},
	"parley.plugin.v1.File.caption":                  {},
	"parley.plugin.v1.HostFrame.tool_notices":        {},
	"parley.plugin.v1.HostFrame.bot_notices":         {},
	"parley.plugin.v1.Message.reply_to_provider_id":  {},
	"parley.plugin.v1.Ping.serve_ms":                 {},
	"parley.plugin.v1.PluginFrame.template_lists":    {},
	"parley.plugin.v1.Reaction.provider_id":          {},
	"parley.plugin.v1.Reaction.provider_ids":         {},
	"parley.plugin.v1.Receipt.delivered_provider_id": {},
	"parley.plugin.v1.Receipt.read_provider_id":      {},
	"parley.plugin.v1.Revoke.provider_id":            {},
	"parley.plugin.v1.Revoke.provider_ids":           {},
	"parley.plugin.v1.Subscribe.conversation":        {},
	"parley.plugin.v1.Template.placed":               {},
	"parley.plugin.v1.Template.rendered":             {},
}

// instead names the field that says the same in minor 0: without both the message says nothing.
var instead = map[protoreflect.FullName]protoreflect.Name{
	"parley.plugin.v1.Edit.provider_id":              "message",
	"parley.plugin.v1.Reaction.provider_id":          "message",
	"parley.plugin.v1.Revoke.provider_id":            "message",
	"parley.plugin.v1.Receipt.delivered_provider_id": "conversation",
	"parley.plugin.v1.Receipt.read_provider_id":      "conversation",
	"parley.plugin.v1.Subscribe.conversation":        "thread",
}

// Strip takes everything out of m that is newer than minor. complete reports that what is left says
// what m was for: it is false when the kind of an event, a command, a frame or an action is gone, or
// the only reference to a message. Delivery and the names of abilities are left to the caller.
func Strip(m proto.Message, minor uint32) (complete bool) {
	return minor >= 1 || strip(m.ProtoReflect())
}

func strip(m protoreflect.Message) (complete bool) {
	complete = true
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if _, newer := minorOne[fd.FullName()]; newer {
			other := instead[fd.FullName()]
			if fd.ContainingOneof() != nil || other != "" && !m.Has(m.Descriptor().Fields().ByName(other)) {
				complete = false
			}
			m.Clear(fd)
			return true
		}
		switch {
		case fd.Message() == nil || fd.IsMap():
		case fd.IsList():
			for i := range v.List().Len() {
				complete = strip(v.List().Get(i).Message()) && complete
			}
		default:
			complete = strip(v.Message()) && complete
		}
		return true
	})
	return complete
}
