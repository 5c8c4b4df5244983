// Command echo is a whole channel: webhooks come in, and answers go out to a callback URL.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"

	"github.com/parley-gateway/parley/plugins/sdk"
)

type settings struct {
	Callback string `json:"callback_url"`
}

type echo struct{ accounts sdk.Accounts[settings] }

func main() { sdk.Serve(new(echo)) }

func (e *echo) Describe(context.Context) (sdk.Manifest, error) {
	return sdk.Manifest{
		ID: "echo", Name: "Echo", Version: "1.0.0", Delivery: sdk.StoreAndForward, Hook: &sdk.HookInfo{},
		Capabilities:  sdk.Capabilities{Text: true, OutboundFirst: true, OfferTitle: "Echo", Icon: "message-circle"},
		AccountSchema: `{"type":"object","properties":{"callback_url":{"type":"string"}},"additionalProperties":false}`,
	}, nil
}

func (e *echo) Configure(_ context.Context, cfg *sdk.Config) error { return e.accounts.Configure(cfg) }

func (e *echo) Hook(_ context.Context, r *sdk.HookRequest) sdk.HookResponse {
	var n struct{ ID, From, Text string }
	if json.Unmarshal(r.Body, &n) != nil || n.From == "" || n.ID == "" {
		return sdk.RejectHook(http.StatusBadRequest, "malformed")
	}
	m := sdk.Message{From: sdk.Address{Address: n.From}, Parts: []sdk.Part{sdk.Text{Text: n.Text}}, ProviderIDs: []string{n.ID}}
	return sdk.HookResponse{Events: []sdk.Event{{Thread: sdk.ThreadID(n.From), DedupeKey: n.ID, Body: m}}}
}

func (e *echo) Send(ctx context.Context, cmd *sdk.SendCommand) sdk.Result {
	account, _ := e.accounts.Get(cmd.Account)
	body, _ := json.Marshal(map[string]string{"id": string(cmd.MessageID), "to": cmd.To, "text": sdk.PlainText(cmd.Parts)})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, account.Callback, bytes.NewReader(body))
	if err != nil || cmd.Begin(ctx) != nil {
		return sdk.Retry(sdk.KindTemporary, "not_begun", "", 0)
	}
	if account.Callback == "" {
		return sdk.Sent(string(cmd.MessageID))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return sdk.Unknown("no_answer", "") // the other side may have got it
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 {
		return sdk.Result{Outcome: sdk.OutcomeFailed, ErrorKind: sdk.KindContent, Code: resp.Status, Retryable: resp.StatusCode >= 500}
	}
	return sdk.Sent(string(cmd.MessageID))
}
