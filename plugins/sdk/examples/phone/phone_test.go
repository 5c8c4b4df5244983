package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/kit"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest"
)

// TestConformance runs the kit against the built program.
func TestConformance(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "phone")
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
		t.Errorf("the phone breaks rules:\n%s", &table)
	}
	t.Logf("%s", &table)
}

const (
	account = "00000000-0000-7000-c000-000000000001"
	talk    = "00000000-0000-7000-9000-000000000001"
	caller  = "+15005550009"
)

func start(t *testing.T, conf string) *sdktest.Host {
	t.Helper()
	return sdktest.Start(t, newPhone(), sdktest.Options{Config: sdk.Config{Accounts: []sdk.Account{
		{ID: account, Settings: json.RawMessage(conf), Enabled: true},
	}}})
}

// post does something at the telephone and returns the answer's fields.
func post(t *testing.T, h *sdktest.Host, path, body string, want int) map[string]string {
	t.Helper()
	resp, err := h.HTTP(nil).Post("http://phone"+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var out map[string]string
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil || resp.StatusCode != want {
		t.Fatalf("%s: %s %v (%v), want %d", path, resp.Status, out, err, want)
	}
	return out
}

func newLeg() sdk.LegID { return sdk.LegID(sdktest.NewSessionID()) }

// legs returns the states of a leg so far, in order.
func legs(h *sdktest.Host, id sdk.LegID) (states []sdk.LegState) {
	for _, ev := range h.Events() {
		if l, ok := ev.Body.(sdk.CallLeg); ok && l.Leg.ID == id {
			states = append(states, l.Leg.State)
		}
	}
	return states
}

func ended(session sdk.SessionID, cause string) func(sdk.Event) bool {
	return func(ev sdk.Event) bool {
		e, ok := ev.Body.(sdk.CallEnded)
		return ok && e.Session == session && e.Cause == cause
	}
}

func TestIncomingCall(t *testing.T) {
	h := start(t, `{}`)
	in := post(t, h, "/accounts/"+account+"/calls", `{"from":"`+caller+`","called":"+15005550000","name":"Cara"}`, 201)
	session, customer, agent := sdk.SessionID(in["session"]), sdk.LegID(in["leg"]), newLeg()
	do := func(action sdk.CallAction) {
		t.Helper()
		r := h.Call(sdk.CallCommand{CommandInfo: sdk.CommandInfo{ID: sdk.CommandID(uuid.NewString()), Account: account, Thread: caller}, Session: session, Do: action})
		if r.Outcome != sdk.OutcomeSent {
			t.Fatalf("%T: %+v", action, r)
		}
	}
	do(sdk.CallRing{Leg: customer})
	do(sdk.CallInvite{Leg: agent, Party: sdk.Party{Kind: "agent", ID: uuid.NewString()}})
	do(sdk.CallAnswer{Leg: customer})
	h.WaitEvent(func(ev sdk.Event) bool { s, ok := ev.Body.(sdk.CallState); return ok && s.State == sdk.SessionActive })
	do(sdk.CallHearing{Legs: []sdk.LegHears{{Leg: customer, Hears: []sdk.LegID{agent}}, {Leg: agent, Hears: []sdk.LegID{customer}}}})
	do(sdk.CallHold{Leg: customer, On: true})
	do(sdk.CallHold{Leg: customer, On: true})
	do(sdk.CallHold{Leg: customer})
	do(sdk.CallPlay{Leg: customer, Prompt: "menu", Digits: 1})
	post(t, h, "/calls/"+string(session), `{"do":"digits","leg":"`+string(customer)+`","digits":"4"}`, 200)
	h.WaitEvent(func(ev sdk.Event) bool {
		p, ok := ev.Body.(sdk.CallPlayed)
		return ok && p.Digits == "4" && !p.Cancelled
	})
	do(sdk.CallHangUp{})
	h.WaitEvent(ended(session, "hangup"))
	if diff := cmp.Diff([]sdk.LegState{sdk.LegUp, sdk.LegHeld, sdk.LegUp, sdk.LegEnded}, legs(h, customer)); diff != "" {
		t.Errorf("the customer's leg: (-want +got)\n%s", diff)
	}
	if r := h.Call(sdk.CallCommand{CommandInfo: sdk.CommandInfo{ID: sdk.CommandID(uuid.NewString()), Account: account}, Session: session, Do: sdk.CallHangUp{}}); r.Code != "no_such_call" {
		t.Errorf("hang up after the end: %+v", r)
	}
}

func TestDialledCalls(t *testing.T) {
	for to, cause := range map[string]string{"+15005550001": "busy", "+15005550002": "no_answer"} {
		t.Run(cause, func(t *testing.T) {
			h := start(t, `{}`)
			session := sdktest.NewSessionID()
			dial := sdk.CallCommand{
				CommandInfo: sdk.CommandInfo{ID: sdk.CommandID(uuid.NewString()), Account: account, Thread: sdk.ThreadID(to), Conversation: talk},
				Session:     session, Do: sdk.CallDial{Leg: newLeg(), Party: sdk.Party{Kind: "customer"}, To: to, Ring: 50 * time.Millisecond},
			}
			if r := h.Call(dial); r.Outcome != sdk.OutcomeSent || !h.Begun(dial.ID) {
				t.Errorf("dial: %+v, begun %v", r, h.Begun(dial.ID))
			}
			h.WaitEvent(ended(session, cause))
		})
	}
}

func TestDialAndAnswerByHand(t *testing.T) {
	h := start(t, `{"manual":true}`)
	session, l := sdktest.NewSessionID(), newLeg()
	info := sdk.CommandInfo{ID: sdk.CommandID(uuid.NewString()), Account: account, Thread: caller, Conversation: talk}
	if r := h.Call(sdk.CallCommand{CommandInfo: info, Session: session, Do: sdk.CallDial{Leg: l, Party: sdk.Party{Kind: "customer"}, To: caller}}); r.Outcome != sdk.OutcomeSent {
		t.Fatalf("dial: %+v", r)
	}
	post(t, h, "/calls/"+string(session), `{"do":"sing","leg":"`+string(l)+`"}`, 400)
	post(t, h, "/calls/"+string(session), `{"do":"answer","leg":"`+string(newLeg())+`"}`, 404)
	post(t, h, "/calls/"+string(session), `{"do":"answer","leg":"`+string(l)+`"}`, 200)
	post(t, h, "/calls/"+string(session), `{"do":"hang_up","leg":"`+string(l)+`"}`, 200)
	h.WaitEvent(ended(session, "hangup"))
	if diff := cmp.Diff([]sdk.LegState{sdk.LegRinging, sdk.LegUp, sdk.LegEnded}, legs(h, l)); diff != "" {
		t.Errorf("the leg: (-want +got)\n%s", diff)
	}
	h.Drain(time.Second)
	post(t, h, "/accounts/"+account+"/calls", `{"from":"`+caller+`"}`, 503)
}

func TestBadRequests(t *testing.T) {
	h := start(t, `{}`)
	post(t, h, "/accounts/"+account+"/calls", `{"from":`, 400)
	post(t, h, "/accounts/"+account+"/calls", `{}`, 400)
	post(t, h, "/accounts/nobody/calls", `{"from":"`+caller+`"}`, 400)
	post(t, h, "/calls/nobody", `{"do":"answer"}`, 404)
}
