package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/examples/quoter/sandbox"
)

// Hook turns a webhook into events: it depends on the webhook only.
func (q *quoter) Hook(_ context.Context, r *sdk.HookRequest) sdk.HookResponse {
	var ev sandbox.Event
	if json.Unmarshal(r.Body, &ev) != nil || ev.ID == "" || ev.From == "" || ev.Message == "" {
		return sdk.RejectHook(http.StatusBadRequest, "malformed")
	}
	at := time.Unix(ev.Time, 0).UTC()
	message := func(parts ...sdk.Part) sdk.Event {
		m := sdk.Message{From: sdk.Address{Address: ev.From}, Parts: parts, ReplyToProviderID: ev.Quote}
		if ev.Kind == "message" {
			m.ProviderIDs = []string{ev.Message}
		}
		return sdk.Event{Thread: sdk.ThreadID(ev.From), DedupeKey: ev.ID, ProviderTime: at, Body: m}
	}
	var out sdk.HookResponse
	switch ev.Kind {
	case "message":
		if ev.Text == "" {
			return sdk.RejectHook(http.StatusBadRequest, "malformed")
		}
		out.Events = append(out.Events, message(sdk.Text{Text: ev.Text}), sdk.Event{
			Thread: sdk.ThreadID(ev.From), DedupeKey: ev.ID + ":window", ProviderTime: at, Body: sdk.ReplyWindow{Expires: at.Add(window)},
		})
	case "reaction":
		out.Events = append(out.Events, message(sdk.Reaction{ProviderID: ev.Message, Emoji: ev.Emoji}))
	case "edit":
		out.Events = append(out.Events, message(sdk.Edit{ProviderID: ev.Message, Text: ev.Text}))
	case "revoke":
		out.Events = append(out.Events, message(sdk.Revoke{ProviderID: ev.Message}))
	case "delivered":
		out.Events = append(out.Events, sdk.Event{Body: sdk.DeliveryStatus{ProviderID: ev.Message, Status: sdk.StatusDelivered}})
	case "read":
		out.Events = append(out.Events, sdk.Event{Thread: sdk.ThreadID(ev.From), Body: sdk.Receipt{DeliveredProviderID: ev.Message, ReadProviderID: ev.Message}})
	default:
		return sdk.RejectHook(http.StatusBadRequest, "kind")
	}
	return out
}

// Send carries out each part at the provider. A message of several texts is several messages there.
func (q *quoter) Send(ctx context.Context, cmd *sdk.SendCommand) sdk.Result {
	if r, ok := check(cmd.Parts); !ok {
		return r
	}
	if err := cmd.Begin(ctx); err != nil {
		return sdk.Retry(sdk.KindTemporary, "not_begun", "", 0)
	}
	c := q.client(cmd.Account)
	var ids []string
	for i, part := range cmd.Parts {
		r := c.part(ctx, cmd, i, part)
		if r.Outcome != sdk.OutcomeSent {
			if len(ids) > 0 { // the customer has a part of it: no second try
				return sdk.Unknown(r.Code, "")
			}
			return r
		}
		ids = append(ids, r.ProviderIDs...)
	}
	return sdk.Sent(ids...)
}

// check looks for parts that the provider does not have, or that name no message of its.
func check(parts []sdk.Part) (sdk.Result, bool) {
	for _, part := range parts {
		id := "-"
		switch p := part.(type) {
		case sdk.Text, sdk.Template:
		case sdk.Reaction:
			id = p.ProviderID
		case sdk.Edit:
			id = p.ProviderID
		case sdk.Revoke:
			id = p.ProviderID
		default:
			return sdk.Failed(sdk.KindContent, "unsupported", "The messenger has no such part."), false
		}
		if id == "" {
			return sdk.Failed(sdk.KindContent, "no_such_message", "The messenger does not know that message."), false
		}
	}
	return sdk.Result{}, true
}

func (c *client) part(ctx context.Context, cmd *sdk.SendCommand, i int, part sdk.Part) sdk.Result {
	m := sandbox.Message{Ref: fmt.Sprintf("%s/%d", cmd.ID, i), To: cmd.To, Quote: cmd.ReplyToProviderID}
	switch p := part.(type) {
	case sdk.Text:
		m.Text = p.Text
	case sdk.Template:
		m.Text, m.Template = p.Rendered, p.Name
	case sdk.Reaction:
		return c.call(ctx, http.MethodPost, "/messages/"+p.ProviderID+"/reaction", sandbox.Event{Emoji: p.Emoji}, nil)
	case sdk.Edit:
		return c.call(ctx, http.MethodPut, "/messages/"+p.ProviderID, sandbox.Message{Text: p.Text}, nil)
	case sdk.Revoke:
		for _, id := range all(p.ProviderID, p.ProviderIDs) {
			if r := c.call(ctx, http.MethodDelete, "/messages/"+id, nil, nil); r.Outcome != sdk.OutcomeSent {
				return r
			}
		}
		return sdk.Sent()
	}
	r := c.call(ctx, http.MethodPost, "/messages", m, &m)
	if r.Outcome == sdk.OutcomeSent {
		r.ProviderIDs = []string{m.ID}
	}
	return r
}

// all returns the ids of all parts of a message.
func all(id string, ids []string) []string {
	if len(ids) == 0 {
		return []string{id}
	}
	return ids
}

// Lookup asks the provider for what it has under the references of the message.
func (q *quoter) Lookup(ctx context.Context, cmd *sdk.LookupCommand) sdk.Result {
	c := q.client(cmd.Account)
	var ids []string
	for i := 0; ; i++ {
		var found []sandbox.Message
		if r := c.call(ctx, http.MethodGet, fmt.Sprintf("/messages?ref=%s/%d", cmd.ID, i), nil, &found); r.Outcome != sdk.OutcomeSent {
			return sdk.Unknown(r.Code, "")
		}
		if len(found) == 0 {
			break
		}
		ids = append(ids, found[0].ID)
	}
	if len(ids) == 0 {
		return sdk.Retry(sdk.KindTemporary, "not_sent", "", 0)
	}
	return sdk.Sent(ids...)
}

// MarkRead implements sdk.ReadMarker.
func (q *quoter) MarkRead(ctx context.Context, cmd *sdk.MarkReadCommand) sdk.Result {
	if cmd.ProviderID == "" {
		return sdk.Failed(sdk.KindContent, "no_such_message", "The messenger does not know that message.")
	}
	return q.client(cmd.Account).call(ctx, http.MethodPost, "/messages/"+cmd.ProviderID+"/read", nil, nil)
}

// Typing implements sdk.Typist.
func (q *quoter) Typing(ctx context.Context, cmd *sdk.TypingCommand) sdk.Result {
	return q.client(cmd.Account).call(ctx, http.MethodPost, "/typing", map[string]any{"on": cmd.On}, nil)
}

// follow keeps what host and providers know of each other up to date, until ctx ends.
func (q *quoter) follow(ctx context.Context, host sdk.Host) {
	const pause = time.Minute
	for {
		wait := pause
		for _, id := range *q.ids.Load() {
			if !q.introduce(ctx, host, id) {
				wait = time.Second
			}
		}
		select {
		case <-q.changed:
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// introduce reports an account's templates and registers its webhooks; false: try again soon.
func (q *quoter) introduce(ctx context.Context, host sdk.Host, id sdk.AccountID) bool {
	c := q.client(id)
	var list []sandbox.Template
	if r := c.call(ctx, http.MethodGet, "/templates", nil, &list); r.Outcome != sdk.OutcomeSent {
		host.Status(sdk.AccountStatus{Account: id, Code: "unreachable", Text: "The messenger does not answer."})
		return false
	}
	host.Status(sdk.AccountStatus{Account: id, OK: true})
	infos := make([]sdk.TemplateInfo, len(list))
	for i, t := range list {
		infos[i] = sdk.TemplateInfo{Name: t.Name, Language: t.Language, Category: "utility", Body: t.Body, Status: t.Status}
	}
	if err := sdk.ReportTemplates(host, id, infos); err != nil {
		host.Logger().Warn("templates not reported", "account", string(id), "err", err)
	}
	if !c.account.Register || c.account.hook == "" {
		return true
	}
	return c.call(ctx, http.MethodPut, "/hook", map[string]string{"url": c.account.hook}, nil).Outcome == sdk.OutcomeSent
}
