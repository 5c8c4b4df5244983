package sdk_test

import (
	"context"
	"errors"
	"testing"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

// TestNotUTF8 (PR19): text from a plugin that is not UTF-8 never ends the session: a bad thread or
// dedupe key is refused to the caller, in other strings the bad bytes are replaced, and a webhook
// gets an answer that names the problem.
func TestNotUTF8(t *testing.T) {
	text := sdk.Message{Parts: []sdk.Part{sdk.Text{Text: "caf\xe9"}}}
	r := start(t, sdk.Abilities{Hooker: sdk.HookFunc(func(_ context.Context, req *sdk.HookRequest) sdk.HookResponse {
		return sdk.HookResponse{Reason: "\xff", Events: []sdk.Event{{Thread: "t", DedupeKey: string(req.Body), Body: text}}}
	})})
	ses := r.open(t, 0, wirehost.Policy{})
	for _, ev := range []sdk.Event{{Thread: "\xff", Body: text}, {Thread: "t", DedupeKey: "\xff", Body: text}} {
		if _, err := r.host.Emit(t.Context(), ev); !errors.Is(err, sdk.ErrNotUTF8) {
			t.Errorf("emit in thread %q under %q: got %v, want ErrNotUTF8", ev.Thread, ev.DedupeKey, err)
		}
		if err := r.host.EmitAsync(ev, func(sdk.Ack, error) { t.Error("an event that was not taken was answered") }); !errors.Is(err, sdk.ErrNotUTF8) {
			t.Errorf("emit async: got %v, want ErrNotUTF8", err)
		}
	}
	r.host.Signal(sdk.Signal{Account: "a", Thread: "\xff", Kind: 1})
	r.host.Status(sdk.AccountStatus{Account: "a", Text: "\xff"})
	if _, err := r.host.Emit(t.Context(), sdk.Event{Thread: "t", DedupeKey: "k", Body: text}); err != nil {
		t.Errorf("emit a text with a bad byte: %v, want it durable", err)
	}
	got := wait(t, ses, "the text", func(it wirehost.Item) bool { return it.Event.GetDedupeKey() == "k" })
	if text := got.Event.GetMessage().GetParts()[0].GetText().GetText(); text != "caf"+string(rune(contract.Substitute)) {
		t.Errorf("text: got %q, want its bad byte replaced", text)
	}
	ended := make(chan string, 1)
	r.host.Subscribe(t.Context(), "a", "\xff", sdk.Cursor{}, func(b sdk.RecordBatch) { ended <- b.End })
	if code := <-ended; code != "invalid" {
		t.Errorf("subscription to such a thread ended %q, want invalid", code)
	}
	for body, want := range map[string]uint32{"fine": 200, "\xff": 400} {
		if err := ses.Hook(&pluginv1.Hook{Id: uint64(want), Account: "a", Method: "POST", Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
		it := wait(t, ses, "the hook's answer", func(it wirehost.Item) bool { return it.HookResult.GetId() == uint64(want) })
		if it.HookResult.GetStatus() != want {
			t.Errorf("hook %q: got %d %q, want %d", body, it.HookResult.GetStatus(), it.HookResult.GetReason(), want)
		}
	}
	pong(t, ses, 1)
}
