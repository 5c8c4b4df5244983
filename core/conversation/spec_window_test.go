package conversation_test

import (
	"encoding/json"
	"testing"
	"time"

	. "github.com/parley-gateway/parley/core/conversation"
)

// windowed is an exchange that agent 1 began by a template, on a channel that takes other messages for 24
// hours after the customer's last one.
func windowed(t *testing.T) *scene {
	t.Helper()
	c := newScene(t)
	first := post(1, agentAuthor(1))
	first.Kinds = []PartKind{PartTemplate}
	c.do(Start{
		ID: conv(1), Kind: Outbound, Channel: "quoter", Capabilities: Capabilities{Text: true, Template: true, OutboundFirst: true, ReplyWindow: 24},
		Service: service(1), Rules: Rules{ParkAfter: -1, ParkedEnd: -1}, Owner: agent(1), First: first,
	})
	return c
}

// DESIGN.md 3 (reply_window): outside of the window only templates go out. Without a word of the provider
// it follows from the customer's last message; what the provider has said replaces that.
func TestReplyWindow(t *testing.T) {
	const hour = time.Hour
	template := post(9, agentAuthor(1))
	template.Kinds = []PartKind{PartTemplate}
	shows := func(c *scene, want time.Time) {
		t.Helper()
		if got, limited := c.s.WindowOf(0); !limited || !got.Equal(want) {
			t.Errorf("window until %v (limited: %t), want %v", got, limited, want)
		}
	}
	c := windowed(t)
	shows(c, time.Time{})
	c.refuses(post(2, agentAuthor(1)), ErrReplyWindow).gives(template, TypeMessage)
	mixed := post(2, agentAuthor(1))
	mixed.Kinds = []PartKind{PartTemplate, PartText}
	c.refuses(mixed, ErrReplyWindow) // the text beside a template would not reach the customer
	c.after(hour).do(post(3, customer))
	shows(c, t0.Add(25*hour))
	c.after(24*hour).gives(post(4, agentAuthor(1)), TypeMessage)
	c.after(time.Second).refuses(post(5, agentAuthor(1)), ErrReplyWindow)

	// The provider speaks.
	c.gives(SetReplyWindow{Expires: t0.Add(72 * hour), ProviderAt: t0.Add(25 * hour)}, TypeWindowChanged)
	shows(c, t0.Add(72*hour))
	c.gives(post(5, agentAuthor(1)), TypeMessage)
	c.gives(SetReplyWindow{Expires: t0.Add(72 * hour), ProviderAt: t0.Add(25 * hour)})                    // as it was
	c.gives(SetReplyWindow{Expires: t0.Add(30 * hour), ProviderAt: t0.Add(24 * hour)})                    // said before, and came late
	c.gives(SetReplyWindow{Expires: t0.Add(72 * hour), ProviderAt: t0.Add(26 * hour)}, TypeWindowChanged) // the same, said later
	c.gives(SetReplyWindow{Expires: t0.Add(30 * hour), ProviderAt: t0.Add(25 * hour)})                    // so this is old now
	c.gives(SetReplyWindow{Expires: t0.Add(96 * hour), ProviderAt: t0.Add(26 * hour)}, TypeWindowChanged) // longer
	c.gives(SetReplyWindow{Expires: t0.Add(73 * hour)}, TypeWindowChanged)                                // when is not known: it counts
	c.after(48*hour).refuses(post(6, agentAuthor(1)), ErrReplyWindow)
	c.do(post(7, customer)) // what the customer writes opens no window that the provider has closed
	c.refuses(post(8, agentAuthor(1)), ErrReplyWindow)
	c.gives(SetReplyWindow{Expires: t0.Add(99 * hour)}, TypeWindowChanged).gives(post(8, agentAuthor(1)), TypeMessage)
	c.gives(SetReplyWindow{}, TypeWindowChanged).refuses(post(10, agentAuthor(1)), ErrReplyWindow)
	shows(c, time.Time{})
	template.ID = message(11)
	c.gives(template, TypeMessage)

	// Bad ones.
	c.refuses(SetReplyWindow{Endpoint: 1}, ErrInvalid).refuses(SetReplyWindow{Endpoint: -1}, ErrInvalid)
	c.refuses(SetReplyWindow{Expires: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}, ErrInvalid)

	// An endpoint has a window of its own, and one without a limit none.
	c.do(AddEndpoint{Channel: "sms", Endpoint: Endpoint{Thread: "t"}, Capabilities: smsCaps})
	if _, limited := c.s.WindowOf(1); limited {
		t.Error("a channel without a limit has a window")
	}
	other := post(13, agentAuthor(1))
	other.Endpoint = 1
	c.gives(other, TypeMessage)
	c.gives(SetReplyWindow{Endpoint: 1, Expires: t0}, TypeWindowChanged)
	other.ID = message(14)
	c.refuses(other, ErrReplyWindow)
	c.do(End{By: agentAuthor(1), Cause: CauseAgent})
	c.refuses(SetReplyWindow{Expires: t0.Add(hour)}, ErrEnded)
}

// A receipt that names one message holds for all earlier ones that were sent (plugin-contract.md, Receipt),
// and is kept as the customer's mark. What failed or is not known to be sent is not read because a later
// message was.
func TestReceiptThrough(t *testing.T) {
	c := sms(t)
	for n := byte(2); n <= 6; n++ {
		c.do(post(n, agentAuthor(1)))
	}
	seq := func(n byte) uint64 {
		for _, p := range c.s.Pending {
			if p.ID == message(n) {
				return p.Seq
			}
		}
		t.Fatalf("message %d is not followed", n)
		return 0
	}
	for n, st := range map[byte]Status{1: StatusSent, 2: StatusFailed, 3: StatusUnknown, 4: StatusDelivered, 6: StatusSent} {
		c.do(SetStatus{Message: message(n), Status: st})
	}
	c.gives(SetStatus{Message: message(5), Status: StatusDelivered, Through: seq(5)}, TypeMessageStatus, TypeMessageStatus, TypeReceipt)
	c.gives(SetStatus{Message: message(5), Status: StatusDelivered, Through: seq(5)}) // a repeat
	c.gives(SetStatus{Message: message(5), Status: StatusRead, Through: seq(5)}, TypeMessageStatus, TypeMessageStatus, TypeMessageStatus, TypeReceipt)
	c.gives(SetStatus{Message: message(4), Status: StatusRead, Through: seq(4)}) // comes late
	want := map[byte]Status{1: StatusRead, 2: StatusFailed, 3: StatusUnknown, 4: StatusRead, 5: StatusRead, 6: StatusSent}
	for _, p := range c.s.Pending {
		if w := want[p.ID[15]]; p.Status != w {
			t.Errorf("message %d is %s, want %s", p.ID[15], p.Status, w)
		}
	}
	if len(c.s.Marks) != 1 || c.s.Marks[0] != (ReadMark{By: customer, Delivered: seq(5), Read: seq(5)}) {
		t.Errorf("marks %+v", c.s.Marks)
	}
	// A message that is not followed any more is marked all the same.
	c.gives(SetStatus{Message: message(77), Status: StatusRead, Through: seq(6)}, TypeMessageStatus, TypeReceipt)
	c.refuses(SetStatus{Message: message(5), Status: StatusSent, Through: seq(5)}, ErrInvalid)
	c.refuses(SetStatus{Message: message(77), Status: StatusRead}, ErrNoSuchMessage)
}

// Ids that a report brings are written even if it makes no step forward.
func TestFurtherIDs(t *testing.T) {
	c := sms(t)
	ids := json.RawMessage(`{"provider_ids":["p2"]}`)
	c.gives(SetStatus{Message: message(1), Status: StatusDelivered, Named: ids}, TypeMessageStatus) // Body has them
	c.gives(SetStatus{Message: message(1), Status: StatusSent, Named: ids}, TypeMessageNamed)
	if got := string(c.events[len(c.events)-1].Body); got != string(ids) {
		t.Errorf("body %s", got)
	}
	c.gives(SetStatus{Message: message(1), Status: StatusSent})
}

// Customers and bots get messages without the provider's ids, and with everything else.
func TestWithoutProviderIDs(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"none", `{"parts":[{"kind":"text","text":"hi"}]}`, `{"parts":[{"kind":"text","text":"hi"}]}`},
		{"only in a text", `{"parts":[{"kind":"text","text":"\"provider_ids\""}]}`, `{"parts":[{"kind":"text","text":"\"provider_ids\""}]}`},
		{"a message's", `{"parts":[{"kind":"text","text":"hi"}],"name":"C","provider_ids":["p1"],"new":12345678901234567890}`, `{"name":"C","new":12345678901234567890,"parts":[{"kind":"text","text":"hi"}]}`},
		{"a reaction's", `{"parts":[{"kind":"reaction","reaction":{"message":"m","emoji":"x","provider_id":"p","provider_ids":["p"]}}]}`, `{"parts":[{"kind":"reaction","reaction":{"emoji":"x","message":"m"}}]}`},
		{"kept raw", `{"parts":[{"kind":"unsupported","raw":{"kind":"edit","data":{"edit":{"text":"t","provider_id":"p"}}}}]}`, `{"parts":[{"kind":"unsupported","raw":{"data":{"edit":{"text":"t"}},"kind":"edit"}}]}`},
		{"nothing", ``, ``},
	} {
		got, err := WithoutProviderIDs(json.RawMessage(tc.in))
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: got %s, %v; want %s", tc.name, got, err, tc.want)
		}
	}
	if _, err := WithoutProviderIDs(json.RawMessage(`{"provider_ids":`)); err == nil {
		t.Error("half a body is read")
	}
}

func FuzzWithoutProviderIDs(f *testing.F) {
	f.Add([]byte(`{"parts":[{"kind":"edit","edit":{"text":"t","provider_id":"p"}}],"provider_ids":["p1"]}`))
	f.Add([]byte(`["provider_id",{"provider_id":1}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		out, err := WithoutProviderIDs(body)
		if err != nil || !json.Valid(body) {
			return
		}
		again, err := WithoutProviderIDs(out)
		if err != nil || string(again) != string(out) {
			t.Fatalf("%q leaves %q, and that %q, %v", body, out, again, err)
		}
	})
}

func TestKeptProviderIDs(t *testing.T) {
	long := string(make([]byte, 1025))
	got := KeptProviderIDs([]string{"a", "", "b", "a", long, "\xff", "c"})
	if len(got) != 3 || got[0] != "a" || got[1] != "b" || got[2] != "c" {
		t.Errorf("kept %q", got)
	}
	many := make([]string, 100)
	for i := range many {
		many[i] = string(rune('A' + i))
	}
	if n := len(KeptProviderIDs(many)); n != 64 {
		t.Errorf("%d of 100 kept, want 64", n)
	}
	if KeptProviderIDs([]string{""}) != nil {
		t.Error("an empty id is kept")
	}
}
