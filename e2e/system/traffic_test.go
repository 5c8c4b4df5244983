package system_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	mrand "math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/parley-gateway/parley/drive"
)

// trafficPlugins are the plugins, besides the built-in ones, that the traffic needs.
var trafficPlugins = []string{"parrot", "counter", "quoter", "phone"}

// trafficRecords has the sites, messengers and telephone of the traffic; the messenger's address is filled in.
const trafficRecords = `
services:
  - name: Text Line
    teams: [Front Office]
    rules: RULES
  - {name: Parrots, teams: [Front Office], bot: Polly, rules: RULES}
  - {name: Counting, teams: [Front Office], tools: [{account: counter, settings: {step: 5}}], rules: RULES}
  - {name: Quotes, teams: [Front Office], rules: RULES}
  - {name: Calls, teams: [Front Office], rules: RULES, media: {voice: {medium: chat, share: 1, spare: 1}}}
accounts:
  - {name: Polly, plugin: parrot, inbound: none}
  - {name: counter, plugin: counter, inbound: none}
  - {name: parrots, plugin: webchat, service: Parrots, settings: {site: parrots}}
  - {name: counting, plugin: webchat, service: Counting, settings: {site: counting}}
  - {name: quotes, plugin: quoter, service: Quotes, settings: {base_url: "%[1]s"}}
  - {name: leased, plugin: quoter, service: Quotes, settings: {base_url: "%[1]s", one_node: true}}
  - {name: phone, plugin: phone, service: Calls, settings: {}}
`

// trafficRules leave conversations to customers and agents.
const trafficRules = "{offer_timeout: 0s, inactivity_warn: 0s, inactivity_end: 0s, park_after: 0s, wrapup_limit: 0s, share: 1, spare: 1}"

// door is where clients reach one node.
type door struct{ desk, chat, phone string } // http://host:port

// traffic is what goes on in an installation besides texts: visitors whom a bot answers, visitors whom
// agents answer and for whom they use a tool, customers of a messenger at an account for all nodes and at one for
// one node at a time, and callers. Agents are those of the exchange.
type traffic struct {
	t         *testing.T
	d         *demo
	x         *exchange
	doors     []door
	messenger *messenger
	accounts  map[string]string // ids, by name
	http      *http.Client
	writers   sync.WaitGroup
	tools     sync.WaitGroup

	mu       sync.Mutex
	visitors []*visitor
	calls    map[string]bool // sessions of calls whose start was acknowledged
	answers  map[string]bool // sessions of calls whose answer was acknowledged to the agent
	sessions map[string]bool // sessions of tools whose start was acknowledged
	used     map[string]bool // of them, those in which an act was acknowledged: the tool has them, so a kill must not lose them
	lost     int             // of them, those that ended before the agent ended them, such as with their conversation
	acts     int             // acknowledged
}

// prepareTraffic applies the records. The second node may learn of them later.
func prepareTraffic(d *demo, x *exchange, w *twin) *traffic {
	t := d.t
	t.Helper()
	f := &traffic{
		t: t, d: d, x: x, http: drive.HTTPClient(), accounts: map[string]string{}, calls: map[string]bool{}, answers: map[string]bool{}, sessions: map[string]bool{}, used: map[string]bool{},
	}
	t.Cleanup(f.http.CloseIdleConnections)
	chat, _, _ := strings.Cut(d.info.CustomerPage, "/p/")
	f.doors = []door{{d.info.PublicURL, chat, strings.Replace(chat, "chat.", "phone.plugins.", 1)}}
	if w != nil {
		f.doors = append(f.doors, door{w.url(), w.url(), w.url()})
	}
	f.messenger = d.startSandbox(strings.ReplaceAll(trafficRecords, "RULES", trafficRules))
	for _, name := range []string{"quotes", "leased", "phone", "counter"} {
		f.accounts[name] = d.findAccount(name)
	}
	return f
}

// start lets customers come, until writing ends. The agents of the exchange answer.
func (f *traffic) start(ctx, writing context.Context) {
	f.x.tool = func(token, conversation, text string) {
		f.tools.Go(func() { f.count(ctx, writing, token, conversation, text) })
	}
	f.x.pick = f.answer
	for n := range 2 {
		f.visit(ctx, writing, "parrot", "parrots", n)
		f.visit(ctx, writing, "chat", "counting", n)
	}
	for n := range 2 {
		f.writers.Go(func() { f.message(ctx, writing, "quotes", n) })
		f.writers.Go(func() { f.message(ctx, writing, "leased", n) })
	}
	f.writers.Go(func() { f.call(ctx, writing) })
}

func (f *traffic) door() door { return f.doors[mrand.IntN(len(f.doors))] }

// pause is what people and providers wait before they try again or go on; false: ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// ask sends a request and returns the answer's status; 0: none. out, if not nil, takes what a 2xx says.
func (f *traffic) ask(ctx context.Context, token, method, url, body string, out any) int {
	once, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(once, method, url, strings.NewReader(body))
	if err != nil {
		f.t.Error(err)
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0
	}
	if out != nil && resp.StatusCode/100 == 2 && json.Unmarshal(text, out) != nil {
		return 0
	}
	return resp.StatusCode
}

// message lets customer n of a messenger account write, each message until a webhook was taken that the provider
// sends to a node taken at random, and once more.
func (f *traffic) message(ctx, writing context.Context, account string, n int) {
	for k := 0; writing.Err() == nil; k++ {
		text := fmt.Sprintf("%s %d-%d", account, n, k)
		event, err := json.Marshal(map[string]string{"kind": "message", "from": fmt.Sprintf("+4930%d%s", n, map[string]string{"quotes": "1", "leased": "2"}[account]), "text": text})
		if err != nil {
			f.t.Error(err)
			return
		}
		var webhook json.RawMessage
		if status := f.ask(ctx, "", http.MethodPost, f.messenger.url+"/customer", string(event), &webhook); status != http.StatusOK {
			f.t.Errorf("the messenger answers %d", status)
			return
		}
		for taken := 0; taken < 2; {
			switch status := f.ask(ctx, "", http.MethodPost, f.door().chat+"/hooks/"+f.accounts[account], string(webhook), nil); {
			case status/100 == 2:
				taken++
			case status != 0 && status < 500:
				f.t.Errorf("webhook of %s: %d", text, status)
				return
			case !pause(ctx, 20*time.Millisecond):
				return
			}
		}
		f.x.took(account, text)
		if !f.x.answered(ctx, "reply to "+text) {
			return
		}
	}
}

// visitor is a client of the web chat, at the next node each time that it connects, which reads on from where it
// was.
type visitor struct {
	f          *traffic
	kind, site string
	n          int
	token      string
	c          *drive.Customer
	dialled    int
	started    bool

	mu     sync.Mutex
	cursor drive.Cursor
	seqs   map[string][]uint64 // of messages, by conversation
	heard  map[string]int      // texts, and how often each was read
	texts  []string            // the same, in order
	ended  map[string]int      // how often the end of each conversation was read
	faults []string
	news   chan struct{} // room for one
}

// visit lets a visitor of a site write, each message once the one before it was answered. After a while a visitor
// ends the conversation and begins another.
func (f *traffic) visit(ctx, writing context.Context, kind, site string, n int) {
	v := &visitor{f: f, kind: kind, site: site, n: n, seqs: map[string][]uint64{}, heard: map[string]int{}, ended: map[string]int{}, news: make(chan struct{}, 1)}
	f.mu.Lock()
	f.visitors = append(f.visitors, v)
	f.mu.Unlock()
	f.writers.Go(func() {
		defer v.close()
		for k := 0; writing.Err() == nil; k++ {
			text := fmt.Sprintf("%s %d-%d", kind, n, k)
			if !v.say(ctx, text) {
				return
			}
			f.x.said(kind, text)
			ok := v.until(ctx, func() bool { return v.heard["You said: "+text]+v.heard["reply to "+text] > 0 })
			if ok && k%12 == 11 {
				ok = v.end(ctx)
			}
			if !ok || !pause(ctx, 50*time.Millisecond) { // what a person needs to read
				return
			}
		}
	})
}

func (v *visitor) close() {
	if v.c != nil {
		v.c.Close()
		v.c = nil
	}
}

// connect makes sure that there is a socket; false: ctx has ended.
func (v *visitor) connect(ctx context.Context) bool {
	for ctx.Err() == nil {
		if v.c != nil {
			select {
			case <-v.c.Closed():
				v.close()
			default:
				return true
			}
		}
		v.mu.Lock()
		cursor := v.cursor
		v.mu.Unlock()
		door := v.f.doors[v.dialled%len(v.f.doors)]
		v.dialled++
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		c, err := drive.DialCustomer(once, drive.CustomerOptions{
			URL: "ws" + strings.TrimPrefix(door.chat, "http") + "/p/webchat/ws", Site: v.site, Token: v.token, Cursor: cursor, OnEvent: v.hear,
		})
		cancel()
		if err == nil {
			v.c = c
		} else {
			pause(ctx, 20*time.Millisecond) // as a widget backs off
		}
	}
	return false
}

// hear reads an event, which must come right after the one before it.
func (v *visitor) hear(frame []byte) {
	var e struct {
		drive.Event
		Body struct{ Parts []struct{ Text string } } `json:"body"`
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err := json.Unmarshal(frame, &e); err != nil {
		v.faults = append(v.faults, err.Error())
		return
	}
	switch last := v.cursor; {
	case e.Conversation == last.Conversation && e.Prev != last.Seq, e.Conversation != last.Conversation && (e.Prev != 0 || v.seqs[e.Conversation] != nil), e.Seq <= e.Prev:
		v.faults = append(v.faults, fmt.Sprintf("event %d of %s, before which %d came, is read after %d of %s", e.Seq, e.Conversation, e.Prev, last.Seq, last.Conversation))
	}
	v.cursor = drive.Cursor{Conversation: e.Conversation, Seq: e.Seq, Open: e.Type != "conversation.ended/1"}
	switch {
	case e.Type == "message/1" && len(e.Body.Parts) > 0:
		text := e.Body.Parts[0].Text
		v.heard[text]++
		v.texts = append(v.texts, text)
		v.seqs[e.Conversation] = append(v.seqs[e.Conversation], e.Seq)
	case e.Type == "conversation.ended/1":
		v.ended[e.Conversation]++
	}
	select {
	case v.news <- struct{}{}:
	default:
	}
}

// say repeats a message, under its client id, until it is accepted.
func (v *visitor) say(ctx context.Context, text string) bool {
	clientID := strings.ReplaceAll(text, " ", "-")
	for v.connect(ctx) {
		once, cancel := context.WithTimeout(ctx, 5*time.Second)
		var err error
		if v.started {
			_, err = v.c.Say(once, clientID, text)
		} else {
			_, err = v.c.Start(once, clientID, map[string]string{"first_name": "Cora", "message": text})
			v.token = v.c.Token
		}
		cancel()
		if err == nil {
			v.started = true
			return true
		}
		v.close()
		pause(ctx, 20*time.Millisecond)
	}
	return false
}

// until waits for a state of what was read, which is true while mu is held, and connects again whenever the
// socket is lost.
func (v *visitor) until(ctx context.Context, ok func() bool) bool {
	for v.connect(ctx) {
		v.mu.Lock()
		done := ok()
		v.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-v.news:
		case <-v.c.Closed():
		case <-ctx.Done():
		}
	}
	return false
}

// end ends the conversation: what is lost is said again.
func (v *visitor) end(ctx context.Context) bool {
	v.mu.Lock()
	conv := v.cursor.Conversation
	v.mu.Unlock()
	for v.connect(ctx) {
		_ = v.c.End() // a lost socket is seen below
		once, cancel := context.WithTimeout(ctx, 2*time.Second)
		ok := v.until(once, func() bool { return v.ended[conv] > 0 })
		cancel()
		if ok {
			v.started = false
			return true
		}
	}
	return false
}

// call lets people call, one after the other, at a node taken at random. Agents answer; the caller hangs up.
func (f *traffic) call(ctx, writing context.Context) {
	for n := 0; writing.Err() == nil; n++ {
		base := f.door().phone + "/p/phone/"
		var call struct{ Session, Leg string }
		body := fmt.Sprintf(`{"from":"+1500555%04d","called":"+15005550000","name":"Cara"}`, n)
		if status := f.ask(ctx, "", http.MethodPost, base+"accounts/"+f.accounts["phone"]+"/calls", body, &call); status != http.StatusCreated {
			if status/100 == 4 && status != http.StatusBadRequest { // 400: the telephone has not been told of its account yet
				f.t.Errorf("a call is refused: %d", status)
				return
			}
			pause(ctx, 20*time.Millisecond)
			continue
		}
		f.mu.Lock()
		f.calls[call.Session] = true
		f.mu.Unlock()
		f.x.said("call", "")
		for patience := time.Now().Add(2 * time.Second); time.Now().Before(patience); {
			var view struct{ Legs []struct{ State string } }
			status := f.ask(ctx, "", http.MethodGet, base+"calls/"+call.Session, "", &view)
			if status == http.StatusNotFound || len(view.Legs) > 0 && view.Legs[0].State == "up" || !pause(ctx, 20*time.Millisecond) {
				break
			}
		}
		press := fmt.Sprintf(`{"do":"hang_up","leg":%q}`, call.Leg)
		for {
			// Not found: the process that had the call is gone. Another answer: it tells of the end later, or dies.
			if status := f.ask(ctx, "", http.MethodPost, base+"calls/"+call.Session, press, nil); status != 0 && status != http.StatusBadGateway && status != http.StatusServiceUnavailable {
				break
			}
			if !pause(ctx, 20*time.Millisecond) {
				return
			}
		}
	}
}

// answer takes a call for an agent.
func (f *traffic) answer(ctx context.Context, token, conversation, session, leg string) {
	body := fmt.Sprintf(`{"client_id":"answer","answer":{"leg":%q}}`, leg)
	if f.ask(ctx, token, http.MethodPost, f.door().desk+"/api/v1/conversations/"+conversation+"/calls/"+session+"/commands", body, nil) == http.StatusAccepted {
		f.mu.Lock()
		f.answers[session] = true
		f.mu.Unlock()
	}
}

// count uses the tool in a conversation, again and again: it begins at 100, adds, and ends. text: the customer's
// that asked for it.
func (f *traffic) count(ctx, writing context.Context, token, conversation, text string) {
	base := "/api/v1/conversations/" + conversation + "/tools"
	// again repeats a request until it is answered; 404 and 409: the session or the conversation is over.
	again := func(path, body string, out any) (status int) {
		for ctx.Err() == nil {
			switch status = f.ask(ctx, token, http.MethodPost, f.door().desk+base+path, body, out); {
			case status/100 == 2, status == http.StatusNotFound, status == http.StatusConflict:
				return status
			case status != 0 && status < 500 && status != http.StatusTooManyRequests:
				f.t.Errorf("tool %s: %d", path, status)
				return status
			}
			pause(ctx, 20*time.Millisecond)
		}
		return 0
	}
	for round := 0; writing.Err() == nil; round++ {
		var a toolAnswer
		start := fmt.Sprintf(`{"account":%q,"client_id":"%s/%d","arguments":{"from":100}}`, f.accounts["counter"], strings.ReplaceAll(text, " ", "-"), round)
		if again("", start, &a)/100 != 2 {
			return // the conversation is over
		}
		f.mu.Lock()
		f.sessions[a.Session] = true
		f.mu.Unlock()
		added := 0
		alive := true
		for n := 0; alive && n < 3; n++ {
			act := fmt.Sprintf(`{"act":%q,"action":"add"}`, uuid.NewString())
			for range 2 { // the same act once more
				alive = alive && again("/"+a.Session+"/acts", act, nil)/100 == 2
			}
			if alive {
				added++
				f.mu.Lock()
				f.used[a.Session] = true
				f.mu.Unlock()
			}
			pause(ctx, 200*time.Millisecond) // a session may take five acts a second
		}
		if alive {
			var last toolAnswer
			alive = again("/"+a.Session+"/acts", fmt.Sprintf(`{"act":%q,"action":"copy"}`, uuid.NewString()), &last)/100 == 2
			want := fmt.Sprintf("We are at %d.", 100+5*added)
			if alive && (len(last.Effects) != 1 || last.Effects[0]["insert_text"] != want) {
				f.t.Errorf("after %d additions the tool says %v, want %q", added, last.Effects, want)
			}
		}
		if again("/"+a.Session+"/end", "", nil)/100 != 2 {
			alive = false
		}
		f.mu.Lock()
		f.acts += added
		if !alive && ctx.Err() == nil {
			f.lost++
		}
		f.mu.Unlock()
	}
}

// wait waits until all who write have stopped.
func (f *traffic) wait() {
	f.writers.Wait()
	f.tools.Wait()
}

// taken are the messages that the messenger has from agents, by text, and the texts in order.
func (f *traffic) taken() (byText map[string][]carried, texts []string) {
	f.t.Helper()
	all, err := f.messenger.messages()
	if err != nil {
		f.t.Fatal(err)
	}
	byText = map[string][]carried{}
	for _, m := range all {
		if m.From == "" {
			byText[m.Text] = append(byText[m.Text], carried{SID: m.ID, Body: m.Text})
			texts = append(texts, m.Text)
		}
	}
	return byText, texts
}

// session is what the log has of a call or a tool's session.
type session struct {
	kind                      string
	requested, ended, answers int
	cause                     string
}

// logged is what the log has of sessions, how often it has each text, and which messages each conversation has.
func (f *traffic) logged() (sessions map[string]*session, texts map[string]int, messages map[string][]uint64) {
	f.t.Helper()
	sessions, texts, messages = map[string]*session{}, map[string]int{}, map[string][]uint64{}
	of := func(id string) *session {
		if sessions[id] == nil {
			sessions[id] = &session{}
		}
		return sessions[id]
	}
	for _, e := range f.d.events() {
		if text, ok := said(e); ok {
			texts[text]++
			messages[e.Stream] = append(messages[e.Stream], e.Seq)
		}
		switch e.Type {
		case "session.requested/1":
			s := of(e.Head.Session)
			s.kind, s.requested = e.Head.Kind, s.requested+1
		case "session.ended/1":
			s := of(e.Head.Session)
			s.ended, s.cause = s.ended+1, e.Head.Cause
		case "session.command/1":
			if e.Head.What == "answer" {
				of(e.Head.Session).answers++
			}
		}
	}
	return sessions, texts, messages
}

// compare waits until every session has ended, and compares what clients were told with the log.
func (f *traffic) compare() {
	t := f.t
	t.Helper()
	var sessions map[string]*session
	var texts map[string]int
	var messages map[string][]uint64
	for end := time.Now().Add(90 * time.Second); ; <-time.After(250 * time.Millisecond) {
		sessions, texts, messages = f.logged()
		open := 0
		for _, s := range sessions {
			if s.ended == 0 {
				open++
			}
		}
		if open == 0 || time.Now().After(end) {
			break
		}
	}
	f.mu.Lock() // agents may still be hearing of calls
	defer f.mu.Unlock()
	causes := map[string]int{}
	for id, s := range sessions {
		causes[s.kind+" "+s.cause]++
		if s.requested != 1 || s.ended != 1 || s.answers > 1 {
			t.Errorf("the session %s (%s) has %d beginnings, %d ends and %d answers", id, s.kind, s.requested, s.ended, s.answers)
		}
	}
	for what, ids := range map[string]map[string]bool{"call": f.calls, "tool": f.sessions, "answered call": f.answers} {
		for id := range ids {
			if s := sessions[id]; s == nil || what == "answered call" && s.answers != 1 {
				t.Errorf("the %s %s was acknowledged and is not in the log", what, id)
			}
		}
	}
	for id := range f.used {
		if s := sessions[id]; s != nil && s.cause == "lost" {
			t.Errorf("the tool's session %s, which its process had stored, ended as lost", id)
		}
	}
	asked, read := 0, 0
	for _, v := range f.visitors {
		for _, fault := range v.faults {
			t.Errorf("visitor %s %d: %s", v.kind, v.n, fault)
		}
		for conv, n := range v.ended {
			if n != 1 {
				t.Errorf("visitor %s %d read %d ends of %s", v.kind, v.n, n, conv)
			}
		}
		for conv, seqs := range v.seqs {
			all := messages[conv]
			if all = all[:min(len(all), len(seqs))]; !slices.Equal(all, seqs) {
				t.Errorf("visitor %s %d read the messages %v of %s, whose first ones are %v", v.kind, v.n, seqs, conv, all)
			}
		}
		if n := reordered(v.texts); n > 0 {
			t.Errorf("visitor %s %d read %d messages out of order", v.kind, v.n, n)
		}
		read += len(v.texts)
	}
	for text := range f.x.asked {
		asked++
		bot, agent := texts["You said: "+text], texts["reply to "+text]
		if texts[text] != 1 || bot > 1 || agent > 1 || bot+agent == 0 {
			t.Errorf("%q is in the log %d times, the bot's answer %d times and an agent's %d times", text, texts[text], bot, agent)
		}
	}
	t.Logf("%d messages of visitors acknowledged, %d messages read by them, %d calls (%d answered), %d sessions of tools with %d acts (%d ended before the agent did it); ends: %v",
		asked, read, len(f.calls), len(f.answers), len(f.sessions), f.acts, f.lost, causes)
	if asked == 0 || len(f.calls) == 0 || len(f.sessions) == 0 {
		t.Error("some part of the traffic did not happen")
	}
}

// sameLog compares the log as both nodes print it, each with its own keys.
func sameLog(t *testing.T, d *demo, w *twin) {
	t.Helper()
	var a, b []byte
	eventually(t, "the same log at both nodes", 10*time.Second, func() bool { // something may be written in between
		a, b = d.parley("log"), w.parley("log")
		return len(a) > 0 && bytes.Equal(a, b)
	})
}

// projected waits until the projection has all of the log, and compares its sums with the log's.
func projected(d *demo) {
	t := d.t
	t.Helper()
	type sums struct {
		Customer int64 `json:"from_customer"`
		Agent    int64 `json:"from_agent"`
		Bot      int64 `json:"from_bot"`
		System   int64 `json:"from_system"`
		Ended    int64
	}
	var got, want sums
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-time.After(100 * time.Millisecond) {
		var status []struct{ Behind int64 }
		if err := json.Unmarshal(d.parley("project", "status", "--json"), &status); err != nil || len(status) != 1 {
			t.Fatalf("project status: %v, %v", status, err)
		}
		if status[0].Behind > 0 {
			continue
		}
		want, got = sums{}, sums{}
		for _, e := range d.events() {
			switch e.Type + " " + e.Head.Author.Kind {
			case "message/1 customer":
				want.Customer++
			case "message/1 agent":
				want.Agent++
			case "message/1 bot":
				want.Bot++
			case "message/1 system":
				want.System++
			case "conversation.ended/1 ":
				want.Ended++
			}
		}
		for dec := json.NewDecoder(bytes.NewReader(d.parley("project", "show", "intervals"))); dec.More(); {
			var one sums
			if err := dec.Decode(&one); err != nil {
				t.Fatal(err)
			}
			got.Customer, got.Agent, got.Bot = got.Customer+one.Customer, got.Agent+one.Agent, got.Bot+one.Bot
			got.System, got.Ended = got.System+one.System, got.Ended+one.Ended
		}
		if got == want {
			return
		}
	}
	t.Errorf("the projection has %+v, and the log %+v", got, want)
}
