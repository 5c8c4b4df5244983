package sdk

import (
	"fmt"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// This file converts tools, bots, and the commands of minor 1 for channels, in both directions.

func panelToWire(p *Panel, revision uint64) (*pluginv1.Panel, error) {
	if p == nil {
		return nil, nil //nolint:nilnil // unset: unchanged
	}
	blocks, err := EncodeBlocks(p.Blocks)
	if err != nil {
		return nil, err
	}
	if p.Revision != 0 {
		revision = p.Revision
	}
	return &pluginv1.Panel{Revision: revision, Blocks: blocks}, nil
}

func panelFromWire(w *pluginv1.Panel) (*Panel, error) {
	if w == nil {
		return nil, nil //nolint:nilnil // unset: unchanged
	}
	blocks, err := DecodeBlocks(w.GetBlocks())
	return &Panel{Revision: w.GetRevision(), Blocks: blocks}, err
}

func toolSessionToWire(s *ToolSession) (*pluginv1.ToolSession, error) {
	agents, err := panelToWire(s.Panel, s.Revision)
	if err != nil {
		return nil, err
	}
	customers, err := panelToWire(s.CustomerPanel, s.Revision)
	if err != nil {
		return nil, err
	}
	return &pluginv1.ToolSession{
		Session: string(s.ID), State: pluginv1.SessionState(s.State), Cause: s.Cause, Code: s.Code,
		Revision: s.Revision, Panel: agents, Note: s.Note, CustomerPanel: customers,
	}, nil
}

func toolSessionFromWire(w *pluginv1.ToolSession) (ToolSession, error) {
	agents, err := panelFromWire(w.GetPanel())
	if err != nil {
		return ToolSession{}, err
	}
	customers, err := panelFromWire(w.GetCustomerPanel())
	if err != nil {
		return ToolSession{}, err
	}
	return ToolSession{
		ID: SessionID(w.GetSession()), State: SessionState(w.GetState()), Cause: w.GetCause(), Code: w.GetCode(),
		Revision: w.GetRevision(), Panel: agents, Note: w.GetNote(), CustomerPanel: customers,
	}, nil
}

func toolStartToWire(r *ToolStart) *pluginv1.ToolStartRequest {
	return &pluginv1.ToolStartRequest{
		Session: string(r.Session), Account: string(r.Account), Conversation: string(r.Conversation), Service: r.Service,
		By: partyToWire(r.By), Agent: partyToWire(r.Agent), AgentEmail: r.AgentEmail, Customer: partyToWire(r.Customer),
		Locale: r.Locale, Settings: string(r.Settings), Arguments: string(r.Arguments), Panels: r.Panels, Expires: micros(r.Expires),
	}
}

func toolStartFromWire(w *pluginv1.ToolStartRequest) *ToolStart {
	return &ToolStart{
		Session: SessionID(w.GetSession()), Account: AccountID(w.GetAccount()), Conversation: ConversationID(w.GetConversation()),
		Service: w.GetService(), By: partyFromWire(w.GetBy()), Agent: partyFromWire(w.GetAgent()), AgentEmail: w.GetAgentEmail(),
		Customer: partyFromWire(w.GetCustomer()), Locale: w.GetLocale(), Settings: rawOf(w.GetSettings()),
		Arguments: rawOf(w.GetArguments()), Panels: w.GetPanels(), Expires: timeOf(w.GetExpires()),
	}
}

func toolEndToWire(r *ToolEnd) *pluginv1.ToolEndRequest {
	return &pluginv1.ToolEndRequest{Session: string(r.Session), By: partyToWire(r.By), Cause: r.Cause}
}

func toolEndFromWire(w *pluginv1.ToolEndRequest) *ToolEnd {
	return &ToolEnd{Session: SessionID(w.GetSession()), By: partyFromWire(w.GetBy()), Cause: w.GetCause()}
}

func toolActToWire(r *ToolAct) *pluginv1.ToolActRequest {
	return &pluginv1.ToolActRequest{
		Act: r.ID, Session: string(r.Session), Viewer: partyToWire(r.Viewer), Action: r.Action, Values: string(r.Values), Revision: r.Revision,
	}
}

func toolActFromWire(w *pluginv1.ToolActRequest) *ToolAct {
	return &ToolAct{
		ID: w.GetAct(), Session: SessionID(w.GetSession()), Viewer: partyFromWire(w.GetViewer()), Action: w.GetAction(),
		Values: rawOf(w.GetValues()), Revision: w.GetRevision(),
	}
}

func toolAnswerToWire(a *ToolAnswer) (*pluginv1.ToolActResponse, error) {
	panel, err := panelToWire(a.Panel, 0)
	if err != nil {
		return nil, err
	}
	if len(a.Effects) > contract.MaxEffects {
		return nil, fmt.Errorf("%d effects, at most %d: %w", len(a.Effects), contract.MaxEffects, ErrTooLarge)
	}
	out := &pluginv1.ToolActResponse{Panel: panel}
	for _, effect := range a.Effects {
		w := &pluginv1.Effect{}
		switch e := effect.(type) {
		case InsertText:
			w.Effect = &pluginv1.Effect_InsertText{InsertText: e.Text}
		case OpenURL:
			if err := checkURL(e.URL); err != nil {
				return nil, fmt.Errorf("effect: %w", err)
			}
			w.Effect = &pluginv1.Effect_OpenUrl{OpenUrl: e.URL}
		case Toast:
			w.Effect = &pluginv1.Effect_Toast{Toast: e.Text}
		case ClosePanel:
			w.Effect = &pluginv1.Effect_End{End: true}
		default:
			return nil, fmt.Errorf("effect %T: %w", effect, errUnknownKind)
		}
		out.Effects = append(out.Effects, w)
	}
	if a.Session != nil {
		if out.Session, err = toolSessionToWire(a.Session); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// toolAnswerFromWire reads the answer to an act. Effects of an unknown kind are left out.
func toolAnswerFromWire(w *pluginv1.ToolActResponse) (ToolAnswer, error) {
	panel, err := panelFromWire(w.GetPanel())
	if err != nil {
		return ToolAnswer{}, err
	}
	out := ToolAnswer{Panel: panel}
	for _, e := range w.GetEffects() {
		switch k := e.GetEffect().(type) {
		case *pluginv1.Effect_InsertText:
			out.Effects = append(out.Effects, InsertText{Text: k.InsertText})
		case *pluginv1.Effect_OpenUrl:
			out.Effects = append(out.Effects, OpenURL{URL: k.OpenUrl})
		case *pluginv1.Effect_Toast:
			out.Effects = append(out.Effects, Toast{Text: k.Toast})
		case *pluginv1.Effect_End:
			if k.End {
				out.Effects = append(out.Effects, ClosePanel{})
			}
		}
	}
	if w.GetSession() != nil {
		session, err := toolSessionFromWire(w.GetSession())
		if err != nil {
			return ToolAnswer{}, err
		}
		out.Session = &session
	}
	return out, nil
}

func faultToWire(f *ToolFault) *pluginv1.ToolFault {
	return &pluginv1.ToolFault{Code: f.Code, Text: f.Text, RetryAfterMs: millis(f.RetryAfter)}
}

func faultFromWire(w *pluginv1.ToolFault) *ToolFault {
	return &ToolFault{Code: w.GetCode(), Text: w.GetText(), RetryAfter: durationOf(w.GetRetryAfterMs())}
}

func toolNoticeToWire(n *ToolNotice) *pluginv1.ToolNotice {
	return &pluginv1.ToolNotice{
		Session: string(n.Session), Account: string(n.Account), Conversation: string(n.Conversation), What: n.What, Party: partyToWire(n.Party),
	}
}

func toolNoticeFromWire(w *pluginv1.ToolNotice) ToolNotice {
	return ToolNotice{
		Session: SessionID(w.GetSession()), Account: AccountID(w.GetAccount()), Conversation: ConversationID(w.GetConversation()),
		What: w.GetWhat(), Party: partyFromWire(w.GetParty()),
	}
}

func botNoticeToWire(n *BotNotice) *pluginv1.BotNotice {
	return &pluginv1.BotNotice{Account: string(n.Account), Conversation: string(n.Conversation), Left: n.Left, Seq: n.Seq}
}

func botNoticeFromWire(w *pluginv1.BotNotice) BotNotice {
	return BotNotice{Account: AccountID(w.GetAccount()), Conversation: ConversationID(w.GetConversation()), Left: w.GetLeft(), Seq: w.GetSeq()}
}

func botActionToWire(body EventBody) (*pluginv1.BotAction, error) {
	out := &pluginv1.BotAction{}
	switch b := body.(type) {
	case BotPost:
		parts, err := partsToWire(b.Parts)
		if err != nil {
			return nil, err
		}
		out.Conversation = string(b.Conversation)
		out.Action = &pluginv1.BotAction_Post{Post: &pluginv1.BotPost{ClientId: b.ClientID, Parts: parts, ReplyTo: string(b.ReplyTo)}}
	case BotHandOver:
		out.Conversation = string(b.Conversation)
		out.Action = &pluginv1.BotAction_HandOver{HandOver: &pluginv1.BotHandOver{Service: b.Service, Reason: b.Reason}}
	case BotEnd:
		out.Conversation = string(b.Conversation)
		out.Action = &pluginv1.BotAction_End{End: &pluginv1.BotEnd{Reason: b.Reason}}
	case BotAttributes:
		out.Conversation = string(b.Conversation)
		out.Action = &pluginv1.BotAction_Attributes{Attributes: &pluginv1.Attributes{Attributes: attributesToWire(b.Attributes)}}
	}
	return out, nil
}

func botActionFromWire(w *pluginv1.BotAction) (EventBody, error) {
	id := ConversationID(w.GetConversation())
	switch k := w.GetAction().(type) {
	case *pluginv1.BotAction_Post:
		parts, err := partsFromWire(k.Post.GetParts())
		return BotPost{Conversation: id, ClientID: k.Post.GetClientId(), Parts: parts, ReplyTo: MessageID(k.Post.GetReplyTo())}, err
	case *pluginv1.BotAction_HandOver:
		return BotHandOver{Conversation: id, Service: k.HandOver.GetService(), Reason: k.HandOver.GetReason()}, nil
	case *pluginv1.BotAction_End:
		return BotEnd{Conversation: id, Reason: k.End.GetReason()}, nil
	case *pluginv1.BotAction_Attributes:
		return BotAttributes{Conversation: id, Attributes: attributesFromWire(k.Attributes.GetAttributes())}, nil
	default:
		return nil, fmt.Errorf("bot action %T: %w", k, errUnknownKind)
	}
}

func markReadToWire(c *MarkReadCommand) *pluginv1.Command {
	out := infoToWire(&c.CommandInfo)
	out.Kind = &pluginv1.Command_MarkRead{MarkRead: &pluginv1.MarkRead{
		MessageId: string(c.MessageID), ProviderId: c.ProviderID, ProviderIds: c.ProviderIDs,
	}}
	return out
}

func markReadFromWire(c *pluginv1.Command, m *pluginv1.MarkRead) *MarkReadCommand {
	return &MarkReadCommand{
		CommandInfo: infoFromWire(c), MessageID: MessageID(m.GetMessageId()), ProviderID: m.GetProviderId(), ProviderIDs: m.GetProviderIds(),
	}
}

func typingToWire(c *TypingCommand) *pluginv1.Command {
	out := infoToWire(&c.CommandInfo)
	out.Kind = &pluginv1.Command_Typing{Typing: &pluginv1.Typing{On: c.On, ProviderId: c.ProviderID}}
	return out
}

func typingFromWire(c *pluginv1.Command, t *pluginv1.Typing) *TypingCommand {
	return &TypingCommand{CommandInfo: infoFromWire(c), On: t.GetOn(), ProviderID: t.GetProviderId()}
}
