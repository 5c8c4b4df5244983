package api_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/core/sessions"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/gateway/stream"
	"github.com/parley-gateway/parley/gateway/stream/streamtest"
)

// floor is a house with the real session router behind the API, in which every user has a socket
// open. The tests stage one conversation at a time on it.
type floor struct {
	*house
	log        *memlog.Log
	core       *router.Router
	service    directory.Service
	chat, text directory.Account
	sent       chan plugin.Outbound // commands for the text channel
	sockets    map[string]*line
	feed       *readers.Feed // receives who types
	named      map[string]string
	count      int
	events     int64 // events in the log when eventsSince was last asked
	lines      int64 // lines in the audit trail when trailSince was last asked

	conv    conversation.ConversationID
	offer   conversation.OfferID   // the offer made to ben
	request conversation.RequestID // the request that invites ben
	message conversation.MessageID // ana's message with a file; on the text channel its delivery status is unknown
	file    conversation.BlobID
	number  string // the customer's phone number or web address
}

// people are the users of these tests, and the part that each has in the staged conversation.
var people = map[string]directory.Role{
	"ana":  directory.RoleAgent,      // has joined; keeps it while it is parked; after its end has after-call work
	"ben":  directory.RoleAgent,      // has it offered while it is active
	"dora": directory.RoleAgent,      // has left and has after-call work for it
	"emil": directory.RoleAgent,      // has taken part, and is through with it
	"cem":  directory.RoleAgent,      // serves its service and takes no part; may not text
	"otto": directory.RoleAgent,      // serves no service
	"sue":  directory.RoleSupervisor, // takes no part in the conversation
	"adam": directory.RoleAdmin,      // takes no part, and does not handle conversations
}

// What nobody may learn of a staged conversation that does not concern them, besides its ids and
// the customer's number.
const (
	customerName = "Carla Canary"
	customerText = "canary-7f3a"
	fileName     = "canary.txt"
)

func newFloor(t *testing.T) *floor {
	t.Helper()
	f := &floor{log: memlog.New(), sent: make(chan plugin.Outbound, 10_000), sockets: map[string]*line{}}
	local := bus.NewLocal()
	f.house = buildHouse(t, func(h *house, o *api.Options) {
		var err error
		f.core, err = router.New(router.Options{
			Node: "n1", Log: f.log, Vault: h.vault, Directory: h.dir, Blobs: o.Blobs.(router.Blobs), Bus: local, Logger: slog.New(slog.DiscardHandler),
		})
		f.must(t, err)
		f.must(t, f.core.Start(t.Context()))
		o.Router, o.Tools, o.Calls, o.Log = f.core, f.core, f.core, f.log
		o.RequestsPerSecond, o.Burst = 1e6, 1e6
		h.desk = stream.Options{Router: stream.FromRouter(f.core), Limits: stream.Limits{SendPerSecond: 1e6, SendBurst: 1e6, FramePerSecond: 1e6, FrameBurst: 1e6}}
	})
	t.Cleanup(func() { // runs before the house is closed
		f.feed.Close()
		for _, l := range f.sockets {
			l.close()
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := errors.Join(f.core.Stop(ctx), local.Close(), f.log.Close()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	f.records()
	f.core.PluginReady("chat", "chat-1", takingPort{info: plugin.Info{
		ID: "chat", Capabilities: conversation.Capabilities{Text: true, Files: true, Typing: true, Connected: true, OfferTitle: "Web Chat"},
	}})
	f.core.PluginReady("text", "text-1", takingPort{got: f.sent, info: plugin.Info{
		ID: "text", Capabilities: conversation.Capabilities{Text: true, Files: true, OutboundFirst: true, AddressKind: "phone", OfferTitle: "Text"},
	}})
	f.feed = f.core.NewFeed(conversation.NewID[conversation.AgentID](), conversation.AudienceSupervisor, func() {})
	for login := range people {
		f.sockets[login] = f.connect(login)
	}
	return f
}

func (f *floor) must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// records makes the people, what they serve, and one record of each kind.
func (f *floor) records() {
	t, ctx := f.t, f.t.Context()
	t.Helper()
	for login, role := range people {
		u := directory.User{ID: f.users[login].ID, Login: login, Name: "Agent " + login, Role: role}
		if login != "cem" {
			u.Privileges = []string{directory.PrivilegeSMS}
		}
		u, err := f.dir.PutUser(ctx, u)
		f.must(t, err)
		f.users[login], f.tokens[login] = u, f.session(u.ID)
	}
	rules := directory.DefaultRules()
	rules.OfferTimeout, rules.WrapupLimit, rules.InactivityWarn, rules.InactivityEnd = 0, -1, 0, 0
	var err error
	f.service, err = f.dir.PutService(ctx, directory.Service{
		Name: "Sales", Rules: rules, Features: []string{directory.FeatureFiles}, Dispositions: []directory.Disposition{{Code: "sold", Name: "Sold"}},
		Users: []conversation.AgentID{f.users["ana"].ID, f.users["ben"].ID, f.users["cem"].ID, f.users["dora"].ID, f.users["emil"].ID},
	})
	f.must(t, err)
	for name, acc := range map[string]*directory.Account{"chat": &f.chat, "text": &f.text} {
		*acc, err = f.dir.PutAccount(ctx, directory.Account{Plugin: name, Name: name, Service: f.service.ID, Enabled: true}, nil)
		f.must(t, err)
	}
	f.users["rita"], err = f.dir.PutUser(ctx, directory.User{Login: "rita", Name: "Rita", Role: directory.RoleSupervisor}) // strike uses her to end conversations
	f.must(t, err)
	f.must(t, f.core.AgentConnected(ctx, f.users["rita"].ID))
	f.users["tom"], err = f.dir.PutUser(ctx, directory.User{Login: "tom", Name: "Tom", Role: directory.RoleAgent})
	f.must(t, err)
	team, err := f.dir.PutTeam(ctx, directory.Team{Name: "Team"})
	f.must(t, err)
	_, err = f.dir.PutSkill(ctx, directory.Skill{Name: "german"})
	f.must(t, err)
	spare, err := f.dir.PutService(ctx, directory.Service{Name: "Spare", Rules: rules})
	f.must(t, err)
	toy, err := f.dir.PutAccount(ctx, directory.Account{Plugin: "toy", Name: "Toy", Service: spare.ID}, nil)
	f.must(t, err)
	contact, err := f.dir.PutContact(ctx, directory.Contact{Name: "Known Person"})
	f.must(t, err)
	f.named = map[string]string{
		"{user}": f.users["tom"].ID.String(), "{team}": team.ID.String(), "{spare}": spare.ID.String(), "{toy}": toy.ID.String(),
		"{contact}": contact.ID.String(), "{service}": f.service.ID.String(), "{text account}": f.text.ID.String(),
	}
}

// fill replaces the placeholders in a path, a frame or a body by the ids of what is staged.
func (f *floor) fill(text string) string {
	f.count++
	if strings.Contains(text, "{doomed}") {
		c, err := f.dir.PutContact(f.t.Context(), directory.Contact{Name: "Doomed"})
		f.must(f.t, err)
		text = strings.ReplaceAll(text, "{doomed}", c.ID.String())
		f.trailSince()
	}
	for from, to := range f.named {
		text = strings.ReplaceAll(text, from, to)
	}
	return strings.NewReplacer(
		"{conv}", f.conv.String(), "{offer}", f.offer.String(), "{request}", f.request.String(), "{message}", f.message.String(),
		"{file}", f.file.String(), "{number}", f.number, "{other number}", fmt.Sprintf("+1500777%04d", f.count),
		"{none}", conversation.NewID[conversation.MessageID]().String(), "{n}", fmt.Sprint(f.count),
	).Replace(text)
}

// secrets is what must not be told to people whom the conversation does not concern.
func (f *floor) secrets() []string {
	return []string{customerName, customerText, fileName, f.number, f.conv.String(), f.request.String(), f.message.String(), f.file.String()}
}

// States in which a conversation can be staged.
const (
	chatting = "chat"   // an open web chat, to which ben is invited
	over     = "ended"  // as chat, after the customer has ended the conversation
	texting  = "text"   // the same on a store-and-forward channel
	setAside = "parked" // as text, after ana has logged out and in again
)

// stage ends the previous conversation and stages a new one in the given state.
func (f *floor) stage(state string) {
	t, ctx, r := f.t, f.t.Context(), f.core
	t.Helper()
	f.strike()
	for login := range people {
		if a, _ := r.Agent(ctx, f.users[login].ID); !a.LoggedIn && login != "adam" {
			f.must(t, r.AgentConnected(ctx, f.users[login].ID))
		}
		if login != "adam" {
			f.must(t, r.NotReady(ctx, f.users[login].ID, ""))
		}
	}
	f.count++
	in := plugin.Inbound{Plugin: "chat", Account: f.chat.ID, Thread: fmt.Sprint("visitor-", f.count)}
	in.DedupeKey, f.number = in.Thread, "web:"+in.Thread
	parts := []conversation.Part{{Kind: conversation.PartText, Text: customerText}}
	if state == chatting || state == over {
		in.Action = &plugin.CustomerAction{Start: &plugin.StartAction{
			Body: conversation.StartedBody{Name: customerName, Address: f.number}, ClientID: "s", Parts: parts,
		}}
	} else {
		f.number = fmt.Sprintf("+1500555%04d", f.count)
		in.Plugin, in.Account, in.Thread = "text", f.text.ID, f.number
		in.Message = &plugin.InboundMessage{Address: f.number, Parts: parts}
	}
	ana := f.users["ana"].ID
	f.must(t, r.Ready(ctx, ana))
	f.conv = f.ingest(in).Conversation
	_, _, err := r.Accept(ctx, ana, f.offered("ana"))
	f.must(t, err)
	f.must(t, r.NotReady(ctx, ana, ""))
	f.write(in.Thread)
	for _, login := range []string{"dora", "emil", "ben"} {
		id := f.users[login].ID
		f.request, err = r.Invite(ctx, ana, f.conv, conversation.Target{Kind: conversation.TargetAgent, Agent: id}, false)
		f.must(t, err)
		f.offer = f.offered(login)
		if login == "ben" {
			break
		}
		_, _, err = r.Accept(ctx, id, f.offer)
		f.must(t, err)
		_, err = r.Leave(ctx, id, f.conv, false)
		f.must(t, err)
		if login == "emil" {
			_, err = r.FinishWrapup(ctx, id, f.conv, "", "")
			f.must(t, err)
		}
	}
	switch state {
	case over:
		f.ingest(plugin.Inbound{Plugin: "chat", Account: f.chat.ID, Thread: in.Thread, DedupeKey: in.Thread + "/end", Action: &plugin.CustomerAction{End: true}})
	case setAside:
		f.must(t, r.Logout(ctx, ana))
		f.must(t, r.AgentConnected(ctx, ana))
	}
	f.feed.Add(f.conv, 0)
	f.eventsSince()
	f.trailSince()
}

// write has ana send a file; on the text channel the message's delivery status stays unknown.
func (f *floor) write(thread string) {
	f.t.Helper()
	up := f.upload("ana", f.conv, "file", fileName, []byte("hello"))
	f.want("upload", up, 201)
	var err error
	f.file, err = conversation.ParseID[conversation.BlobID](up.get("file.blob"))
	f.must(f.t, err)
	sent, err := f.core.Send(f.t.Context(), router.SendRequest{Conversation: f.conv, Agent: f.users["ana"].ID, ClientID: "m", Parts: []conversation.Part{
		{Kind: conversation.PartText, Text: customerText}, {Kind: conversation.PartFile, File: &conversation.File{Blob: f.file}},
	}})
	f.must(f.t, err)
	if f.message = sent.Message; strings.HasPrefix(f.number, "web:") {
		return
	}
	for cmd := range f.sent {
		if cmd.Send == nil || cmd.Send.Message != f.message {
			continue // left over from an earlier test case
		}
		_, err := f.core.Begin(f.t.Context(), f.text.ID, cmd.Command, "text-1")
		f.must(f.t, err)
		f.ingest(plugin.Inbound{Plugin: "text", Account: f.text.ID, Thread: thread,
			Result: &plugin.CommandResult{Command: cmd.Command, Outcome: conversation.StatusUnknown, Code: "timeout"}})
		return
	}
}

// strike ends every conversation, so that all agents are free.
func (f *floor) strike() {
	ctx, r := f.t.Context(), f.core
	f.t.Helper()
	f.feed.Remove(f.conv)
	rows, err := f.log.Conversations(ctx, eventlog.ConversationQuery{Phases: []string{string(conversation.PhaseOpen), string(conversation.PhaseEnded)}})
	f.must(f.t, err)
	rita := f.users["rita"].ID
	for _, row := range rows {
		conv := conversation.ConversationID(row.ID)
		_, _ = r.Join(ctx, rita, conv)
		info, err := r.Info(ctx, conv)
		f.must(f.t, err)
		for _, req := range info.State.Requests {
			_ = r.CancelInvite(ctx, rita, conv, req.ID)
		}
		for login := range people {
			_, _ = r.Leave(ctx, f.users[login].ID, conv, false)
		}
		_, _ = r.Leave(ctx, rita, conv, false)
		for _, u := range f.users {
			_, _ = r.FinishWrapup(ctx, u.ID, conv, "", "")
		}
	}
	for login, u := range f.users {
		if a, _ := r.Agent(ctx, u.ID); len(a.Work) > 0 || a.Offer != nil {
			f.t.Fatalf("%s is not free: %+v", login, a)
		}
	}
}

func (f *floor) ingest(in plugin.Inbound) plugin.Ack {
	f.t.Helper()
	ch := make(chan plugin.Ack, 1)
	f.core.Ingest(f.t.Context(), in, func(a plugin.Ack) { ch <- a })
	a := <-ch
	if a.Status != plugin.Committed {
		f.t.Fatalf("ingest: %+v", a)
	}
	return a
}

// offered waits until the agent has an offer, and returns it.
func (f *floor) offered(login string) (offer conversation.OfferID) {
	f.t.Helper()
	streamtest.Eventually(f.t, "offer to "+login, func() bool {
		a, _ := f.core.Agent(f.t.Context(), f.users[login].ID)
		if a.Offer != nil {
			offer = a.Offer.Offer
		}
		return a.Offer != nil
	})
	return offer
}

// eventsSince is how many events, of conversations and agents, the log has gained since the last
// call.
func (f *floor) eventsSince() int {
	recs, err := f.log.Tail(f.t.Context(), f.events, 0)
	f.must(f.t, err)
	f.events += int64(len(recs))
	return len(recs)
}

// trailSince returns the audit entries written since the last call.
func (f *floor) trailSince() []audit.Entry {
	lines, err := f.dir.Trail().List(f.t.Context(), f.lines, 10_000)
	f.must(f.t, err)
	f.lines += int64(len(lines))
	return lines
}

// takingPort is a plugin that accepts every command.
type takingPort struct {
	info plugin.Info
	got  chan plugin.Outbound
}

func (takingPort) NoticeBot(plugin.BotNotice) bool { return false }

func (p takingPort) Offer(o plugin.Outbound) bool {
	select {
	case p.got <- o:
		return true
	default:
		return false
	}
}

func (p takingPort) Info() plugin.Info { return p.info }

// line is an agent's socket with a goroutine that reads its frames as they come.
type line struct {
	*streamtest.Client
	t      *testing.T
	frames chan string
	told   strings.Builder // all frames taken from the channel so far
}

func (f *floor) dial(token string, header ...string) (*websocket.Conn, int) {
	f.t.Helper()
	opts := &websocket.DialOptions{HTTPHeader: http.Header{}}
	if token != "" {
		opts.HTTPHeader.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(header); i += 2 {
		opts.HTTPHeader.Set(header[i], header[i+1])
	}
	c, res, err := websocket.Dial(f.t.Context(), f.web.URL+api.Prefix+"/stream", opts)
	if err == nil {
		return c, http.StatusSwitchingProtocols
	}
	if res == nil {
		f.t.Fatalf("dial: %v", err)
	}
	return nil, res.StatusCode
}

func (f *floor) connect(login string) *line {
	f.t.Helper()
	c, status := f.dial(f.tokens[login])
	if c == nil {
		f.t.Fatalf("%s opens a socket: %d", login, status)
	}
	c.SetReadLimit(1 << 20)
	l := &line{t: f.t, Client: streamtest.NewClient(f.t, c), frames: make(chan string, 100_000)}
	l.Say(`{"t":"hello"}`)
	l.Until("welcome")
	go func() { // ends when close is called
		defer close(l.frames)
		for {
			_, b, err := c.Read(context.WithoutCancel(f.t.Context()))
			if err != nil {
				return
			}
			l.frames <- string(b)
		}
	}()
	return l
}

func (l *line) close() {
	_ = l.CloseNow()
	for range l.frames { // ends when the goroutine that reads has ended
	}
}

// upTo reads frames up to the first for which is returns true; answers joins the acks and errors
// among them.
func (l *line) upTo(what string, is func(streamtest.Frame) bool) (frames []streamtest.Frame, answers string) {
	l.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case raw, ok := <-l.frames:
			if !ok {
				l.t.Fatalf("%s: the socket was closed; it had told %v", what, frames)
			}
			l.told.WriteString(raw)
			var fr streamtest.Frame
			if err := json.Unmarshal([]byte(raw), &fr); err != nil {
				l.t.Fatal(err)
			}
			if kind := fr.Str("t"); kind == "ack" || kind == "error" {
				answers += raw + "\n"
			}
			if frames = append(frames, fr); is(fr) {
				return frames, answers
			}
		case <-limit:
			l.t.Fatalf("%s: no answer; the socket had told %v", what, frames)
		}
	}
}

// settled sends a ping and reads frames up to its pong: whatever was sent before has been dealt
// with then, since pings are answered at once and commands one after the other.
func (l *line) settled(id string) (frames []streamtest.Frame, answers string) {
	l.t.Helper()
	l.Say(`{"t":"ping","id":"` + id + `"}`)
	return l.upTo("ping", func(fr streamtest.Frame) bool { return fr.Str("t") == "pong" && fr.Str("id") == id })
}

// cookie opens a session as a browser does and returns its cookie.
func (f *floor) cookie(login string) string {
	f.t.Helper()
	f.must(f.t, f.dir.SetPassword(f.t.Context(), f.users[login].ID, password, sessions.ID{}))
	in := f.do("", "POST", "/login", map[string]any{"login": login, "password": password})
	f.want("login", in, 200)
	jar, _, _ := strings.Cut(in.header.Get("Set-Cookie"), ";")
	return jar
}
