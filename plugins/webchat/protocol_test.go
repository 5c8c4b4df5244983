package webchat_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/plugins/sdk"
)

func TestFirstChat(t *testing.T) {
	w := newWorld(t, "")
	c := w.connect(map[string]any{"locale": "de-DE", "page": map[string]string{"url": "https://shop.example/tents?x=1", "title": "Tents"}})
	if n := len(w.host.Events()); n != 0 {
		t.Fatalf("a hello alone emitted %d events, want none", n)
	}
	c.register()
	c.send(map[string]any{"t": "start", "client_id": "s1", "form": map[string]string{
		"first_name": " Cleo ", "last_name": "Papas", "email": "cleo@example.com", "message": "Is it waterproof?", "unknown": "dropped"}})
	accepted := c.want("accepted")
	if accepted.ClientID != "s1" || accepted.Conversation == "" || accepted.Seq == 0 {
		t.Errorf("accepted = %+v, want client id s1 with conversation and seq", accepted)
	}
	start, ok := w.host.Events()[0].Body.(sdk.Start)
	if !ok {
		t.Fatalf("first event is %T, want sdk.Start", w.host.Events()[0].Body)
	}
	thread := w.thread()
	want := sdk.Start{
		From: sdk.Address{Address: string(thread), Name: "Cleo Papas"}, FirstName: "Cleo", LastName: "Papas", Email: "cleo@example.com",
		Locale: "de-DE", Parts: []sdk.Part{sdk.Text{Text: "Is it waterproof?"}}, ClientID: "s1",
		Page: &sdk.Page{URL: "https://shop.example/tents?x=1", Title: "Tents"},
	}
	if diff := cmp.Diff(want, start); diff != "" {
		t.Errorf("start (-want +got):\n%s", diff)
	}
	if !strings.HasPrefix(string(thread), "web:") || strings.Contains(string(thread), c.token) {
		t.Errorf("thread = %q, want web: and an HMAC that does not hold the token", thread)
	}
	first := c.wantEvent("message/1")
	if first.Conversation != accepted.Conversation || !strings.Contains(string(first.Body), "Is it waterproof?") {
		t.Errorf("first message = %+v, want the form's text in %s", first, accepted.Conversation)
	}

	w.host.Join("acc-1", thread, "Ana")
	w.host.Say("acc-1", thread, "Ana", sdk.Text{Text: "Yes."})
	c.wantEvent("participant.joined/1")
	said := c.wantEvent("message/1")
	if want := `{"parts":[{"kind":"text","text":"Yes."}],"name":"Ana"}`; !jsonEqual(t, string(said.Body), want) {
		t.Errorf("body = %s, want %s", said.Body, want)
	}

	c.send(map[string]any{"t": "end", "client_id": "e1"})
	c.wantEvent("conversation.ended/1")
	c.send(map[string]any{"t": "message", "client_id": "m9", "parts": []any{map[string]string{"kind": "text", "text": "late"}}})
	if f := c.want("refused"); f.Code != "ended" || f.Retry || f.ClientID != "m9" {
		t.Errorf("message after the end: %+v, want a final refusal with code ended", f)
	}
}

func jsonEqual(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatal(err)
	}
	return cmp.Equal(x, y)
}

// TestAcceptedAfterCommit: PR1, an accepted frame is never sent before the commit.
func TestAcceptedAfterCommit(t *testing.T) {
	w := newWorld(t, "")
	c, _, _ := w.begin("hi")
	w.host.Hold()
	c.send(map[string]any{"t": "message", "client_id": "m1", "parts": text("one")})
	w.await("the message", func() bool { return w.host.Held() == 1 })
	c.send(map[string]any{"t": "ping", "id": "p"})
	for {
		f, code := c.read()
		if code != 0 || f.T == "accepted" {
			t.Fatalf("got %+v (close %d) before the commit, want pong only", f, code)
		}
		if f.T == "pong" {
			break
		}
	}
	w.host.Release()
	if f := c.want("accepted"); f.ClientID != "m1" {
		t.Errorf("accepted = %+v, want m1", f)
	}
}

func text(s string) []any { return []any{map[string]string{"kind": "text", "text": s}} }

// TestRepeatsAreOneMessage: a message that is sent again after a lost answer, from another socket
// too, is stored once.
func TestRepeatsAreOneMessage(t *testing.T) {
	w := newWorld(t, "")
	c, _, start := w.begin("hi")
	for range 3 {
		c.send(map[string]any{"t": "message", "client_id": "m1", "parts": text("once")})
		c.want("accepted")
	}
	again := w.connect(map[string]any{"token": c.token})
	again.send(map[string]any{"t": "message", "client_id": "m1", "parts": text("once")})
	again.want("accepted")
	again.send(map[string]any{"t": "start", "client_id": "start-1", "form": map[string]string{"message": "hi"}})
	if f := again.want("accepted"); f.Conversation != start.Conversation {
		t.Errorf("repeated start gave conversation %s, want %s", f.Conversation, start.Conversation)
	}
	messages := 0
	for _, ev := range w.host.Events() {
		if _, ok := ev.Body.(sdk.Message); ok {
			messages++
		}
	}
	if messages != 1 {
		t.Errorf("%d messages were stored, want 1", messages)
	}
}

// TestOverloadWaits: a full queue makes a client wait and refuses nothing.
func TestOverloadWaits(t *testing.T) {
	w := newWorld(t, "")
	c, _, _ := w.begin("hi")
	w.host.Refuse(sdk.ErrOverload)
	w.host.Hold()
	c.send(map[string]any{"t": "message", "client_id": "m1", "parts": text("one")})
	c.send(map[string]any{"t": "message", "client_id": "m2", "parts": text("two")})
	w.host.Refuse(nil)
	w.await("both messages", func() bool { return w.host.Held() == 2 })
	w.host.Release()
	for _, id := range []string{"m1", "m2"} {
		if f := c.want("accepted"); f.ClientID != id {
			t.Errorf("accepted %s, want %s", f.ClientID, id)
		}
	}
}

func TestTransientFailureAsksForRetry(t *testing.T) {
	for name, set := range map[string]func(*world, error){
		"stopping":    func(w *world, err error) { w.host.Refuse(err) },
		"not durable": func(w *world, err error) { w.host.Fail(err) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "")
			c, _, _ := w.begin("hi")
			set(w, sdk.ErrStopped)
			c.send(map[string]any{"t": "message", "client_id": "m1", "parts": text("x")})
			if f := c.want("refused"); f.Code != "unavailable" || !f.Retry {
				t.Errorf("refused = %+v, want unavailable with retry", f)
			}
			set(w, nil)
			c.send(map[string]any{"t": "message", "client_id": "m1", "parts": text("x")})
			c.want("accepted")
		})
	}
}

// TestSecondTabSeesEverything: two tabs with the same token have the same thread; both read and
// write.
func TestSecondTabSeesEverything(t *testing.T) {
	w := newWorld(t, "")
	one, thread, _ := w.begin("hi")
	two := w.connect(map[string]any{"token": one.token})
	if f := two.wantEvent("message/1"); !strings.Contains(string(f.Body), "hi") {
		t.Errorf("second tab got %s first, want the first message", f.Body)
	}
	two.want("live")
	two.send(map[string]any{"t": "message", "client_id": "m2", "parts": text("from two")})
	one.wantThat("event", func(f frame) bool { return strings.Contains(string(f.Body), "from two") })
	w.host.Say("acc-1", thread, "Ana", sdk.Text{Text: "to both"})
	for _, c := range []*client{one, two} {
		c.wantThat("event", func(f frame) bool { return strings.Contains(string(f.Body), "to both") })
	}
}

// TestResume: PR14, a client that names the last seq it has gets each later event once, in order.
func TestResume(t *testing.T) {
	w := newWorld(t, "")
	c, thread, start := w.begin("hi")
	last := c.wantEvent("message/1")
	_ = c.conn.CloseNow()
	for i := range 100 {
		w.host.Say("acc-1", thread, "Ana", sdk.Text{Text: fmt.Sprint(i)})
	}
	back := w.connect(map[string]any{"token": c.token, "cursor": map[string]any{"conversation": start.Conversation, "seq": last.Seq, "open": true}})
	prev := last.Seq
	for i := range 100 {
		f := back.want("event")
		if f.Prev != prev {
			t.Fatalf("event %d has prev %d, want %d", i, f.Prev, prev)
		}
		if want := fmt.Sprintf(`"text":"%d"`, i); !strings.Contains(string(f.Body), want) {
			t.Fatalf("event %d is %s, want %s", i, f.Body, want)
		}
		prev = f.Seq
	}
	if f := back.want("live"); f.Conversation != start.Conversation {
		t.Errorf("live = %+v, want conversation %s", f, start.Conversation)
	}
}

func TestReceiptsAreCumulativeAndCoalesced(t *testing.T) {
	w := newWorld(t, "")
	c, _, start := w.begin("hi")
	w.host.Hold()
	for seq := uint64(1); seq <= 50; seq++ {
		c.send(map[string]any{"t": "receipt", "conversation": start.Conversation, "delivered": seq, "read": seq / 2})
	}
	c.send(map[string]any{"t": "receipt", "conversation": start.Conversation, "delivered": 3}) // a late receipt changes nothing
	c.send(map[string]any{"t": "ping", "id": "done"})
	c.wantThat("pong", func(f frame) bool { return f.ID == "done" })
	w.host.Release()
	var got []sdk.Receipt
	w.await("the receipts", func() bool {
		got = nil
		for _, ev := range w.host.Events() {
			if r, ok := ev.Body.(sdk.Receipt); ok {
				got = append(got, r)
			}
		}
		return len(got) == 2
	})
	if last := got[1]; last.DeliveredSeq != 50 || last.ReadSeq != 25 {
		t.Errorf("last receipt = %+v, want delivered 50, read 25", last)
	}
}

func TestSignals(t *testing.T) {
	w := newWorld(t, "")
	c, thread, start := w.begin("hi")
	w.plugin.Signal(t.Context(), sdk.Signal{Account: "acc-1", Thread: thread, Conversation: sdk.ConversationID(start.Conversation), Kind: sdk.SignalTyping, On: true, Name: "Ana"})
	if f := c.want("typing"); !f.On || f.Name != "Ana" {
		t.Errorf("typing = %+v, want on by Ana", f)
	}
	w.plugin.Signal(t.Context(), sdk.Signal{Account: "acc-1", Thread: thread, Kind: sdk.SignalQueue, Position: 3, Wait: 4_000_000_000})
	if f := c.want("queue"); f.Position != 3 || f.WaitMS != 4000 {
		t.Errorf("queue = %+v, want position 3 after 4000 ms", f)
	}
	c.send(map[string]any{"t": "typing", "on": true})
	c.send(map[string]any{"t": "typing", "on": true}) // within 2 s of the last one, so it is not passed on
	c.send(map[string]any{"t": "typing", "on": false})
	var typing []bool
	w.await("typing", func() bool {
		typing = nil
		for _, s := range w.host.Signals() {
			if s.Kind == sdk.SignalTyping {
				typing = append(typing, s.On)
			}
		}
		return len(typing) == 2
	})
	if diff := cmp.Diff([]bool{true, false}, typing); diff != "" {
		t.Errorf("typing signals (-want +got):\n%s", diff)
	}
}

// TestPages: B5, while a conversation is open each page is reported once.
func TestPages(t *testing.T) {
	w := newWorld(t, "")
	c := w.connect(map[string]any{"page": map[string]string{"url": "https://shop.example/a"}})
	c.register()
	page := func(url string) {
		c.send(map[string]any{"t": "page", "page": map[string]string{"url": url, "title": "T"}})
	}
	page("https://shop.example/b") // no conversation is open
	c.send(map[string]any{"t": "start", "client_id": "s", "form": map[string]string{"message": "x"}})
	c.wantEvent("conversation.started/1")
	page("https://shop.example/b") // the start has reported this page
	page("javascript:alert(1)")
	page("https://user:secret@shop.example/c")
	page("https://shop.example/c")
	page("https://shop.example/d")
	var got []string
	w.await("the pages", func() bool {
		got = nil
		for _, ev := range w.host.Events() {
			if p, ok := ev.Body.(sdk.Page); ok {
				got = append(got, p.URL)
			}
		}
		return len(got) == 2
	})
	if diff := cmp.Diff([]string{"https://shop.example/c", "https://shop.example/d"}, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	start, _ := w.host.Events()[0].Body.(sdk.Start)
	if start.Page == nil || start.Page.URL != "https://shop.example/b" {
		t.Errorf("page of the start = %+v, want /b", start.Page)
	}
}

func TestFormIsChecked(t *testing.T) {
	settings := `{"form":{"fields":[{"name":"first_name","required":true},{"name":"order_no"},{"name":"message"}]}}`
	for _, tc := range []struct {
		name string
		form map[string]string
		code string // expected code; "" = accepted
	}{
		{"all", map[string]string{"first_name": "A", "order_no": "7", "message": "m"}, ""},
		{"without message", map[string]string{"first_name": "A"}, ""},
		{"required missing", map[string]string{"message": "m"}, "form_required"},
		{"required blank", map[string]string{"first_name": "  "}, "form_required"},
		{"name too long", map[string]string{"first_name": strings.Repeat("a", 201)}, "too_long"},
		{"name just right", map[string]string{"first_name": strings.Repeat("世", 200)}, ""},
		{"answer too long", map[string]string{"first_name": "A", "order_no": strings.Repeat("é", 1001)}, "too_long"},
		{"answer just right", map[string]string{"first_name": "A", "order_no": strings.Repeat("é", 1000)}, ""},
		{"message too long", map[string]string{"first_name": "A", "message": strings.Repeat("é", 4001)}, "too_long"},
		{"message just right", map[string]string{"first_name": "A", "message": strings.Repeat("é", 4000)}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, settings)
			c := w.connect(nil)
			c.register()
			c.send(map[string]any{"t": "start", "client_id": "s", "form": tc.form})
			kind := "refused"
			if tc.code == "" {
				kind = "accepted"
			}
			if f := c.want(kind); f.Code != tc.code {
				t.Errorf("form %v: code %q, want %q", tc.form, f.Code, tc.code)
			}
		})
	}
}

func TestMessagesAreChecked(t *testing.T) {
	w := newWorld(t, "")
	c, _, _ := w.begin("hi")
	many := []any{}
	for range 11 {
		many = append(many, text("x")...)
	}
	for _, tc := range []struct {
		name  string
		frame map[string]any
		code  string
	}{
		{"no parts", map[string]any{"t": "message", "client_id": "a"}, "empty"},
		{"empty text", map[string]any{"t": "message", "client_id": "b", "parts": text("")}, "empty"},
		{"too long", map[string]any{"t": "message", "client_id": "c", "parts": text(strings.Repeat("x", 4001))}, "too_long"},
		{"surrogates count twice", map[string]any{"t": "message", "client_id": "d", "parts": text(strings.Repeat("😀", 2001))}, "too_long"},
		{"too many parts", map[string]any{"t": "message", "client_id": "e", "parts": many}, "too_many_parts"},
		{"unknown part", map[string]any{"t": "message", "client_id": "f", "parts": []any{map[string]string{"kind": "template"}}}, "invalid"},
		{"foreign file", map[string]any{"t": "message", "client_id": "g", "parts": []any{map[string]any{"kind": "file", "file": map[string]any{"blob": "x", "key": "y"}}}}, "file_key"},
		{"bad client id", map[string]any{"t": "message", "client_id": "a b", "parts": text("x")}, "client_id"},
		{"no client id", map[string]any{"t": "message", "parts": text("x")}, "client_id"},
		{"unknown frame", map[string]any{"t": "dance", "id": "1"}, "unknown_frame"},
		{"long frame", map[string]any{"t": "message", "client_id": "h", "parts": text(strings.Repeat("x", 33<<10))}, "too_long"},
		{"long start", map[string]any{"t": "start", "client_id": "i", "form": map[string]string{"message": strings.Repeat("x", 63<<10)}}, "too_long"},
		{"long page", map[string]any{"t": "page", "page": map[string]string{"url": "https://shop.example/#" + strings.Repeat("x", 33<<10)}}, "too_long"},
		{"parts of a wrong type", map[string]any{"t": "message", "parts": 5, "client_id": "j"}, "invalid"},
		{"form with a number", map[string]any{"t": "start", "client_id": "k", "form": map[string]any{"message": 5}}, "invalid"},
		{"typing of a wrong type", map[string]any{"t": "typing", "on": "yes"}, "invalid"},
		{"negative receipt", map[string]any{"t": "receipt", "conversation": "x", "read": -1}, "invalid"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c.send(tc.frame)
			for {
				f, code := c.read()
				if code != 0 {
					t.Fatalf("closed with %d, want code %q", code, tc.code)
				}
				if f.T != "refused" && f.T != "error" {
					continue
				}
				if f.Code != tc.code || f.Retry {
					t.Errorf("frame %v: %+v, want code %q", tc.frame, f, tc.code)
				}
				return
			}
		})
	}
}

func TestNothingBeforeRegister(t *testing.T) {
	w := newWorld(t, "")
	c := w.connect(nil)
	for _, kind := range []string{"start", "message", "end"} {
		c.send(map[string]any{"t": kind, "client_id": kind, "parts": text("x")})
		if f := c.want("refused"); f.Code != "no_visitor" {
			t.Errorf("%s without a visitor: %+v, want no_visitor", kind, f)
		}
	}
	c.send(map[string]any{"t": "grant", "id": "1"})
	if f := c.want("error"); f.Code != "no_visitor" {
		t.Errorf("grant without a visitor: %+v, want no_visitor", f)
	}
}

// formField is a field of the request form as clients get it.
type formField struct {
	Name     string
	Required bool
}

func TestSitePublicSettings(t *testing.T) {
	w := newWorld(t, `{"title":"Ask us","allowed_origins":["HTTPS://Shop.example:443/"],"max_file_mb":2,"form":{"fields":[{"name":"a"},{"name":"b","required":true},{"name":"c"},{"name":"d"}]}}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.server.URL+"/p/webchat/site/DEMO", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var got struct {
		Site, Title string
		MaxFile     int64 `json:"max_file"`
		Origins     []string
		Form        struct{ Fields []formField }
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Site != "demo" || got.Title != "Ask us" || got.MaxFile != 2<<20 {
		t.Errorf("site = %+v, want demo, Ask us, 2 MiB", got)
	}
	if diff := cmp.Diff([]formField{{Name: "a"}, {Name: "b", Required: true}, {Name: "c"}, {Name: "d"}}, got.Form.Fields); diff != "" {
		t.Errorf("fields, to which the default form's must not add anything (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{w.server.URL, "https://shop.example"}, got.Origins); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
}
