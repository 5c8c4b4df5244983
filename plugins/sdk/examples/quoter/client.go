package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// client speaks to an account's provider.
type client struct {
	account account
	base    string
}

func (q *quoter) client(id sdk.AccountID) *client {
	a, _ := q.accounts.Get(id)
	c := &client{account: a, base: a.BaseURL}
	if in := q.inside.Load(); c.base == "" && in != nil {
		c.base = in.url
	}
	return c
}

var web = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// call makes a request and decodes the answer into out; nil: the answer does not matter. The Result
// is Sent for a 2xx; Unknown where the provider may have taken it.
func (c *client) call(ctx context.Context, method, path string, in, out any) sdk.Result {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return sdk.Failed(sdk.KindInternal, "encode", "")
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return sdk.Failed(sdk.KindInternal, "request", "")
	}
	resp, err := web.Do(req)
	if err != nil {
		return sdk.Unknown("no_answer", "")
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return sdk.Retry(sdk.KindThrottled, "429", "", time.Second)
	case resp.StatusCode == http.StatusNotFound:
		return sdk.Failed(sdk.KindContent, "no_such_message", "The messenger does not know that message.")
	case resp.StatusCode >= 500:
		return sdk.Retry(sdk.KindTemporary, resp.Status[:3], "", 0)
	case resp.StatusCode >= 300:
		return sdk.Failed(sdk.KindContent, resp.Status[:3], "")
	}
	if out != nil && json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(out) != nil {
		return sdk.Unknown("answer", "")
	}
	return sdk.Sent()
}
