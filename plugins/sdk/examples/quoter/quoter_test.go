package main

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/examples/quoter/sandbox"
	"github.com/parley-gateway/parley/plugins/sdk/kit"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest"
)

// TestConformance runs the kit against the built program.
func TestConformance(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "quoter")
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
		t.Errorf("the quoter breaks rules:\n%s", &table)
	}
	t.Logf("%s", &table)
}

const (
	number   = "00000000-0000-7000-c000-000000000001"
	customer = "+15005550001"
)

func start(t *testing.T) (*sdktest.Host, *sandbox.Server) {
	t.Helper()
	provider, err := sandbox.New(filepath.Join(t.TempDir(), "state.json"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(provider)
	t.Cleanup(server.Close)
	h := sdktest.Start(t, newQuoter(), sdktest.Options{Config: sdk.Config{Accounts: []sdk.Account{
		{ID: number, Settings: json.RawMessage(`{"base_url":"` + server.URL + `","one_node":true}`), Enabled: true},
	}}})
	return h, provider
}

func send(h *sdktest.Host, quote string, parts ...sdk.Part) (sdk.Result, sdk.CommandID) {
	id := sdk.CommandID(uuid.NewString())
	return h.Send(sdk.SendCommand{
		CommandInfo: sdk.CommandInfo{ID: id, Account: number, Thread: customer}, To: customer, Parts: parts, ReplyToProviderID: quote,
	}), id
}

// inbound lets the customer do something, and delivers the webhook.
func inbound(t *testing.T, h *sdktest.Host, s *sandbox.Server, ev sandbox.Event) (sandbox.Event, []sdk.Event) {
	t.Helper()
	ev.From = customer
	ev, err := s.Customer(t.Context(), ev)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	r := h.Hook(sdk.HookRequest{Account: number, Body: body})
	if r.Status != 200 {
		t.Fatalf("webhook: %+v", r)
	}
	return ev, r.Events
}

func TestReferencesBothWays(t *testing.T) {
	h, s := start(t)
	first, events := inbound(t, h, s, sandbox.Event{Kind: "message", Text: "Hello"})
	if len(events) != 2 || !cmp.Equal(events[1].Body, sdk.EventBody(sdk.ReplyWindow{Expires: time.Unix(first.Time, 0).UTC().Add(window)})) {
		t.Errorf("events of a message: %+v, want a reply window behind it", events)
	}
	sent, _ := send(h, first.Message, sdk.Text{Text: "Good"}, sdk.Text{Text: "morning"})
	if sent.Outcome != sdk.OutcomeSent || len(sent.ProviderIDs) != 2 {
		t.Fatalf("two texts: %+v, want two ids", sent)
	}
	one, two := sent.ProviderIDs[0], sent.ProviderIDs[1]
	for _, part := range []sdk.Part{
		sdk.Reaction{ProviderID: first.Message, Emoji: "👍"}, sdk.Edit{ProviderID: one, Text: "Fine"}, sdk.Revoke{ProviderID: one, ProviderIDs: []string{one, two}},
	} {
		if r, _ := send(h, "", part); r.Outcome != sdk.OutcomeSent {
			t.Errorf("%T: %+v", part, r)
		}
	}
	if r, _ := send(h, "", sdk.Edit{Text: "of nothing"}); r.Outcome != sdk.OutcomeFailed || r.Retryable {
		t.Errorf("edit of nothing: %+v", r)
	}
	state := s.State()
	if m := state.Messages[0]; m.Reactions["business"] != "👍" {
		t.Errorf("the customer's message: %+v", m)
	}
	for _, m := range state.Messages[1:] {
		if !m.Revoked || m.Quote != first.Message {
			t.Errorf("our message: %+v, want it revoked, with its quote", m)
		}
	}
	for kind, want := range map[string]sdk.Part{
		"reaction": sdk.Reaction{ProviderID: one, Emoji: "❤️"}, "edit": sdk.Edit{ProviderID: one, Text: "x"}, "revoke": sdk.Revoke{ProviderID: one},
	} {
		_, events := inbound(t, h, s, sandbox.Event{Kind: kind, Message: one, Emoji: "❤️", Text: "x"})
		if m, ok := events[0].Body.(sdk.Message); !ok || !cmp.Equal(m.Parts, []sdk.Part{want}) || m.ProviderIDs != nil {
			t.Errorf("%s: %+v", kind, events)
		}
	}
	_, events = inbound(t, h, s, sandbox.Event{Kind: "read", Message: two})
	if !cmp.Equal(events[0].Body, sdk.EventBody(sdk.Receipt{DeliveredProviderID: two, ReadProviderID: two})) {
		t.Errorf("read: %+v", events)
	}
}

func TestReadTypingTemplates(t *testing.T) {
	h, s := start(t)
	first, _ := inbound(t, h, s, sandbox.Event{Kind: "message", Text: "Hello"})
	info := sdk.CommandInfo{Account: number, Thread: customer}
	if r := h.MarkRead(sdk.MarkReadCommand{CommandInfo: info, ProviderID: first.Message}); r.Outcome != sdk.OutcomeSent {
		t.Errorf("mark: %+v", r)
	}
	for _, on := range []bool{true, false} {
		if r := h.Typing(sdk.TypingCommand{CommandInfo: info, On: on}); r.Outcome != sdk.OutcomeSent {
			t.Errorf("typing: %+v", r)
		}
	}
	list := h.WaitTemplates(number, func(l []sdk.TemplateInfo) bool { return len(l) == 2 })
	template := sdk.Template{
		Name: list[0].Name, Language: "en", Placed: []sdk.TemplateValue{{Place: "body", Value: sdk.Text{Text: "Monday"}}, {Place: "body", Value: sdk.Text{Text: "9:00"}}},
		Rendered: "Your appointment is on Monday at 9:00.",
	}
	if r, _ := send(h, "", template); r.Outcome != sdk.OutcomeSent {
		t.Errorf("template: %+v", r)
	}
	state := s.State()
	if !state.Messages[0].Read || !cmp.Equal(state.Typing, []bool{true, false}) || state.Messages[1].Template != "appointment" || state.Messages[1].Text != template.Rendered {
		t.Errorf("the provider has %+v", state)
	}
	if diff := cmp.Diff([]sdk.AccountTraits{{Account: number, Placement: sdk.OneNode}}, h.Traits()); diff != "" {
		t.Errorf("traits: (-want +got)\n%s", diff)
	}
}

// TestFailures: what the provider's failures become, and how an unknown outcome is cleared up.
func TestFailures(t *testing.T) {
	h, s := start(t)
	for status, want := range map[int]sdk.Result{
		503: sdk.Retry(sdk.KindTemporary, "503", "", 0), 429: sdk.Retry(sdk.KindThrottled, "429", "", time.Second),
		400: sdk.Failed(sdk.KindContent, "400", ""), 0: sdk.Unknown("no_answer", ""),
	} {
		s.Fail(sandbox.Failure{Next: 1, Path: "/messages", Status: status})
		r, id := send(h, "", sdk.Text{Text: "x"})
		if !cmp.Equal(r, want) {
			t.Errorf("%d: %+v, want %+v", status, r, want)
		}
		if status == 0 {
			found(t, s, id, 0)
		}
	}
	s.Fail(sandbox.Failure{Next: 1, Path: "/messages", Taken: true})
	r, id := send(h, "", sdk.Text{Text: "taken"})
	if r.Outcome != sdk.OutcomeUnknown {
		t.Errorf("taken without an answer: %+v", r)
	}
	found(t, s, id, 1)
}

// found looks a message up in a process that knows nothing of it, as after a crash.
func found(t *testing.T, s *sandbox.Server, id sdk.CommandID, want int) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	q := newQuoter()
	settings := json.RawMessage(`{"base_url":"` + server.URL + `"}`)
	if err := q.Configure(t.Context(), &sdk.Config{Accounts: []sdk.Account{{ID: number, Settings: settings}}}); err != nil {
		t.Fatal(err)
	}
	r := q.Lookup(t.Context(), &sdk.LookupCommand{CommandInfo: sdk.CommandInfo{ID: id, Account: number}})
	if len(r.ProviderIDs) != want || (want == 0) != r.Retryable {
		t.Errorf("lookup: %+v, want %d ids", r, want)
	}
}

// TestStateOutlivesTheProvider: what the provider had is there when it starts again.
func TestStateOutlivesTheProvider(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	s, err := sandbox.New(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Customer(t.Context(), sandbox.Event{Kind: "message", From: customer, Text: "Hello"}); err != nil {
		t.Fatal(err)
	}
	again, err := sandbox.New(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.State(), again.State()); diff != "" {
		t.Errorf("(-before +after)\n%s", diff)
	}
}
