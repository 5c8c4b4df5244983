package readers_test

import (
	"slices"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
)

// What was reported of a message is found around the message that names it, whatever the order of the
// reports, and with the ids in the order of the parts.
func TestReferences(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		ctx, conv := t.Context(), newConversation()
		newID := conversation.NewID[conversation.MessageID]
		hers, mine, settled, lost, far := newID(), newID(), newID(), newID(), newID()
		agent := conversation.Author{Kind: conversation.Agent, Agent: conversation.AgentID{1}}
		h.put(conv, &conversation.MessagePosted{ID: far, Author: agent}, `{}`)
		for range 4096 {
			h.put(conv, &conversation.PageVisited{}, `{"url":"/"}`)
		}
		h.put(conv, &conversation.MessagePosted{ID: hers, Author: conversation.Author{Kind: conversation.Customer}}, `{"parts":[],"provider_ids":["h1","h2"]}`)
		h.put(conv, &conversation.MessagePosted{ID: mine, Author: agent, Endpoint: 1}, `{"parts":[]}`)
		h.put(conv, &conversation.MessagePosted{ID: settled, Author: agent}, `{"parts":[]}`)
		h.put(conv, &conversation.MessagePosted{ID: lost, Author: agent}, "")
		h.put(conv, &conversation.MessageStatus{Message: mine, Status: conversation.StatusDelivered}, `{"text":"ok","provider_ids":["m2"]}`)
		h.put(conv, &conversation.MessageStatus{Message: settled, Status: conversation.StatusUnknown}, "")
		h.put(conv, &conversation.MessageStatus{Message: lost, Status: conversation.StatusFailed}, "")
		h.put(conv, &conversation.MessageStatus{Message: newID(), Status: conversation.StatusRead}, `{"provider_ids":["x"]}`)
		at := uint64(4096 + 9)
		h.put(conv, &conversation.MessagePosted{ID: newID(), Author: agent, ReplyTo: mine}, `{"parts":[]}`) // names them
		h.put(conv, &conversation.MessageNamed{Message: mine}, `{"provider_ids":["m1","m2"]}`)
		h.put(conv, &conversation.MessageStatus{Message: mine, Status: conversation.StatusRead}, `{"provider_ids":["m3"]}`)
		h.put(conv, &conversation.MessageSettled{Message: settled, Outcome: conversation.OutcomeResend}, "")
		got, err := h.r.References(ctx, conv, at, hers, mine, settled, lost, far, newID(), conversation.MessageID{})
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != 4 {
			t.Errorf("%d messages found, want 4: one is too far back, and one is not there", len(got))
		}
		for name, want := range map[string]struct {
			id       conversation.MessageID
			status   conversation.Status
			endpoint int
			ids      []string
		}{
			"customer's": {hers, "", 0, []string{"h1", "h2"}},
			"agent's":    {mine, conversation.StatusRead, 1, []string{"m1", "m2", "m3"}},
			"sent again": {settled, conversation.StatusAccepted, 0, nil},
			"unreadable": {lost, conversation.StatusFailed, 0, nil},
		} {
			if ref := got[want.id]; ref.Status != want.status || ref.Endpoint != want.endpoint || !slices.Equal(ref.ProviderIDs, want.ids) {
				t.Errorf("%s: got %+v, want %+v", name, ref, want)
			}
		}
		if got, err := h.r.References(ctx, newConversation(), 5, mine); err != nil || len(got) != 0 {
			t.Errorf("in another conversation: %v, %v", got, err)
		}
	})
}
