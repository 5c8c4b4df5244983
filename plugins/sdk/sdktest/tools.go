package sdktest

import (
	"fmt"

	"github.com/google/uuid"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

// This file has what minor 1 added: read marks, typing, calls, tools, bots and templates.

// MarkRead delivers a read mark and returns the outcome. An empty ID is filled in.
func (h *Host) MarkRead(cmd sdk.MarkReadCommand) sdk.Result {
	h.tb.Helper()
	h.identify(&cmd.CommandInfo)
	return h.run(sdk.Wire{}.MarkRead(&cmd))
}

// Typing delivers a typing command and returns the outcome.
func (h *Host) Typing(cmd sdk.TypingCommand) sdk.Result {
	h.tb.Helper()
	h.identify(&cmd.CommandInfo)
	return h.run(sdk.Wire{}.Typing(&cmd))
}

// Call delivers a call command and returns the outcome. The session of a CallDial is known to the
// gateway from then on.
func (h *Host) Call(cmd sdk.CallCommand) sdk.Result {
	h.tb.Helper()
	h.identify(&cmd.CommandInfo)
	wire, err := sdk.Wire{}.Call(&cmd)
	if err != nil {
		h.tb.Fatalf("sdktest: call: %v", err)
	}
	if _, ok := cmd.Do.(sdk.CallDial); ok {
		h.ledger.Session(string(cmd.Session), string(cmd.Account), string(cmd.Conversation), true)
	}
	return h.run(wire)
}

// NewSessionID makes the id of a session, as the gateway does.
func NewSessionID() sdk.SessionID { return sdk.SessionID(uuid.Must(uuid.NewV7()).String()) }

// StartTool begins a session of a tool. The error is a *sdk.ToolFault, or that of a failed call.
func (h *Host) StartTool(r sdk.ToolStart) (sdk.ToolSession, error) {
	h.tb.Helper()
	h.ledger.Session(string(r.Session), string(r.Account), string(r.Conversation), false)
	ctx, cancel := h.context()
	defer cancel()
	resp, err := h.tools.Start(ctx, sdk.Wire{}.ToolStart(&r))
	switch {
	case err != nil:
		return sdk.ToolSession{}, fmt.Errorf("tool start: %w", err)
	case resp.GetFault() != nil:
		return sdk.ToolSession{}, sdk.Wire{}.Fault(resp.GetFault())
	}
	return h.toolSession(resp.GetSession()), nil
}

func (h *Host) toolSession(w *pluginv1.ToolSession) sdk.ToolSession {
	h.tb.Helper()
	s, err := sdk.Wire{}.ToolSession(w)
	if err != nil {
		h.tb.Fatalf("sdktest: tool session: %v", err)
	}
	return s
}

// GetTool returns a session of a tool; false: the tool does not know it.
func (h *Host) GetTool(id sdk.SessionID) (sdk.ToolSession, bool) {
	h.tb.Helper()
	ctx, cancel := h.context()
	defer cancel()
	resp, err := h.tools.Get(ctx, &pluginv1.ToolGetRequest{Session: string(id)})
	if err != nil {
		h.tb.Fatalf("sdktest: tool get: %v", err)
	}
	if !resp.GetFound() {
		return sdk.ToolSession{}, false
	}
	return h.toolSession(resp.GetSession()), true
}

// EndTool ends a session of a tool.
func (h *Host) EndTool(r sdk.ToolEnd) (sdk.ToolSession, error) {
	h.tb.Helper()
	ctx, cancel := h.context()
	defer cancel()
	resp, err := h.tools.End(ctx, sdk.Wire{}.ToolEnd(&r))
	if err != nil {
		return sdk.ToolSession{}, fmt.Errorf("tool end: %w", err)
	}
	return h.toolSession(resp.GetSession()), nil
}

// Panel returns what a viewer sees of a tool's session; nil: nothing.
func (h *Host) Panel(id sdk.SessionID, viewer sdk.Party) *sdk.Panel {
	h.tb.Helper()
	ctx, cancel := h.context()
	defer cancel()
	resp, err := h.tools.Panel(ctx, &pluginv1.ToolPanelRequest{Session: string(id), Viewer: sdk.Wire{}.Party(viewer)})
	if err != nil {
		h.tb.Fatalf("sdktest: tool panel: %v", err)
	}
	p, err := sdk.Wire{}.Panel(resp.GetPanel())
	if err != nil {
		h.tb.Fatalf("sdktest: tool panel: %v", err)
	}
	return p
}

// Act uses a panel. The error is a *sdk.ToolFault, or that of a failed call. An empty ID is filled
// in.
func (h *Host) Act(r sdk.ToolAct) (sdk.ToolAnswer, error) {
	h.tb.Helper()
	if r.ID == "" {
		r.ID = uuid.NewString()
	}
	ctx, cancel := h.context()
	defer cancel()
	resp, err := h.tools.Act(ctx, sdk.Wire{}.ToolAct(&r))
	switch {
	case err != nil:
		return sdk.ToolAnswer{}, fmt.Errorf("tool act: %w", err)
	case resp.GetFault() != nil:
		return sdk.ToolAnswer{}, sdk.Wire{}.Fault(resp.GetFault())
	}
	a, err := sdk.Wire{}.ToolAnswer(resp)
	if err != nil {
		h.tb.Fatalf("sdktest: tool act: %v", err)
	}
	return a, nil
}

// NotifyTool sends a notice to a tool.
func (h *Host) NotifyTool(n sdk.ToolNotice) {
	h.tb.Helper()
	if err := h.session.ToolNotices(sdk.Wire{}.ToolNotice(&n)); err != nil {
		h.tb.Fatalf("sdktest: tool notice: %v", err)
	}
}

// NotifyBot makes an account the bot of a conversation, or takes it out, and tells the plugin.
func (h *Host) NotifyBot(n sdk.BotNotice) {
	h.tb.Helper()
	if err := h.session.BotNotices(sdk.Wire{}.BotNotice(&n)); err != nil {
		h.tb.Fatalf("sdktest: bot notice: %v", err)
	}
}

// PublishBot waits until the plugin reads a conversation as its bot, and sends it records. They are
// sent as they are, so give each its Seq; live tells the reader that it is up to date.
func (h *Host) PublishBot(account sdk.AccountID, conversation sdk.ConversationID, live bool, records ...sdk.Record) {
	h.tb.Helper()
	sub := h.wait("a bot's subscription", func(it wirehost.Item) bool {
		return it.Subscribe.GetAudience() == "bot" && it.Subscribe.GetAccount() == string(account) && it.Subscribe.GetConversation() == string(conversation)
	}).Subscribe
	batch := &pluginv1.RecordBatch{Subscription: sub.GetSubscription(), Live: live}
	for i := range records {
		records[i].Conversation = conversation
		batch.Records = append(batch.Records, sdk.Wire{}.Record(&records[i]))
	}
	if err := h.session.Records(batch); err != nil {
		h.tb.Fatalf("sdktest: publish: %v", err)
	}
}

// WaitTemplates returns the templates of an account, as soon as the plugin has reported some that
// match accepts.
func (h *Host) WaitTemplates(account sdk.AccountID, match func([]sdk.TemplateInfo) bool) []sdk.TemplateInfo {
	h.tb.Helper()
	it := h.wait("templates", func(it wirehost.Item) bool {
		if it.Templates.GetAccount() != string(account) {
			return false
		}
		_, list := sdk.Wire{}.Templates(it.Templates)
		return match(list)
	})
	_, list := sdk.Wire{}.Templates(it.Templates)
	return list
}
