package drive

import (
	"context"
	"fmt"
)

// Recent is the content of a recent frame: what waits unread for the agent.
type Recent struct {
	Unread int `json:"unread"`
	Items  []struct {
		Conversation string `json:"conversation"`
		Unread       int    `json:"unread"`
	} `json:"items"`
}

// TextOptions say how an exchange begins.
type TextOptions struct {
	Service, Account string // ids; both "" = the agent's own direct number
	To               string
	Text             string // the first message; "" = none
	ClientID         string // a repeat with the same id means the same exchange
}

// Begun is an exchange that the agent began.
type Begun struct {
	Conversation string `json:"conversation"`
	Message      string `json:"message"` // "" when it began without a message
	Seq          uint64 `json:"seq"`
}

// Text begins an exchange with a number. If one is open already, the *RefusedError has the code
// thread_open and names it.
func (a *Agent) Text(ctx context.Context, o TextOptions) (b Begun, err error) {
	fields := map[string]any{"to": o.To}
	for name, v := range map[string]string{"service": o.Service, "account": o.Account, "client_id": o.ClientID} {
		if v != "" {
			fields[name] = v
		}
	}
	if o.Text != "" {
		fields["parts"] = []any{map[string]any{"kind": "text", "text": o.Text}}
	}
	err = a.Do(ctx, "text", fields, &b)
	return b, err
}

// Join takes up a parked exchange or joins an open one.
func (a *Agent) Join(ctx context.Context, conversation string) error {
	return a.Do(ctx, "join", map[string]any{"conversation": conversation}, nil)
}

// Settle reports what became of a message whose status is unknown: sent, failed, or resend.
func (a *Agent) Settle(ctx context.Context, conversation, message, outcome string) error {
	return a.Do(ctx, "settle", map[string]any{"conversation": conversation, "message": message, "outcome": outcome}, nil)
}

// RecentSeen resets the agent's count of unread messages.
func (a *Agent) RecentSeen(ctx context.Context) error { return a.Do(ctx, "recent_seen", nil, nil) }

// Recent is what waits unread, by the last recent frame.
func (a *Agent) Recent() Recent {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.recent
}

// UntilRecent waits until what is unread satisfies ok.
func (a *Agent) UntilRecent(ctx context.Context, ok func(Recent) bool) error {
	for {
		a.mu.Lock()
		r, changed := a.recent, a.changed
		a.mu.Unlock()
		if ok(r) {
			return nil
		}
		select {
		case <-changed:
		case <-a.closed:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("drive: %d unread: %w", r.Unread, ctx.Err())
		}
	}
}
