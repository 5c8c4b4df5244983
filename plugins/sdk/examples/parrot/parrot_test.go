package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/kit"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest"
)

// TestConformance runs the kit against the built program.
func TestConformance(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "parrot")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	fixtures, err := kit.LoadFixtures("testdata/kit.json")
	if err != nil {
		t.Fatal(err)
	}
	report, err := kit.Run(t.Context(), kit.Options{Exec: bin, Fixtures: fixtures})
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := report.WriteText(&table); err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Errorf("the parrot breaks rules:\n%s", &table)
	}
	t.Logf("%s", &table)
}

const (
	account = "00000000-0000-7000-c000-000000000001"
	talk    = "00000000-0000-7000-9000-000000000001"
)

func record(seq uint64, by, text string) sdk.Record {
	head, _ := json.Marshal(map[string]any{"id": uuid.NewString(), "author": map[string]string{"kind": by}, "kinds": []string{"text"}})
	body, _ := json.Marshal(map[string]any{"parts": []any{map[string]string{"kind": "text", "text": text}}})
	return sdk.Record{Seq: seq, Type: "message/1", Head: head, Body: body}
}

// TestAnswers lets a fresh process read each conversation twice, as after a crash.
func TestAnswers(t *testing.T) {
	other := func(seq uint64) sdk.Record { return sdk.Record{Seq: seq, Type: "participant.joined/1"} }
	for name, c := range map[string]struct {
		joined  uint64
		records []sdk.Record
		want    []string
	}{
		"from the start":       {2, []sdk.Record{record(1, "customer", "hi"), other(2), record(3, "customer", "you")}, []string{"You said: hi", "You said: you"}},
		"its own are no news":  {1, []sdk.Record{other(1), record(2, "customer", "hi"), record(3, "bot", "You said: hi")}, []string{"You said: hi"}},
		"after an agent":       {5, []sdk.Record{record(1, "customer", "hi"), record(2, "agent", "hello"), record(4, "customer", "bot please"), other(5)}, []string{"You said: bot please"}},
		"word for people":      {1, []sdk.Record{other(1), record(2, "customer", " PERSON ")}, []string{"hand over"}},
		"goodbye":              {1, []sdk.Record{other(1), record(2, "customer", "bye")}, []string{"Bye!", "end"}},
		"nothing after people": {3, []sdk.Record{record(1, "customer", "person"), record(2, "customer", "hello?"), other(3)}, []string{"hand over"}},
	} {
		t.Run(name, func(t *testing.T) {
			var first []string
			for range 2 {
				p := new(parrot)
				if err := p.Configure(t.Context(), &sdk.Config{Accounts: []sdk.Account{{ID: account, Settings: json.RawMessage(`{"hand_over":"person"}`)}}}); err != nil {
					t.Fatal(err)
				}
				var did, keys []string
				for _, r := range c.records {
					r.Conversation = talk
					turn := sdk.NewBotTurn(account, r, c.joined, func(_ context.Context, ev sdk.Event) (sdk.Ack, error) {
						keys = append(keys, ev.DedupeKey)
						switch b := ev.Body.(type) {
						case sdk.BotPost:
							did = append(did, sdk.PlainText(b.Parts))
						case sdk.BotHandOver:
							did = append(did, "hand over")
						case sdk.BotEnd:
							did = append(did, "end")
						}
						return sdk.Ack{}, nil
					})
					if err := p.Answer(t.Context(), turn); err != nil {
						t.Fatal(err)
					}
				}
				if diff := cmp.Diff(c.want, did); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
				if first != nil && !cmp.Equal(first, keys) {
					t.Errorf("keys of a second reading: %q, of the first: %q", keys, first)
				}
				first = keys
				if len(p.early) > 0 {
					t.Errorf("it keeps %v", p.early)
				}
			}
		})
	}
}

func TestInAGateway(t *testing.T) {
	h := sdktest.Start(t, new(parrot), sdktest.Options{Config: sdk.Config{Accounts: []sdk.Account{{ID: account, Enabled: true}}}})
	h.NotifyBot(sdk.BotNotice{Account: account, Conversation: talk, Seq: 2})
	h.PublishBot(account, talk, true, record(1, "customer", "hi"), sdk.Record{Seq: 2, Type: "participant.joined/1"}, record(3, "customer", "agent"))
	h.WaitEvent(func(ev sdk.Event) bool {
		b, ok := ev.Body.(sdk.BotPost)
		return ok && sdk.PlainText(b.Parts) == "You said: hi" && b.Conversation == talk
	})
	h.WaitEvent(func(ev sdk.Event) bool { _, ok := ev.Body.(sdk.BotHandOver); return ok })
}
