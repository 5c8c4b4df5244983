package memgateway

import (
	"encoding/json"
	"strings"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// This file has what minor 1 added: sessions of calls and tools, bots, and what customers do with
// them.

// Limits of minor 1, in bytes unless a line says otherwise.
const (
	maxJSON       = 64 << 10 // blocks of a panel, values of its fields
	maxSealed     = 64 << 10
	maxComment    = 16 << 10
	maxActionName = 64
	maxDigits     = 128
	maxQualities  = 64 // number of legs
)

// session is a call or a tool's session.
type session struct {
	account      string
	conversation string
	call         bool
	ended        bool
	revision     uint64 // of the tool's panel
}

type botKey struct{ account, conversation string }

// Bot says that an account is the bot of a conversation, or no longer.
func (l *Ledger) Bot(account, conversation string, takesPart bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.init()
	l.bots[botKey{account, conversation}] = takesPart
}

// IsBot reports whether an account is the bot of a conversation. Until Configure is called every one
// is.
func (l *Ledger) IsBot(account, conversation string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.isBot(account, conversation)
}

func (l *Ledger) isBot(account, conversation string) bool {
	takesPart, known := l.bots[botKey{account, conversation}]
	return takesPart || !known && !l.strict
}

// Session records a session that the plugin was asked for: a tool's, or a call that is dialled.
func (l *Ledger) Session(id, account, conversation string, call bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.init()
	if l.sessions[id] == nil {
		l.sessions[id] = &session{account: account, conversation: conversation, call: call}
	}
}

// bot answers what a bot does.
func (l *Ledger) bot(ev *pluginv1.Event, a *pluginv1.BotAction) *pluginv1.EventAck {
	conversation := a.GetConversation()
	post := [2]string{conversation, ev.GetAccount() + "/" + a.GetPost().GetClientId()}
	if before, ok := l.posts[post]; ok && a.GetPost() != nil {
		return duplicate(before)
	}
	keys := keysOf(ev)
	for _, k := range keys {
		if before, ok := l.seen[k]; ok {
			return duplicate(before)
		}
	}
	if !l.isBot(ev.GetAccount(), conversation) {
		if l.over[conversation] {
			return refused("ended")
		}
		return refused("not_joined")
	}
	c := &Conversation{ID: conversation, Account: ev.GetAccount()}
	for _, open := range l.open {
		if open.ID == conversation {
			c = open
		}
	}
	l.botSeq++
	r := record{conversation: conversation, seq: l.botSeq}
	if l.Write != nil {
		r.seq = l.Write(c, ev)
	}
	if a.GetPost() != nil {
		l.posts[post] = r
	}
	if a.GetHandOver() != nil || a.GetEnd() != nil {
		l.bots[botKey{ev.GetAccount(), conversation}] = false
	}
	if a.GetEnd() != nil {
		l.end(c)
	}
	l.bind(keys, r)
	return committed(r)
}

// tool answers a tool's event. One that is older than what is known changes nothing.
func (l *Ledger) tool(account string, t *pluginv1.ToolSession) *pluginv1.EventAck {
	s := l.sessions[t.GetSession()]
	switch {
	case s == nil && !l.strict:
		return committed(record{})
	case s == nil || s.call || s.account != account:
		return refused("unknown_session")
	}
	r := record{conversation: s.conversation}
	if s.ended || t.GetRevision() < s.revision {
		return duplicate(r)
	}
	s.ended, s.revision = t.GetState() == pluginv1.SessionState_SESSION_STATE_ENDED, t.GetRevision()
	return committed(r)
}

// call answers what happens in a call.
func (l *Ledger) call(ev *pluginv1.Event, e *pluginv1.CallEvent) *pluginv1.EventAck {
	keys := keysOf(ev)
	for _, k := range keys {
		if before, ok := l.seen[k]; ok {
			return duplicate(before)
		}
	}
	s := l.sessions[e.GetSession()]
	if e.GetIncoming() != nil {
		return l.incoming(ev, e, keys)
	}
	switch {
	case s == nil && !l.strict:
		return committed(record{})
	case s == nil || !s.call || s.account != ev.GetAccount():
		return refused("unknown_session")
	}
	r := record{conversation: s.conversation}
	if s.ended {
		return refused("ended")
	}
	s.ended = e.GetEnded() != nil
	if c := l.open[place{ev.GetAccount(), ev.GetThread()}]; c != nil && c.ID == s.conversation {
		r.seq = l.write(c, ev)
	}
	l.bind(keys, r)
	return committed(r)
}

func (l *Ledger) incoming(ev *pluginv1.Event, e *pluginv1.CallEvent, keys []key) *pluginv1.EventAck {
	at := place{ev.GetAccount(), ev.GetThread()}
	if s := l.sessions[e.GetSession()]; s != nil {
		return duplicate(record{conversation: s.conversation})
	}
	c := l.open[at]
	if c == nil {
		c = &Conversation{ID: newID(), Account: at.account, Thread: at.thread}
		l.open[at] = c
	}
	l.sessions[e.GetSession()] = &session{account: at.account, conversation: c.ID, call: true}
	r := record{conversation: c.ID, seq: l.write(c, ev)}
	l.bind(keys, r)
	return committed(r)
}

// newFault is fault for the kinds of events that minor 1 added.
func newFault(ev *pluginv1.Event) string {
	switch k := ev.GetKind().(type) {
	case *pluginv1.Event_Call:
		return callFault(k.Call)
	case *pluginv1.Event_Tool:
		if ev.GetThread() != "" {
			return invalid
		}
		return toolFault(k.Tool.GetSession())
	case *pluginv1.Event_Bot:
		if ev.GetThread() != "" {
			return invalid
		}
		return botFault(k.Bot)
	}
	return ""
}

func botFault(a *pluginv1.BotAction) string {
	if !isID(a.GetConversation()) {
		return invalid
	}
	switch k := a.GetAction().(type) {
	case *pluginv1.BotAction_Post:
		if n := len(k.Post.GetClientId()); n == 0 || n > maxClientID || k.Post.GetReplyTo() != "" && !isID(k.Post.GetReplyTo()) || len(k.Post.GetParts()) == 0 {
			return invalid
		}
		return partsFault(k.Post.GetParts())
	case *pluginv1.BotAction_HandOver:
		if anyLong(k.HandOver.GetService(), k.HandOver.GetReason()) {
			return tooLarge
		}
	case *pluginv1.BotAction_End:
		if anyLong(k.End.GetReason()) {
			return tooLarge
		}
	case *pluginv1.BotAction_Attributes:
		if len(k.Attributes.GetAttributes()) == 0 || attributesFault(k.Attributes.GetAttributes()) {
			return invalid
		}
	default:
		return unsupported
	}
	return ""
}

func toolFault(t *pluginv1.ToolSession) string {
	if !isID(t.GetSession()) {
		return invalid
	}
	switch t.GetState() {
	case pluginv1.SessionState_SESSION_STATE_REQUESTED, pluginv1.SessionState_SESSION_STATE_WAITING,
		pluginv1.SessionState_SESSION_STATE_ACTIVE, pluginv1.SessionState_SESSION_STATE_ENDED:
	default:
		return invalid
	}
	if anyLong(t.GetNote()) {
		return tooLarge
	}
	for _, p := range []*pluginv1.Panel{t.GetPanel(), t.GetCustomerPanel()} {
		blocks := p.GetBlocks()
		switch {
		case len(blocks) > maxJSON:
			return tooLarge
		case blocks != "" && (!strings.HasPrefix(blocks, "[") || !json.Valid([]byte(blocks))):
			return invalid
		}
	}
	return ""
}

func callFault(e *pluginv1.CallEvent) string {
	if !isID(e.GetSession()) {
		return invalid
	}
	switch k := e.GetEvent().(type) {
	case *pluginv1.CallEvent_Incoming:
		if anyLong(k.Incoming.GetFrom().GetAddress(), k.Incoming.GetFrom().GetName(), k.Incoming.GetCalled()) {
			return tooLarge
		}
		if attributesFault(k.Incoming.GetAttributes()) {
			return tooLarge
		}
		return legFault(k.Incoming.GetLeg())
	case *pluginv1.CallEvent_Leg:
		return legFault(k.Leg)
	case *pluginv1.CallEvent_Digits:
		if !isID(k.Digits.GetLeg()) || k.Digits.GetDigits() == "" || digitsFault(k.Digits.GetDigits()) {
			return invalid
		}
	case *pluginv1.CallEvent_Played:
		if k.Played.GetLeg() != "" && !isID(k.Played.GetLeg()) || !isID(k.Played.GetCommandId()) || digitsFault(k.Played.GetDigits()) {
			return invalid
		}
	case *pluginv1.CallEvent_Recording:
		if !isID(k.Recording.GetFile().GetBlob()) {
			return invalid
		}
	case *pluginv1.CallEvent_State:
		switch k.State.GetState() {
		case pluginv1.SessionState_SESSION_STATE_REQUESTED, pluginv1.SessionState_SESSION_STATE_WAITING, pluginv1.SessionState_SESSION_STATE_ACTIVE:
		default:
			return invalid
		}
	case *pluginv1.CallEvent_Ended:
		if len(k.Ended.GetQuality()) > maxQualities {
			return tooLarge
		}
		for _, q := range k.Ended.GetQuality() {
			if !isID(q.GetLeg()) || !(q.GetLoss() >= 0 && q.GetLoss() <= 1) || !(q.GetMos() >= 0 && q.GetMos() <= 5) { // false for NaN, too
				return invalid
			}
		}
	default:
		return unsupported
	}
	return ""
}

func digitsFault(s string) bool {
	return len(s) > maxDigits || strings.Trim(s, "0123456789*#ABCD") != ""
}

func legFault(leg *pluginv1.CallLeg) string {
	if !isID(leg.GetLeg()) {
		return invalid
	}
	switch leg.GetParty().GetKind() {
	case "customer", "outside":
	case "agent", "supervisor", "bot":
		if !isID(leg.GetParty().GetId()) {
			return invalid
		}
	default:
		return invalid
	}
	if k := leg.GetKind(); k != pluginv1.LegKind_LEG_KIND_SIP && k != pluginv1.LegKind_LEG_KIND_WEB {
		return unsupported
	}
	if s := leg.GetState(); s < pluginv1.LegState_LEG_STATE_DIALLING || s > pluginv1.LegState_LEG_STATE_ENDED {
		return unsupported
	}
	return ""
}

// useFault is actionFault for what customers do with tools, calls and forms.
func useFault(a *pluginv1.CustomerAction) string {
	switch k := a.GetAction().(type) {
	case *pluginv1.CustomerAction_Tool:
		name, values := k.Tool.GetAction(), k.Tool.GetValues()
		start := name == "start"
		switch {
		case name == "" || len(name) > maxActionName, start != (k.Tool.GetSession() == ""),
			start && !isID(k.Tool.GetAccount()), !start && !isID(k.Tool.GetSession()):
			return invalid
		case len(values) > maxJSON:
			return tooLarge
		case values != "" && (!strings.HasPrefix(values, "{") || !json.Valid([]byte(values))):
			return invalid
		}
	case *pluginv1.CustomerAction_Call:
		switch k.Call.GetAction() {
		case "start":
			if k.Call.GetSession() != "" {
				return invalid
			}
		case "answer", "decline", "end", "mute", "unmute", "video_on", "video_off":
			if !isID(k.Call.GetSession()) {
				return invalid
			}
		default:
			return unsupported
		}
	case *pluginv1.CustomerAction_Satisfaction:
		if id := k.Satisfaction.GetConversation(); id != "" && !isID(id) {
			return invalid
		}
		if len(k.Satisfaction.GetComment()) > maxComment {
			return tooLarge
		}
	case *pluginv1.CustomerAction_Form:
		switch {
		case !isID(k.Form.GetSession()):
			return invalid
		case len(k.Form.GetSealed()) > maxSealed:
			return tooLarge
		case k.Form.GetCancelled() != (len(k.Form.GetSealed()) == 0):
			return invalid
		}
	}
	return ""
}
