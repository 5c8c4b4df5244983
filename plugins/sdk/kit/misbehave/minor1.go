package misbehave

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// This file has what minor 1 of the contract added: the plugin is a tool and a bot besides.

// describeNewer adds to the description.
func (p *plugin) describeNewer(d *pluginv1.DescribeResponse) {
	d.Tool = &pluginv1.ToolInfo{Title: "Counter", AgentStarts: true}
	d.Bot = &pluginv1.BotInfo{Name: "Parrot"}
	d.Calls = &pluginv1.CallInfo{Commands: []string{"hang_up"}}
	d.SilenceMs = 2000
	d.Abilities = append(d.Abilities, contract.AbilityMarkRead, contract.AbilityTyping, contract.AbilityTemplates)
	switch p.fault {
	case "sleeps-for-a-minute":
		d.SilenceMs = 60_000
	case "sings":
		d.Calls.Commands = append(d.Calls.Commands, "sing")
	case "service-without-tool":
		d.Tool = nil
	case NoChannel, "talks-without-channel":
		d.Delivery = pluginv1.Delivery_DELIVERY_NONE
	case "no-channel-for-nothing":
		d.Delivery, d.Tool, d.Bot = pluginv1.Delivery_DELIVERY_NONE, nil, nil
	}
}

func (p *plugin) traits(resp *pluginv1.ConfigureResponse, accounts []*pluginv1.Account) {
	for _, a := range accounts {
		if !a.GetEnabled() && p.fault == "traits-when-enabled" {
			continue
		}
		t := &pluginv1.AccountTraits{Account: a.GetId(), Placement: pluginv1.Placement_PLACEMENT_ONE}
		if p.fault == "traits-of-strangers" {
			t.Account += "x"
		}
		resp.Accounts = append(resp.Accounts, t)
	}
}

// giveUp is called with each change of the configuration; standby: the accounts are on standby now. The caller
// holds the lock.
func (p *plugin) giveUp(standby bool) {
	if !standby || p.standby || p.configured == 0 {
		return
	}
	switch p.fault {
	case "gives-up-slowly":
		time.Sleep(3500 * time.Millisecond)
	case "keeps-working":
		go func() { // for as long as the process lives
			for n := 0; ; n++ {
				time.Sleep(100 * time.Millisecond)
				p.mu.Lock()
				for account := range p.accounts {
					p.emit(&pluginv1.Event{Account: account, Thread: "t", DedupeKey: fmt.Sprint("polled ", n), Kind: &pluginv1.Event_Message{Message: message("t", "Hello")}})
				}
				p.mu.Unlock()
			}
		}()
	}
}

// beginNewer sends what belongs to the begin of a session; the caller holds the lock.
func (p *plugin) beginNewer() {
	p.readers = map[string]uint64{}
	for account := range p.accounts {
		list := &pluginv1.TemplateList{Account: account, Templates: []*pluginv1.TemplateInfo{{Name: "hello", Status: "approved"}}}
		if p.fault == "too-many-templates" {
			for i := range contract.MaxTemplates {
				list.Templates = append(list.Templates, &pluginv1.TemplateInfo{Name: fmt.Sprint(i), Status: "approved"})
			}
		}
		if p.sessions == 1 || p.fault != "templates-once" {
			p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_TemplateLists{TemplateLists: &pluginv1.TemplateLists{Lists: []*pluginv1.TemplateList{list}}}})
		}
		if p.fault == "talks-without-channel" || p.fault == "works-on-standby" && p.standby {
			p.emit(&pluginv1.Event{Account: account, Thread: "t", DedupeKey: "m", Kind: &pluginv1.Event_Message{Message: message("t", "Hello")}})
		}
	}
}

// botNotice subscribes to a conversation; the caller holds the lock.
func (p *plugin) botNotice(n *pluginv1.BotNotice) {
	if p.readers[n.GetConversation()] != 0 || n.GetLeft() || p.fault == "does-not-read" {
		return
	}
	id := uint64(len(p.readers) + 1)
	p.readers[n.GetConversation()] = id
	p.send(&pluginv1.PluginFrame{Frame: &pluginv1.PluginFrame_Subscribe{Subscribe: &pluginv1.Subscribe{
		Subscription: id, Account: n.GetAccount(), Conversation: n.GetConversation(), Audience: "bot", Credit: 64,
	}}})
}

// botRecords answers messages of customers; the caller holds the lock.
func (p *plugin) botRecords(b *pluginv1.RecordBatch) {
	for _, r := range b.GetRecords() {
		if r.GetType() != "message/1" || !strings.Contains(string(r.GetHead()), `"customer"`) {
			continue
		}
		id, text := fmt.Sprintf("answer-%d", r.GetSeq()), "Hello"
		if p.fault == "answers-by-chance" {
			text = fmt.Sprint(time.Now().UnixNano())
		}
		if p.fault == "answers-with-new-ids" {
			id = fmt.Sprint(time.Now().UnixNano())
		}
		for account := range p.accounts {
			p.emit(&pluginv1.Event{Account: account, Kind: &pluginv1.Event_Bot{Bot: &pluginv1.BotAction{
				Conversation: r.GetConversation(),
				Action:       &pluginv1.BotAction_Post{Post: &pluginv1.BotPost{ClientId: id, Parts: message("", text).GetParts()}},
			}}})
		}
	}
}

// refersToNothing reports whether a message refers to one that the provider never had.
func refersToNothing(parts []*pluginv1.Part) bool {
	for _, p := range parts {
		if p.GetReaction().GetProviderId()+p.GetEdit().GetProviderId()+p.GetRevoke().GetProviderId() == "" && p.GetText() == nil {
			return true
		}
	}
	return false
}

// passing carries out the commands of minor 1; nil: it is another one.
func (p *plugin) passing(c *pluginv1.Command) *pluginv1.Result {
	done := &pluginv1.Result{Outcome: pluginv1.Outcome_OUTCOME_SENT}
	failed := &pluginv1.Result{Outcome: pluginv1.Outcome_OUTCOME_FAILED, ErrorKind: pluginv1.ErrorKind_ERROR_KIND_INTERNAL, Code: "unsupported"}
	switch {
	case c.GetMarkRead() != nil:
		if p.fault == "begins-read-marks" {
			p.barrier(c)
		}
		if p.fault == "ignores-read-marks" {
			return &pluginv1.Result{}
		}
		return done
	case c.GetTyping() != nil:
		if p.fault == "types-again" {
			failed.Retryable = true
			return failed
		}
		return done
	case c.GetCall() != nil:
		if p.fault == "calls-anybody" {
			return done
		}
		return failed
	}
	return nil
}

// tool is the plugin's ToolService: a counter. It keeps sessions and answers in the gateway's key-value store.
type tool struct {
	pluginv1.UnimplementedToolServiceServer
	fault Fault

	mu      sync.Mutex
	gateway pluginv1.GatewayServiceClient // nil: the plugin is not configured yet
	memory  map[string][]byte             // of faults that forget with the process
}

// connect takes the socket of the first configuration.
func (t *tool) connect(socket string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gateway != nil {
		return nil
	}
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err == nil {
		t.gateway = pluginv1.NewGatewayServiceClient(conn)
	}
	return err
}

// inMemory reports whether what has this key is not stored.
func (t *tool) inMemory(key string) bool {
	return t.fault == "sessions-in-memory" || t.fault == "acts-in-memory" && strings.HasPrefix(key, "act/")
}

// load reads a message; false: there is none. The caller holds the lock.
func (t *tool) load(ctx context.Context, key string, m proto.Message) (bool, error) {
	if t.inMemory(key) {
		text, ok := t.memory[key]
		return ok, proto.Unmarshal(text, m)
	}
	r, err := t.gateway.KVGet(ctx, &pluginv1.KVGetRequest{Key: key})
	if err != nil || !r.GetFound() {
		return false, err
	}
	return true, proto.Unmarshal(r.GetValue(), m)
}

// store writes a message; the caller holds the lock.
func (t *tool) store(ctx context.Context, key string, m proto.Message) error {
	text, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	if t.inMemory(key) {
		t.memory[key] = text
		return nil
	}
	_, err = t.gateway.KVPut(ctx, &pluginv1.KVPutRequest{Key: key, Value: text})
	return err
}

// session reads a session; nil: there is none.
func (t *tool) session(ctx context.Context, id string) (*pluginv1.ToolSession, error) {
	s := &pluginv1.ToolSession{}
	if ok, err := t.load(ctx, "session/"+id, s); !ok || err != nil {
		return nil, err
	}
	return s, nil
}

func (t *tool) keep(ctx context.Context, s *pluginv1.ToolSession) error {
	return t.store(ctx, "session/"+s.GetSession(), s)
}

const toolPanel = `[{"type":"text","text":"Counting"},{"type":"button","action":"add","label":"Add"}]`

// Start implements ToolService.
func (t *tool) Start(ctx context.Context, r *pluginv1.ToolStartRequest) (*pluginv1.ToolStartResponse, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.session(ctx, r.GetSession())
	if err != nil {
		return nil, err
	}
	if s == nil {
		s = &pluginv1.ToolSession{Session: r.GetSession(), State: pluginv1.SessionState_SESSION_STATE_ACTIVE}
	}
	if s.Revision == 0 || t.fault == "starts-twice" {
		s.Revision++
	}
	if t.fault != "forgets-sessions" {
		err = t.keep(ctx, s)
	}
	return &pluginv1.ToolStartResponse{Session: s}, err
}

// Get implements ToolService.
func (t *tool) Get(ctx context.Context, r *pluginv1.ToolGetRequest) (*pluginv1.ToolGetResponse, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.session(ctx, r.GetSession())
	return &pluginv1.ToolGetResponse{Found: s != nil, Session: s}, err
}

// End implements ToolService.
func (t *tool) End(ctx context.Context, r *pluginv1.ToolEndRequest) (*pluginv1.ToolEndResponse, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.session(ctx, r.GetSession())
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return &pluginv1.ToolEndResponse{Session: &pluginv1.ToolSession{Session: r.GetSession(), State: pluginv1.SessionState_SESSION_STATE_ENDED}}, nil
	case s.GetState() == pluginv1.SessionState_SESSION_STATE_ENDED && t.fault == "ends-once":
		return nil, status.Error(codes.FailedPrecondition, "it has ended")
	case s.GetState() != pluginv1.SessionState_SESSION_STATE_ENDED:
		s.State, s.Cause = pluginv1.SessionState_SESSION_STATE_ENDED, r.GetCause()
	}
	return &pluginv1.ToolEndResponse{Session: s}, t.keep(ctx, s)
}

// Panel implements ToolService.
func (t *tool) Panel(ctx context.Context, r *pluginv1.ToolPanelRequest) (*pluginv1.ToolPanelResponse, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.session(ctx, r.GetSession())
	if s == nil || err != nil {
		return &pluginv1.ToolPanelResponse{}, err
	}
	blocks := toolPanel
	switch t.fault {
	case "huge-panel":
		blocks = `[{"type":"text","text":"` + strings.Repeat("x", contract.MaxPanel) + `"}]`
	case "garbled-panel":
		blocks = `<script>alert(1)</script>`
	}
	return &pluginv1.ToolPanelResponse{Panel: &pluginv1.Panel{Revision: s.GetRevision(), Blocks: blocks}}, nil
}

// Act implements ToolService.
func (t *tool) Act(ctx context.Context, r *pluginv1.ToolActRequest) (*pluginv1.ToolActResponse, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := &pluginv1.ToolActResponse{}
	switch repeat, err := t.load(ctx, "act/"+r.GetAct(), before); {
	case err != nil:
		return nil, err
	case repeat && t.fault == "refuses-repeats":
		return &pluginv1.ToolActResponse{Fault: &pluginv1.ToolFault{Code: "invalid"}}, nil
	case repeat && t.fault == "repeats-without-effects":
		before.Effects = nil
		return before, nil
	case repeat && t.fault != "acts-twice":
		return before, nil
	}
	answer, err := t.act(ctx, r)
	if err == nil {
		err = t.store(ctx, "act/"+r.GetAct(), answer)
	}
	return answer, err
}

func (t *tool) act(ctx context.Context, r *pluginv1.ToolActRequest) (*pluginv1.ToolActResponse, error) {
	s, err := t.session(ctx, r.GetSession())
	switch {
	case err != nil:
		return nil, err
	case s == nil:
		return &pluginv1.ToolActResponse{Fault: &pluginv1.ToolFault{Code: "ended"}}, nil
	case r.GetRevision() > s.GetRevision() && t.fault == "dies-of-revision":
		os.Exit(2)
	case r.GetAction() != "add":
		return &pluginv1.ToolActResponse{Fault: &pluginv1.ToolFault{Code: "invalid"}}, nil
	}
	s.Revision++
	return &pluginv1.ToolActResponse{
		Session: s, Panel: &pluginv1.Panel{Revision: s.GetRevision(), Blocks: toolPanel},
		Effects: []*pluginv1.Effect{{Effect: &pluginv1.Effect_Toast{Toast: "Added"}}},
	}, t.keep(ctx, s)
}
