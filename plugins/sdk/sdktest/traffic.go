package sdktest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/parley-gateway/parley/plugins/contract/identity"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

// Send delivers a send command and returns the outcome. An empty ID is filled in.
func (h *Host) Send(cmd sdk.SendCommand) sdk.Result {
	h.tb.Helper()
	h.identify(&cmd.CommandInfo)
	wire, err := sdk.Wire{}.Send(&cmd)
	if err != nil {
		h.tb.Fatalf("sdktest: send: %v", err)
	}
	return h.run(wire)
}

// Process hands a deferred event back to the plugin and returns the outcome.
func (h *Host) Process(cmd sdk.ProcessCommand) sdk.Result {
	h.tb.Helper()
	h.identify(&cmd.CommandInfo)
	return h.run(sdk.Wire{}.Process(&cmd))
}

// Lookup asks the plugin what became of a message.
func (h *Host) Lookup(cmd sdk.LookupCommand) sdk.Result {
	h.tb.Helper()
	h.identify(&cmd.CommandInfo)
	return h.run(sdk.Wire{}.Lookup(&cmd))
}

func (h *Host) identify(c *sdk.CommandInfo) {
	if c.ID == "" {
		c.ID = sdk.CommandID(fmt.Sprintf("command-%d", h.next()))
	}
}

func (h *Host) run(cmd *pluginv1.Command) sdk.Result {
	h.tb.Helper()
	if err := h.session.Command(cmd); err != nil {
		h.tb.Fatalf("sdktest: command: %v", err)
	}
	it := h.wait("the result of "+cmd.GetCommandId(), func(it wirehost.Item) bool {
		return it.Event.GetResult().GetCommandId() == cmd.GetCommandId()
	})
	return sdk.Wire{}.Result(it.Event.GetResult())
}

// Begun reports whether the plugin has called Begin for the command in this Session.
func (h *Host) Begun(id sdk.CommandID) bool {
	for _, it := range h.session.Items() {
		if it.Begin.GetCommandId() == string(id) && it.Begin != nil {
			return true
		}
	}
	return false
}

// Hook delivers a webhook and returns the answer to the carrier. The events in it are committed
// first, as the gateway does.
func (h *Host) Hook(req sdk.HookRequest) sdk.HookResponse {
	h.tb.Helper()
	if req.Method == "" {
		req.Method = http.MethodPost
	}
	if req.ReceivedTime.IsZero() {
		req.ReceivedTime = time.Now()
	}
	wire := sdk.Wire{}.Hook(&req)
	wire.Id = h.next()
	if err := h.session.Hook(wire); err != nil {
		h.tb.Fatalf("sdktest: hook: %v", err)
	}
	it := h.wait("the hook's answer", func(it wirehost.Item) bool {
		return it.HookResult != nil && it.HookResult.GetId() == wire.Id
	})
	for _, ev := range it.HookResult.GetEvents() {
		h.answer(ev)
	}
	resp, err := sdk.Wire{}.HookResponse(it.HookResult)
	if err != nil {
		h.tb.Fatalf("sdktest: hook: %v", err)
	}
	return resp
}

// Events returns the events committed so far, without the results of commands.
func (h *Host) Events() []sdk.Event {
	h.tb.Helper()
	var out []sdk.Event
	for _, wire := range h.ledger.Events() {
		if wire.GetResult() != nil {
			continue
		}
		ev, err := sdk.Wire{}.Event(wire)
		if err != nil {
			h.tb.Fatalf("sdktest: event: %v", err)
		}
		out = append(out, ev)
	}
	return out
}

// WaitEvent returns the first event of this Session that match accepts. The plugin may have emitted
// it before the call.
func (h *Host) WaitEvent(match func(sdk.Event) bool) sdk.Event {
	h.tb.Helper()
	var found sdk.Event
	h.wait("an event", func(it wirehost.Item) bool {
		if it.Event == nil {
			return false
		}
		ev, err := sdk.Wire{}.Event(it.Event)
		found = ev
		return err == nil && match(ev)
	})
	return found
}

// WaitSubscribed waits until the plugin has subscribed to the thread, and returns the cursor from
// which it reads.
func (h *Host) WaitSubscribed(account sdk.AccountID, name sdk.ThreadID) sdk.Cursor {
	h.tb.Helper()
	s := h.subscription(account, name)
	return sdk.Cursor{Conversation: sdk.ConversationID(s.GetAfterConversation()), Seq: s.GetAfterSeq()}
}

func (h *Host) subscription(account sdk.AccountID, name sdk.ThreadID) *pluginv1.Subscribe {
	h.tb.Helper()
	return h.wait("a subscription of "+string(name), func(it wirehost.Item) bool {
		return it.Subscribe != nil && it.Subscribe.GetAccount() == string(account) && it.Subscribe.GetThread() == string(name)
	}).Subscribe
}

// Publish waits until the thread has a subscription, and sends records to every one. A record with
// Seq 0 gets the next number; live tells the readers that they are up to date.
func (h *Host) Publish(account sdk.AccountID, name sdk.ThreadID, live bool, records ...sdk.Record) {
	h.tb.Helper()
	h.subscription(account, name)
	wire := make([]*pluginv1.Record, len(records))
	for i, r := range records {
		if r.Seq == 0 {
			r.Seq, r.Prev = h.number(account, name)
		}
		wire[i] = sdk.Wire{}.Record(&r)
	}
	for id := range h.open(account, name) {
		if err := h.session.Records(&pluginv1.RecordBatch{Subscription: id, Records: wire, Live: live}); err != nil {
			h.tb.Fatalf("sdktest: publish: %v", err)
		}
	}
}

// EndSubscriptions ends every subscription of the thread with code.
func (h *Host) EndSubscriptions(account sdk.AccountID, name sdk.ThreadID, code string) {
	h.tb.Helper()
	for id := range h.open(account, name) {
		err := h.session.Send(&pluginv1.HostFrame{Frame: &pluginv1.HostFrame_SubscriptionEnd{
			SubscriptionEnd: &pluginv1.SubscriptionEnd{Subscription: id, Code: code},
		}})
		if err != nil {
			h.tb.Fatalf("sdktest: end subscription: %v", err)
		}
	}
}

func (h *Host) number(account sdk.AccountID, name sdk.ThreadID) (seq, prev uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	prev = h.records[thread{account, name}]
	h.records[thread{account, name}] = prev + 1
	return prev + 1, prev
}

func (h *Host) open(account sdk.AccountID, name sdk.ThreadID) map[uint64]struct{} {
	open := map[uint64]struct{}{}
	for _, it := range h.session.Items() {
		switch {
		case it.Subscribe != nil && it.Subscribe.GetAccount() == string(account) && it.Subscribe.GetThread() == string(name):
			open[it.Subscribe.GetSubscription()] = struct{}{}
		case it.Unsubscribe != nil:
			delete(open, it.Unsubscribe.GetSubscription())
		}
	}
	return open
}

// Signal sends a signal to the plugin.
func (h *Host) Signal(s sdk.Signal) {
	h.tb.Helper()
	if err := h.session.Signals(sdk.Wire{}.SignalToPlugin(&s)); err != nil {
		h.tb.Fatalf("sdktest: signal: %v", err)
	}
}

// WaitSignal returns the first signal of this Session that match accepts.
func (h *Host) WaitSignal(match func(sdk.Signal) bool) sdk.Signal {
	h.tb.Helper()
	it := h.wait("a signal", func(it wirehost.Item) bool {
		return it.Signal != nil && match(sdk.Wire{}.SignalFromPlugin(it.Signal))
	})
	return sdk.Wire{}.SignalFromPlugin(it.Signal)
}

// WaitStatus returns the first status of this Session that match accepts.
func (h *Host) WaitStatus(match func(sdk.AccountStatus) bool) sdk.AccountStatus {
	h.tb.Helper()
	it := h.wait("a status", func(it wirehost.Item) bool {
		return it.Status != nil && match(sdk.Wire{}.Status(it.Status))
	})
	return sdk.Wire{}.Status(it.Status)
}

// Drain asks the plugin to finish within limit.
func (h *Host) Drain(limit time.Duration) {
	h.tb.Helper()
	ctx, cancel := context.WithTimeout(h.tb.Context(), limit+time.Second)
	defer cancel()
	_, err := h.client.Drain(ctx, &pluginv1.DrainRequest{
		LastCommandSeq: h.session.LastCommand(), DeadlineMs: uint32(limit.Milliseconds()),
	})
	if err != nil {
		h.tb.Fatalf("sdktest: drain: %v", err)
	}
}

// Metrics returns the plugin's series in the Prometheus text format.
func (h *Host) Metrics() string {
	h.tb.Helper()
	ctx, cancel := h.context()
	defer cancel()
	m, err := h.client.Metrics(ctx, &pluginv1.MetricsRequest{})
	if err != nil {
		h.tb.Fatalf("sdktest: metrics: %v", err)
	}
	return string(bytes.TrimSpace(m.GetText()))
}

// HTTP returns a client whose requests reach the plugin as those of the gateway's proxy do, with id
// in Parley-Identity (nil = none). The host in URLs does not matter.
func (h *Host) HTTP(id *sdk.Identity) *http.Client {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       h.DialHTTP,
	}
	return &http.Client{Transport: signing{next: transport, key: h.key, id: id}, Timeout: patience}
}

// DialHTTP connects to the plugin's HTTP socket; WebSocket clients use it to connect.
func (h *Host) DialHTTP(ctx context.Context, _, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(h.dir, "http.sock"))
}

// SignedIdentity returns a Parley-Identity header for one request.
func (h *Host) SignedIdentity(id sdk.Identity, method, path string) string {
	h.tb.Helper()
	v, err := identity.Sign(h.key, id, method, path, time.Now())
	if err != nil {
		h.tb.Fatalf("sdktest: %v", err)
	}
	return v
}

// signing is a RoundTripper that adds Parley-Identity.
type signing struct {
	next http.RoundTripper
	key  []byte
	id   *sdk.Identity
}

// RoundTrip implements http.RoundTripper.
func (s signing) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.id == nil {
		return s.next.RoundTrip(r)
	}
	v, err := identity.Sign(s.key, *s.id, r.Method, r.URL.Path, time.Now())
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set(identity.Header, v)
	return s.next.RoundTrip(r)
}
