package system_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

const callingSite = `
services:
  - {name: Calls, teams: [Front Office]}
accounts:
  - {name: telephone, plugin: phone, service: Calls}
`

// callWorld is a demo with the example telephone, and an agent who comes back whenever the socket is lost.
type callWorld struct {
	d       *demo
	ctx     context.Context //nolint:containedctx // of the test
	account string
	token   string
	ana     *drive.Agent
	offers  chan drive.Offer
	heard   *ears // of the socket that is open
}

func newCallWorld(t *testing.T) *callWorld {
	t.Helper()
	d := startDemo(t, "")
	d.addExample("phone")
	d.apply(callingSite)
	w := &callWorld{d: d, ctx: bounded(t, 4*time.Minute), account: d.findAccount("telephone"), token: d.token("ana"), offers: make(chan drive.Offer, 4)}
	t.Cleanup(func() {
		if w.ana != nil {
			w.ana.Close()
		}
	})
	return w
}

// connect opens the agent's socket, which gets every event of her conversations from the first one on.
func (w *callWorld) connect() {
	w.d.t.Helper()
	if w.ana != nil {
		w.ana.Close()
	}
	eventually(w.d.t, "Ana's socket", 60*time.Second, func() bool {
		once, cancel := context.WithTimeout(w.ctx, 10*time.Second)
		defer cancel()
		e := &ears{t: w.d.t, name: "ana"}
		a, err := drive.DialAgent(once, drive.AgentOptions{
			URL: "ws" + strings.TrimPrefix(w.d.info.PublicURL, "http") + "/api/v1/stream", Token: w.token, OnEvent: e.hear, OnOffer: func(o drive.Offer) { w.offers <- o },
		})
		if err == nil {
			w.ana, w.heard = a, e
		}
		return err == nil
	})
}

// at asks the telephone's script, which stands for people at their telephones. The status is 0 when there is no answer.
func (w *callWorld) at(method, path string, body, out any) (status int) {
	w.d.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		w.d.t.Fatal(err)
	}
	origin, _, _ := strings.Cut(strings.Replace(w.d.info.CustomerPage, "//chat.", "//phone.plugins.", 1), "/p/")
	req, err := http.NewRequestWithContext(w.ctx, method, origin+"/p/phone/"+path, bytes.NewReader(text))
	if err != nil {
		w.d.t.Fatal(err)
	}
	resp, err := drive.HTTPClient().Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	answer, _ := io.ReadAll(resp.Body)
	if out != nil && resp.StatusCode < 300 {
		if err := json.Unmarshal(answer, out); err != nil {
			w.d.t.Errorf("%s %s: %v in %s", method, path, err, answer)
		}
	}
	return resp.StatusCode
}

// States of a leg at the telephone, numbered as in the contract.
const (
	legUp   = 4
	legHeld = 5
)

// ringing is a call as the telephone has it.
type ringing struct {
	Session, Leg string // Leg: the caller's
	Active       bool
	Legs         []struct {
		Leg, Party string
		State      int
		Muted      bool
		Hears      []string
	}
}

// rings lets somebody call, as soon as the telephone is there.
func (w *callWorld) rings(from string) (c ringing) {
	w.d.t.Helper()
	eventually(w.d.t, "the call from "+from, 60*time.Second, func() bool {
		return w.at(http.MethodPost, "accounts/"+w.account+"/calls", map[string]string{"from": from, "called": "+15005550000", "name": "Cara"}, &c) == http.StatusCreated
	})
	return c
}

// shows waits until the telephone's call is as it should be.
func (w *callWorld) shows(session, what string, is func(ringing) bool) (c ringing) {
	w.d.t.Helper()
	eventually(w.d.t, what+" at the telephone", 20*time.Second, func() bool {
		c = ringing{}
		return w.at(http.MethodGet, "calls/"+session, nil, &c) == http.StatusOK && is(c)
	})
	return c
}

// asks gives a command for a call until it is answered, and once more under its client id. It returns the answer's
// status and code.
func (w *callWorld) asks(conv, session, clientID, command string) (status int, code string) {
	w.d.t.Helper()
	var first struct{ Command, Code string }
	for range 2 {
		var got struct{ Command, Code string }
		eventually(w.d.t, "answer to "+command, 60*time.Second, func() bool {
			var text []byte
			status, text = w.d.rest(w.d.t, w.token, http.MethodPost, "/conversations/"+conv+"/calls/"+session+"/commands",
				fmt.Sprintf(`{"client_id":%q,%s}`, clientID, command))
			return status != 0 && status != http.StatusTooManyRequests && status < 500 && json.Unmarshal(text, &got) == nil
		})
		if first.Command != "" && got != first {
			w.d.t.Errorf("%s again: %+v, want %+v", command, got, first)
		}
		first = got
	}
	return status, first.Code
}

func (w *callWorld) does(conv, session, clientID, command string) {
	w.d.t.Helper()
	if status, code := w.asks(conv, session, clientID, command); status != http.StatusAccepted {
		w.d.t.Fatalf("%s: %d %s", command, status, code)
	}
}

// log returns the events of a conversation, one line each.
func (w *callWorld) log(conv string) (lines []string) {
	for _, e := range w.d.events() {
		if e.Stream == conv {
			lines = append(lines, fmt.Sprint(e.Seq, e.Type, e.Head))
		}
	}
	return lines
}

// M1, FT1, FT2, PR3, DESIGN.md 3: a call that comes in is offered, answered and commanded. The telephone is killed in the middle of one
// call and the gateway in the middle of another: each call is lost once, the agent is told so, and the
// conversation goes on to a third call.
func TestCallThroughKills(t *testing.T) {
	w := newCallWorld(t)
	d := w.d
	w.connect()
	if err := w.ana.Do(w.ctx, "ready", nil, nil); err != nil {
		t.Fatal(err)
	}
	const caller = "+15005550009"
	one := w.rings(caller)
	var conv string
	select {
	case o := <-w.offers:
		conv = o.Conversation
		if err := w.ana.Do(w.ctx, "accept", map[string]any{"offer": o.Offer}, nil); err != nil {
			t.Fatal(err)
		}
	case <-w.ctx.Done():
		t.Fatal("no offer")
	}
	leg := func(c ringing) string { return fmt.Sprintf(`{"leg":%q}`, c.Leg) }
	turn := func(c ringing, on bool) string { return fmt.Sprintf(`{"leg":%q,"on":%t}`, c.Leg, on) }
	is := func(state int, muted bool) func(ringing) bool {
		return func(c ringing) bool { return c.Legs[0].State == state && c.Legs[0].Muted == muted }
	}
	w.does(conv, one.Session, "answer", `"answer":`+leg(one))
	w.shows(one.Session, "the answer", is(legUp, false))
	w.heard.await(`"state":"up"`)
	if status, code := w.asks(conv, one.Session, "answer twice", `"answer":`+leg(one)); status != http.StatusConflict || code != "wrong_state" {
		t.Errorf("the answer to a call that is answered: %d %s", status, code)
	}
	w.does(conv, one.Session, "hold", `"hold":`+turn(one, true))
	w.shows(one.Session, "hold", is(legHeld, false))
	w.heard.await(`"state":"held"`)
	w.does(conv, one.Session, "resume", `"hold":`+turn(one, false))
	w.shows(one.Session, "resume", is(legUp, false))
	w.does(conv, one.Session, "mute", `"mute":`+turn(one, true))
	w.shows(one.Session, "mute", is(legUp, true))
	w.heard.await(`"muted":true`)
	w.does(conv, one.Session, "digits", fmt.Sprintf(`"digits":{"leg":%q,"digits":"47#"}`, one.Leg))
	if status := w.at(http.MethodPost, "calls/"+one.Session, map[string]string{"do": "digits", "leg": one.Leg, "digits": "4"}, nil); status != http.StatusOK {
		t.Errorf("the caller's keys: %d", status)
	}
	w.heard.await(`session.digits/1`)
	w.does(conv, one.Session, "dial", `"dial":{"to":"+15005550010"}`) // a second party, so that people talk
	w.shows(one.Session, "the second party", func(c ringing) bool {
		return c.Active && len(c.Legs) == 2 && len(c.Legs[0].Hears) == 1 && len(c.Legs[1].Hears) == 1
	})
	w.heard.await(`"state":"active"`)

	d.killer("phone").do()
	w.heard.await(`"cause":"lost"`)
	two := w.rings(caller) // into the conversation, which is open on the caller's thread
	w.does(conv, two.Session, "answer two", `"answer":`+leg(two))
	w.does(conv, two.Session, "dial two", `"dial":{"to":"+15005550010"}`)
	w.shows(two.Session, "the second call", func(c ringing) bool { return c.Active })

	before := w.log(conv)
	d.killer("serve").do()
	w.connect()
	eventually(t, "the end of the second call at Ana's", 60*time.Second, func() bool { return w.heard.heard(`"cause":"lost"`) == 2 })
	three := w.rings(caller)
	w.does(conv, three.Session, "answer three", `"answer":`+leg(three))
	w.does(conv, three.Session, "hang up", `"hang_up":{}`)
	w.heard.await(`"cause":"hangup"`)
	eventually(t, "the end of the third call at the telephone", 20*time.Second, func() bool {
		return w.at(http.MethodGet, "calls/"+three.Session, nil, nil) == http.StatusNotFound
	})
	eventually(t, "the end of the third call at the gateway", 20*time.Second, func() bool {
		var list struct{ Calls []json.RawMessage }
		status, text := d.rest(t, w.token, http.MethodGet, "/conversations/"+conv+"/calls", "")
		return status == http.StatusOK && json.Unmarshal(text, &list) == nil && len(list.Calls) == 0
	})

	after := w.log(conv)
	if len(after) < len(before) || strings.Join(after[:len(before)], "\n") != strings.Join(before, "\n") {
		t.Errorf("the log before the gateway was killed is no beginning of the log afterwards:\n%s\n\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
	}
	w.eachOnce(conv, map[string]string{one.Session: "lost", two.Session: "lost", three.Session: "hangup"})

	four := w.rings(caller)
	if err := w.ana.Do(w.ctx, "end", map[string]any{"conversation": conv}, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the call whose conversation has ended", 20*time.Second, func() bool {
		return w.at(http.MethodGet, "calls/"+four.Session, nil, nil) == http.StatusNotFound
	})
}

// eachOnce checks that each of a conversation's calls was asked for and ended once, with its cause, that no
// command is there twice and none failed by itself, and that the conversation goes on.
func (w *callWorld) eachOnce(conv string, want map[string]string) {
	w.d.t.Helper()
	asked, ended, commands := map[string]int{}, map[string][]string{}, map[string]int{}
	for _, e := range w.d.events() {
		if e.Stream != conv {
			continue
		}
		switch h := e.Head; e.Type {
		case "session.requested/1":
			asked[h.Session]++
		case "session.ended/1":
			ended[h.Session] = append(ended[h.Session], h.Cause)
		case "session.command/1":
			commands[h.Command]++
		case "conversation.ended/1":
			w.d.t.Errorf("the conversation has ended: %+v", h)
		case "session.command_failed/1":
			if h.Code != "instance_gone" { // a command that was under way when the telephone was killed
				w.d.t.Errorf("the conversation has %s: %+v", e.Type, h)
			}
		}
	}
	for session, cause := range want {
		if asked[session] != 1 || len(ended[session]) != 1 || ended[session][0] != cause {
			w.d.t.Errorf("call %s was asked for %d times and ended %q, want once, %s", session, asked[session], ended[session], cause)
		}
	}
	if len(asked) != len(want) || len(ended) != len(want) {
		w.d.t.Errorf("%d calls were asked for and %d ended, want %d", len(asked), len(ended), len(want))
	}
	for id, n := range commands {
		if n != 1 {
			w.d.t.Errorf("command %s is there %d times", id, n)
		}
	}
}
