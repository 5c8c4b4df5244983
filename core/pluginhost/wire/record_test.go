package wire_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
)

// Customers and bots learn neither the provider's ids nor on which node and process a session is.
func TestFromRecordTakesOut(t *testing.T) {
	pin := conversation.Pin{Node: "node-7", Instance: "tool-3"}
	for _, h := range []conversation.Head{
		&conversation.SessionRequested{Kind: conversation.SessionTool, Plugin: "counter", Pin: pin, Circle: conversation.AudienceCustomer},
		&conversation.SessionChanged{State: conversation.SessionStateActive, Pin: pin, Circle: conversation.AudienceCustomer},
	} {
		head, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		got := string(wire.FromRecord(&plugin.Record{Type: h.Type(), Head: head}).GetHead())
		if !strings.Contains(string(head), "node-7") || strings.Contains(got, "pin") || strings.Contains(got, "node-7") || strings.Contains(got, "tool-3") || !strings.Contains(got, `"audience":"customer"`) {
			t.Errorf("%s: got %s of %s", h.Type(), got, head)
		}
	}
	body := json.RawMessage(`{"provider_ids":["wamid.1"],"parts":[{"kind":"text","text":"hi"}]}`)
	if got := string(wire.FromRecord(&plugin.Record{Type: conversation.TypeMessage, Body: body}).GetBody()); strings.Contains(got, "wamid") || !strings.Contains(got, `"hi"`) {
		t.Errorf("message: got %s", got)
	}
	if got := wire.FromRecord(&plugin.Record{Type: conversation.TypeSessionRequested, Head: json.RawMessage(`{"pin":`)}); len(got.GetHead()) != 0 {
		t.Errorf("a head that cannot be read: got %s", got.GetHead())
	}
}
