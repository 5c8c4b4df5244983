package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/auth"
)

type listInput struct {
	Scope   string   `query:"scope" enum:"mine,recent,all" default:"mine" doc:"mine: takes part now; recent: takes or took part; all: everybody's, for supervisors"`
	Phase   []string `query:"phase" enum:"open,ended,concluded" doc:"Any of these"`
	Service string   `query:"service" format:"uuid"`
	Account string   `query:"account" format:"uuid"`
	Contact string   `query:"contact" format:"uuid"`
	Agent   string   `query:"agent" format:"uuid" doc:"With scope all: who takes or took part"`
	Cursor  string   `query:"cursor" format:"uuid" doc:"next of the page before"`
	Limit   int      `query:"limit" minimum:"1" maximum:"100" default:"30"`
}

type listOutput struct {
	Body struct {
		Conversations []SummaryView `json:"conversations"`
		Next          string        `json:"next,omitempty" doc:"Cursor of the next page; absent on the last one"`
	}
}

// SummaryView is a line of a list. Its name is exported because conversationOutput embeds it: the
// description tells only of the fields of exported names.
type SummaryView struct {
	ID        conversation.ConversationID `json:"id" format:"uuid"`
	Phase     conversation.Phase          `json:"phase" enum:"open,ended,concluded"`
	Display   string                      `json:"display" doc:"The state that people see: bot, queued, offered, active, parked, wrapup, ended, concluded"`
	Channel   string                      `json:"channel" doc:"Id of the plugin"`
	Title     string                      `json:"title,omitempty"`
	Icon      string                      `json:"icon,omitempty"`
	Service   *ServiceRef                 `json:"service,omitempty"`
	Account   accountRef                  `json:"account"`
	Contact   conversation.ContactID      `json:"contact,omitzero" format:"uuid"`
	Customer  CustomerRef                 `json:"customer"`
	Address   string                      `json:"address,omitempty" doc:"The customer's telephone number, where the channel has numbers"`
	Owner     *AgentRef                   `json:"owner,omitempty" doc:"Who keeps it while it is parked"`
	Unread    int                         `json:"unread,omitempty" doc:"Messages that wait in the reader's own Recent"`
	Agents    []AgentRef                  `json:"agents" doc:"Who takes or took part"`
	Flagged   bool                        `json:"flagged"`
	StartedAt time.Time                   `json:"started_at"`
	EndedAt   *time.Time                  `json:"ended_at,omitempty"`
	EndCause  conversation.Cause          `json:"end_cause,omitempty"`
	Seq       uint64                      `json:"seq" doc:"Sequence of the last event that the reader may see"`
}

type oneInput struct {
	ID string `path:"id" format:"uuid"`
}

type conversationOutput struct {
	Body struct {
		SummaryView
		Info InfoView `json:"info" doc:"What an agent's screen needs beside the events"`
	}
}

type eventsInput struct {
	ID    string `path:"id" format:"uuid"`
	After uint64 `query:"after" doc:"Events with a greater sequence"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type eventsOutput struct {
	Body struct {
		Events []eventView `json:"events"`
	}
}

// eventView is an event as stored.
type eventView struct {
	Seq  uint64            `json:"seq"`
	Prev uint64            `json:"prev" doc:"Sequence of the event before this one that the reader may see"`
	At   time.Time         `json:"at"`
	Type conversation.Type `json:"type"`
	Head json.RawMessage   `json:"head"`
	Body json.RawMessage   `json:"body,omitempty"`
	// Status is of the newest hundred messages to a store-and-forward channel.
	Status conversation.Status `json:"status,omitempty" enum:"accepted,unknown,sent,failed,delivered,read" doc:"Of a message to a store-and-forward channel: how far it got"`
}

type sendInput struct {
	ID   string `path:"id" format:"uuid"`
	Body struct {
		ClientID string              `json:"client_id" minLength:"1" maxLength:"64" doc:"A retry under the same id is the same message"`
		Parts    []conversation.Part `json:"parts" minItems:"1" maxItems:"10"`
		ReplyTo  string              `json:"reply_to,omitempty" format:"uuid"`
	}
}

type sendOutput struct {
	Body struct {
		Message conversation.MessageID `json:"message" format:"uuid"`
		Seq     uint64                 `json:"seq"`
	}
}

type grantInput struct {
	ID   string `path:"id" format:"uuid"`
	Body struct {
		Purpose string `json:"purpose" pattern:"^[a-z][a-z0-9_.-]{0,63}$" doc:"What is opened, in the plugin's words"`
		Plugin  string `json:"plugin,omitempty" maxLength:"64" doc:"Default: the conversation's channel"`
	}
}

type grantOutput struct {
	Body struct {
		Grant   string    `json:"grant" doc:"Single use: header Parley-Grant, first frame or postMessage, never in a URL"`
		Expires time.Time `json:"expires"`
	}
}

func (a *API) conversationRoutes() {
	const tag = "conversations"
	agent := directory.RoleAgent
	register(a, op("list-conversations", http.MethodGet, "/conversations", tag, "List conversations, newest first", agent), agent, a.listConversations)
	register(a, op("get-conversation", http.MethodGet, "/conversations/{id}", tag, "Describe a conversation", agent), agent, a.getConversation)
	register(a, op("list-events", http.MethodGet, "/conversations/{id}/events", tag, "Read a conversation's events", agent), agent, a.listEvents)
	o := op("send-message", http.MethodPost, "/conversations/{id}/messages", tag, "Send a message; 202 means that it is durable", agent)
	o.DefaultStatus, o.MaxBodyBytes = http.StatusAccepted, 256<<10
	register(a, o, agent, a.postMessage)
	register(a, op("mint-grant", http.MethodPost, "/conversations/{id}/grants", tag, "Get a grant to open something at a plugin", agent), agent, a.mintGrant)
}

func (a *API) listConversations(ctx context.Context, id auth.Identity, in *listInput) (*listOutput, error) {
	q := eventlog.ConversationQuery{Phases: in.Phase, Limit: in.Limit + 1}
	q.Service, q.Account, q.Contact, q.Before = stream(in.Service), stream(in.Account), stream(in.Contact), stream(in.Cursor)
	switch in.Scope {
	case "all":
		if !id.Role.Includes(directory.RoleSupervisor) {
			a.opts.Auth.Denied(ctx, id, "conversations")
			return nil, NewFault("denied")
		}
		q.Agent = stream(in.Agent)
	default:
		if in.Agent != "" {
			return nil, NewFault("invalid", Detail{"agent", "needs scope all"})
		}
		q.Agent, q.Active = eventlog.StreamID(id.User), in.Scope == "mine"
	}
	rows, err := a.opts.Log.Conversations(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &listOutput{}
	out.Body.Conversations = []SummaryView{}
	if len(rows) > in.Limit {
		rows = rows[:in.Limit]
		out.Body.Next = conversation.ConversationID(rows[in.Limit-1].ID).String()
	}
	states := make([]conversation.State, len(rows))
	for i, row := range rows {
		info, err := a.rowInfo(ctx, id, row)
		if err != nil {
			return nil, err
		}
		states[i] = info.State
		out.Body.Conversations = append(out.Body.Conversations, a.summaryView(id, &info))
	}
	return out, auditList(ctx, a.opts.Directory.Trail(), id, states)
}

// stream parses an id that was validated before; "" gives the zero id.
func stream(id string) eventlog.StreamID {
	parsed, err := conversation.ParseID[conversation.ConversationID](id)
	if err != nil {
		return eventlog.StreamID{}
	}
	return eventlog.StreamID(parsed)
}

// rowInfo describes a conversation from its row and the beginning of its log, without loading it
// into the router's memory.
func (a *API) rowInfo(ctx context.Context, id auth.Identity, row eventlog.ConversationRow) (router.Info, error) {
	var i router.Info
	if err := json.Unmarshal(row.State, &i.State); err != nil {
		return i, fmt.Errorf("state of conversation: %w", err)
	}
	i.State.Seq = max(i.State.Seq, row.Seq)
	recs, err := a.opts.Router.Records(ctx, conversation.ConversationID(row.ID), AudienceOf(id), 0, 8)
	if err != nil {
		return i, err
	}
	for _, r := range recs {
		var into any
		switch r.Type {
		case conversation.TypeStarted:
			into = &i.Started
		case conversation.TypeCustomerUpdated:
			into = &i.Customer
		default:
		}
		if into != nil && len(r.Body) > 0 && json.Unmarshal(r.Body, into) != nil {
			return i, fmt.Errorf("body of event %d cannot be read", r.Seq)
		}
	}
	return i, nil
}

func (a *API) summaryView(id auth.Identity, i *router.Info) SummaryView {
	records, st := a.opts.Directory.Snapshot(), &i.State
	info := NewInfoView(i, records)
	v := SummaryView{
		ID: st.ID, Phase: st.Phase, Display: string(st.Display()), Channel: st.Channel, Title: info.Title, Icon: info.Icon,
		Account: info.Account, Contact: st.Contact, Customer: CustomerOf(i), Agents: []AgentRef{},
		Flagged: st.Flagged, StartedAt: st.StartedAt.UTC(), EndedAt: TimeOrNil(st.EndedAt), EndCause: st.EndCause, Seq: st.LastVisible[AudienceOf(id)],
	}
	if st.Capabilities.AddressKind == router.AddressPhone {
		v.Address = i.Started.Address
	}
	if st.Parking != nil {
		u, _ := records.User(st.Parking.Owner)
		v.Owner = &AgentRef{ID: st.Parking.Owner, Name: u.Name}
	}
	if st.Unread != nil && st.Unread.Owner == id.User {
		v.Unread = st.Unread.Count
	}
	if info.Service != nil {
		v.Service = &info.Service.ServiceRef
	}
	for _, p := range st.Participants {
		if p.Who.Kind == conversation.Agent {
			u, _ := records.User(p.Who.Agent)
			v.Agents = append(v.Agents, AgentRef{ID: p.Who.Agent, Name: u.Name})
		}
	}
	return v
}

// readable returns Info of the conversation named in a path, if the user may read it.
func (a *API) readable(ctx context.Context, id auth.Identity, text string) (router.Info, error) {
	info, err := Readable(ctx, a.opts.Router, id, conversation.ConversationID(stream(text)))
	if f, ok := err.(*Fault); ok && f.Code == "not_found" { //nolint:errorlint // our own, never wrapped
		a.opts.Auth.Denied(ctx, id, "conversation")
	}
	return info, err
}

func (a *API) getConversation(ctx context.Context, id auth.Identity, in *oneInput) (*conversationOutput, error) {
	info, err := a.readable(ctx, id, in.ID)
	if err != nil {
		return nil, err
	}
	if err := AuditRead(ctx, a.opts.Directory.Trail(), id, &info.State, audit.SummaryRead); err != nil {
		return nil, err
	}
	out := &conversationOutput{}
	out.Body.SummaryView = a.summaryView(id, &info)
	out.Body.Info = NewInfoView(&info, a.opts.Directory.Snapshot())
	return out, nil
}

func (a *API) listEvents(ctx context.Context, id auth.Identity, in *eventsInput) (*eventsOutput, error) {
	info, err := a.readable(ctx, id, in.ID)
	if err != nil {
		return nil, err
	}
	if err := AuditRead(ctx, a.opts.Directory.Trail(), id, &info.State, audit.TranscriptRead); err != nil {
		return nil, err
	}
	recs, err := a.opts.Router.Records(ctx, info.State.ID, AudienceOf(id), in.After, in.Limit)
	if err != nil {
		return nil, err
	}
	out := &eventsOutput{}
	out.Body.Events = []eventView{}
	status := map[uint64]conversation.Status{}
	for _, p := range info.State.Pending {
		status[p.Seq] = p.Status
	}
	for _, r := range recs {
		out.Body.Events = append(out.Body.Events, eventView{
			Seq: r.Seq, Prev: r.Prev, At: r.At.UTC(), Type: r.Type, Head: r.Head, Body: r.Body, Status: status[r.Seq],
		})
	}
	return out, nil
}

func (a *API) postMessage(ctx context.Context, id auth.Identity, in *sendInput) (*sendOutput, error) {
	sent, err := SendMessage(ctx, a.opts.Router, id, conversation.ConversationID(stream(in.ID)), in.Body.ClientID, in.Body.Parts,
		conversation.MessageID(stream(in.Body.ReplyTo)))
	if err != nil {
		return nil, err
	}
	out := &sendOutput{}
	out.Body.Message, out.Body.Seq = sent.Message, sent.Seq
	return out, nil
}

// mintGrant gives an agent who takes part a grant to open something at a plugin (DESIGN.md 7).
func (a *API) mintGrant(ctx context.Context, id auth.Identity, in *grantInput) (*grantOutput, error) {
	info, err := a.readable(ctx, id, in.ID)
	if err != nil {
		return nil, err
	}
	if !takesPart(id, &info.State) {
		return nil, NewFault("not_joined")
	}
	g := auth.Grant{
		Subject: id.User.String(), Name: id.Name, Role: string(id.Role), Session: id.Session.String(),
		Conversation: info.State.ID, Plugin: in.Body.Plugin, Purpose: in.Body.Purpose,
	}
	if g.Plugin == "" {
		g.Plugin = info.State.Channel
	}
	if len(info.State.Endpoints) > 0 {
		g.Account = info.State.Endpoints[0].Account
	}
	out := &grantOutput{}
	if out.Body.Grant, out.Body.Expires, err = a.opts.Grants.Mint(g); err != nil {
		return nil, err
	}
	out.Body.Expires = out.Body.Expires.UTC()
	return out, nil
}
