package system_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// fate is a status that one of our messages took.
type fate struct{ Status, Kind, Code string }

// desk is an agent who texts, and notes what becomes of it. One goroutine uses it.
type desk struct {
	t       *testing.T
	agent   *drive.Agent
	account string // of the sender

	sent int // texts so far

	mu    sync.Mutex
	fates map[string][]fate // by message, oldest first
}

// desk logs an agent in who texts from the demo's number.
func (d *demo) desk(login string) *desk {
	d.t.Helper()
	k := &desk{t: d.t, account: d.textLine().Account, fates: map[string][]fate{}}
	a, err := drive.DialAgent(bounded(d.t, 30*time.Second), drive.AgentOptions{
		URL: "ws" + strings.TrimPrefix(d.info.PublicURL, "http") + "/api/v1/stream", Token: d.token(login), OnEvent: k.hear,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(a.Close)
	k.agent = a
	return k
}

func (k *desk) hear(frame []byte) {
	var e struct {
		Type string
		Head struct {
			Message string
			fate
		}
	}
	if json.Unmarshal(frame, &e) != nil || e.Type != "message.status/1" {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fates[e.Head.Message] = append(k.fates[e.Head.Message], e.Head.fate)
}

// begin texts a number with which there is no exchange.
func (k *desk) begin(to, text string) drive.Begun {
	k.t.Helper()
	b, err := k.agent.Text(bounded(k.t, 15*time.Second), drive.TextOptions{Account: k.account, To: to, Text: text, ClientID: k.clientID()})
	if err != nil {
		k.t.Fatalf("text %s: %v", to, err)
	}
	return b
}

// say texts in an exchange and returns the message.
func (k *desk) say(conversation, text string) (message string) {
	k.t.Helper()
	var out struct{ Message string }
	err := k.agent.Do(bounded(k.t, 15*time.Second), "send", map[string]any{
		"conversation": conversation, "client_id": k.clientID(), "parts": []any{map[string]any{"kind": "text", "text": text}},
	}, &out)
	if err != nil {
		k.t.Fatalf("send %q: %v", text, err)
	}
	return out.Message
}

func (k *desk) clientID() string {
	k.sent++
	return id("desk", k.sent)
}

// history is what became of a message so far.
func (k *desk) history(message string) []fate {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]fate(nil), k.fates[message]...)
}

// last is the status that a message has; the zero fate before any.
func (k *desk) last(message string) fate {
	h := k.history(message)
	if len(h) == 0 {
		return fate{}
	}
	return h[len(h)-1]
}

// forward reports whether statuses only moved forward (PR5).
func forward(history []fate) bool {
	rank := map[string]int{"unknown": 1, "sent": 2, "failed": 3, "delivered": 4, "read": 5}
	for i := range history {
		if rank[history[i].Status] == 0 || i > 0 && rank[history[i].Status] <= rank[history[i-1].Status] {
			return false
		}
	}
	return true
}
