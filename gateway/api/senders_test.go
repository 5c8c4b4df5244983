package api_test

import (
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/stream/streamtest"
)

func TestSenders(t *testing.T) {
	h := newHouse(t, nil)
	svc, err := h.dir.PutService(t.Context(), directory.Service{Name: "Text Line", Rules: directory.DefaultRules(), Features: directory.DefaultFeatures()})
	if err != nil {
		t.Fatal(err)
	}
	caps := conversation.Capabilities{Text: true, Files: true, OutboundFirst: true, AddressKind: "phone", Counter: "gsm7", MaxLength: 1600, Icon: "device-mobile"}
	acc := streamtest.Account()
	h.router.Texting.Senders = []router.Sender{
		{Account: acc, Name: "Demo number", Service: svc.ID, Channel: "sms", Capabilities: caps},
		{Account: streamtest.Account(), Name: "Ana's number", Channel: "sms", Capabilities: caps},
	}
	h.want("without the privilege", h.do("ana", "GET", "/senders", nil), 200, "senders.0", "")
	u := h.users["ana"]
	u.Privileges = []string{directory.PrivilegeSMS}
	if _, err := h.dir.PutUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	a := h.do("ana", "GET", "/senders", nil)
	h.want("with it", a, 200, "senders.0.service.name", "Text Line", "senders.0.account.id", acc.String(), "senders.0.account.name", "Demo number",
		"senders.0.channel", "sms", "senders.0.icon", "device-mobile", "senders.0.address_kind", "phone", "senders.0.counter", "gsm7",
		"senders.0.max_length", "1600", "senders.0.files", "true", "senders.1.account.name", "Ana's number", "senders.2", "")
	if !strings.Contains(a.text, `{"service":null,`) {
		t.Errorf("an own number has a service: %s", a.text)
	}
}

// Lists and history show of a parked exchange its owner, how much is unread, and how far its
// messages got.
func TestParkedInHistory(t *testing.T) {
	h := newHouse(t, nil)
	ana := h.users["ana"].ID
	conv := h.router.Open(streamtest.Service(), streamtest.Account())
	h.router.Mu.Lock()
	s := &h.router.Convs[conv].Info.State
	s.Capabilities.AddressKind, s.Capabilities.Connected = "phone", false
	s.Parking = &conversation.Parking{Owner: ana}
	s.Unread = &conversation.Unread{Owner: ana, Count: 3, Seq: 1, At: time.Now()}
	h.router.Convs[conv].Info.Started.Address = "+15005550006"
	h.router.Append(conv, conversation.TypeMessage, `{"author":{"kind":"agent"}}`, `{"parts":[]}`)
	s.Pending = []conversation.PendingMessage{{ID: conversation.NewID[conversation.MessageID](), Seq: s.Seq, Status: conversation.StatusFailed}}
	h.router.Mu.Unlock()
	path := "/conversations/" + conv.String()
	h.want("its owner", h.do("ana", "GET", path, nil), 200, "display", "parked", "owner.id", ana.String(), "owner.name", "ANA", "unread", "3", "address", "+15005550006")
	h.want("a supervisor", h.do("sue", "GET", path, nil), 200, "owner.id", ana.String(), "unread", "")
	h.want("somebody else", h.do("ben", "GET", path, nil), 404, "code", "not_found")
	before := len(h.trail())
	h.want("its events", h.do("ana", "GET", path+"/events", nil), 200, "events.0.status", "", "events.1.type", "message/1", "events.1.status", "failed")
	if n := len(h.trail()); n != before {
		t.Errorf("the owner's reading left %d entries in the audit trail, want none", n-before)
	}
	h.router.Mu.Lock()
	s.Parking = nil // a reply that waits for its owner, or that went on to the queue
	h.router.Mu.Unlock()
	h.want("a reply that waits", h.do("ana", "GET", path, nil), 200, "unread", "3", "owner", "")
}
