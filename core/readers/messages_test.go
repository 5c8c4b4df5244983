package readers_test

import (
	"errors"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/readers"
)

// put adds an event with a body to the log of a conversation.
func (h *house) put(conv conversation.ConversationID, head conversation.Head, body string) {
	h.t.Helper()
	b, err := conversation.Encode(conversation.Event{Head: head})
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	stream := eventlog.StreamID(conv)
	rec := eventlog.Record{Stream: stream, Seq: uint64(len(h.log[stream]) + 1)}
	rec.Type, rec.Head = string(head.Type()), b
	if body != "" {
		rec.Body = []byte(body)
	}
	h.log[stream] = append(h.log[stream], rec)
}

func TestOneMessage(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		ctx, conv := t.Context(), newConversation()
		id := conversation.NewID[conversation.MessageID]()
		h.put(conv, &conversation.PageVisited{}, `{"url":"/"}`)
		h.put(conv, &conversation.MessagePosted{ID: id}, `{"parts":[{"kind":"text","text":"hello"}],"name":"Cora"}`)
		h.put(conv, &conversation.MessagePosted{ID: id}, "") // without a body, as when its key is lost
		head, body, err := h.r.Message(ctx, conv, 2)
		if err != nil {
			t.Fatal(err)
		}
		if head.ID != id || body.Name != "Cora" || len(body.Parts) != 1 || body.Parts[0].Text != "hello" {
			t.Errorf("message 2: got %+v, %+v", head, body)
		}
		if _, _, err := h.r.Message(ctx, conv, 1); err == nil {
			t.Error("a page that was visited was read as a message")
		}
		if _, _, err := h.r.Message(ctx, conv, 3); !errors.Is(err, readers.ErrUnreadable) {
			t.Errorf("message 3: got %v, want ErrUnreadable", err)
		}
		if _, _, err := h.r.Message(ctx, conv, 4); !errors.Is(err, readers.ErrNotFound) {
			t.Errorf("message 4: got %v, want ErrNotFound", err)
		}
		if got, err := h.r.Head(ctx, conv, 3); err != nil || got.Type() != conversation.TypeMessage {
			t.Errorf("head 3: got %v, %v, want a message's: heads are not sealed", got, err)
		}
		if _, err := h.r.Head(ctx, conv, 4); !errors.Is(err, readers.ErrNotFound) {
			t.Errorf("head 4: got %v, want ErrNotFound", err)
		}
	})
}

func TestAddress(t *testing.T) {
	inHouse(t, func(t *testing.T, h *house) {
		ctx, conv := t.Context(), newConversation()
		h.put(conv, &conversation.Started{}, `{"address":"+491","thread":"t1"}`)
		h.put(conv, &conversation.PageVisited{}, `{"url":"/"}`)
		h.put(conv, &conversation.EndpointAdded{}, `{"address":"+492","thread":"t2"}`)
		h.put(conv, &conversation.EndpointAdded{}, "") // without a body, as when its key is lost
		for range 2 {                                  // the first time from the log, the second time from memory
			for i, want := range []conversation.EndpointBody{{Address: "+491", Thread: "t1"}, {Address: "+492", Thread: "t2"}} {
				if got, err := h.r.Address(ctx, conv, i); err != nil || got != want {
					t.Errorf("endpoint %d: got %+v, %v, want %+v", i, got, err, want)
				}
			}
		}
		if n := h.logReads(); n != 3 {
			t.Errorf("the log was read %d times, want 3: once for the first address, twice for the second", n)
		}
		if _, err := h.r.Address(ctx, conv, 2); !errors.Is(err, readers.ErrUnreadable) {
			t.Errorf("endpoint 2: got %v, want ErrUnreadable", err)
		}
		if _, err := h.r.Address(ctx, conv, 3); !errors.Is(err, readers.ErrNotFound) {
			t.Errorf("endpoint 3: got %v, want ErrNotFound", err)
		}
	})
}
