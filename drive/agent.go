package drive

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// Login gets a bearer token from the API at base (http://host:port).
func Login(ctx context.Context, client *http.Client, base, login, password string) (token string, err error) {
	body, err := json.Marshal(map[string]any{"login": login, "password": password, "bearer": true})
	if err != nil {
		return "", fmt.Errorf("drive: encode: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/login", bytes.NewReader(body))
	if err != nil {
		return "", fmt.Errorf("drive: login: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("drive: login: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return "", fmt.Errorf("drive: login: %w", err)
	}
	var out struct {
		Token string `json:"token"`
	}
	if resp.StatusCode != http.StatusOK || json.Unmarshal(b, &out) != nil || out.Token == "" {
		return "", fmt.Errorf("drive: login %s: status %d", login, resp.StatusCode)
	}
	return out.Token, nil
}

// Offer is an offer frame.
type Offer struct {
	Offer        string `json:"offer"`
	Conversation string `json:"conversation"`
	Title        string `json:"title"`
	QueuedMS     int64  `json:"queued_ms"`
	Customer     struct {
		Name string `json:"name"`
	} `json:"customer"`
}

// AgentView is the content of an agent frame.
type AgentView struct {
	Status        string `json:"status"`
	Reason        string `json:"reason"`
	Pending       string `json:"pending"`
	Conversations []struct {
		Conversation string `json:"conversation"`
		State        string `json:"state"`
	} `json:"conversations"`
}

// Agent is an agent's socket.
type Agent struct {
	*socket
	onEvent func([]byte)
	onOffer func(Offer)

	mu      sync.Mutex
	next    int
	waiting map[string]chan json.RawMessage
	view    AgentView
	recent  Recent
	changed chan struct{} // closed and replaced when view or recent change
	welcome chan struct{}
	joined  chan string
	bye     string
}

// AgentOptions for DialAgent.
type AgentOptions struct {
	URL   string // the address of the agents' WebSocket: ws://.../api/v1/stream
	Token string // bearer token, from Login
	// Cursors are the last sequence numbers that the client has, by conversation.
	Cursors map[string]uint64
	// OnEvent gets each raw event frame and OnOffer each offer. They are called by the goroutine
	// that reads the socket, so they must not wait for anything from this socket. nil: ignored.
	OnEvent func(frame []byte)
	OnOffer func(Offer)
}

// DialAgent opens an agent's socket and sends hello.
func DialAgent(ctx context.Context, o AgentOptions) (*Agent, error) {
	a := &Agent{onEvent: o.OnEvent, onOffer: o.OnOffer, waiting: map[string]chan json.RawMessage{}, changed: make(chan struct{}),
		welcome: make(chan struct{}), joined: make(chan string, 1024)}
	s, err := dial(ctx, o.URL, http.Header{"Authorization": {"Bearer " + o.Token}}, a.frame)
	if err != nil {
		return nil, err
	}
	a.socket = s
	if o.Cursors == nil {
		o.Cursors = map[string]uint64{}
	}
	hello, err := json.Marshal(map[string]any{"t": "hello", "cursors": o.Cursors})
	if err == nil {
		err = a.write(hello)
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	select {
	case <-a.welcome:
		return a, nil
	case <-a.closed:
		a.Close()
		return nil, fmt.Errorf("drive: no welcome: %w", a.CloseReason())
	case <-ctx.Done():
		a.Close()
		return nil, fmt.Errorf("drive: no welcome: %w", ctx.Err())
	}
}

func (a *Agent) frame(b []byte) {
	if bytes.HasPrefix(b, eventPrefix) {
		if a.onEvent != nil {
			a.onEvent(b)
		}
		return
	}
	var f struct {
		T            string          `json:"t"`
		ID           string          `json:"id"`
		Agent        json.RawMessage `json:"agent"`
		Conversation string          `json:"conversation"`
		State        string          `json:"state"`
		Reason       string          `json:"reason"`
	}
	if json.Unmarshal(b, &f) != nil {
		return
	}
	switch f.T {
	case "welcome":
		close(a.welcome)
	case "agent":
		var v AgentView
		if json.Unmarshal(f.Agent, &v) == nil {
			a.mu.Lock()
			a.view = v
			close(a.changed)
			a.changed = make(chan struct{})
			a.mu.Unlock()
		}
	case "recent":
		var r Recent
		if json.Unmarshal(b, &r) == nil {
			a.mu.Lock()
			a.recent = r
			close(a.changed)
			a.changed = make(chan struct{})
			a.mu.Unlock()
		}
	case "offer":
		var o Offer
		if a.onOffer != nil && json.Unmarshal(b, &o) == nil {
			a.onOffer(o)
		}
	case "joined":
		if f.State == "joined" {
			select {
			case a.joined <- f.Conversation:
			default:
			}
		}
	case "ack":
		a.mu.Lock()
		ch := a.waiting[f.ID]
		delete(a.waiting, f.ID)
		a.mu.Unlock()
		if ch != nil {
			ch <- bytes.Clone(b)
		}
	case "bye":
		a.mu.Lock()
		a.bye = f.Reason
		a.mu.Unlock()
	}
}

// Watch reads a conversation in which the agent takes no part, after a sequence.
func (a *Agent) Watch(conversation string, after uint64) error {
	b, err := json.Marshal(map[string]any{"t": "watch", "conversation": conversation, "after": after})
	if err != nil {
		return fmt.Errorf("drive: encode: %w", err)
	}
	return a.write(b)
}

// Joined delivers the conversations that the agent has joined.
func (a *Agent) Joined() <-chan string { return a.joined }

// View is the agent's state in the last agent frame.
func (a *Agent) View() AgentView {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.view
}

// Bye is the reason that the server gave before it closed the socket, if any.
func (a *Agent) Bye() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bye
}

// Until waits for the agent's state to satisfy ok.
func (a *Agent) Until(ctx context.Context, ok func(AgentView) bool) error {
	for {
		a.mu.Lock()
		v, changed := a.view, a.changed
		a.mu.Unlock()
		if ok(v) {
			return nil
		}
		select {
		case <-changed:
		case <-a.closed:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("drive: agent is %s: %w", v.Status, ctx.Err())
		}
	}
}

// Do sends a command and waits for its acknowledgement. If it is refused the error is a
// *RefusedError; out, when not nil, gets the acknowledgement's fields.
func (a *Agent) Do(ctx context.Context, cmd string, fields map[string]any, out any) error {
	ch, err := a.Go(cmd, fields)
	if err != nil {
		return err
	}
	select {
	case b := <-ch:
		var ack struct {
			OK    bool         `json:"ok"`
			Error RefusedError `json:"error"`
		}
		if err := json.Unmarshal(b, &ack); err != nil {
			return fmt.Errorf("drive: ack: %w", err)
		}
		if !ack.OK {
			return &ack.Error
		}
		if out != nil {
			return json.Unmarshal(b, out)
		}
		return nil
	case <-a.closed:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("drive: %s: no ack: %w", cmd, ctx.Err())
	}
}

// Go sends a command without waiting; the channel gets the raw acknowledgement.
func (a *Agent) Go(cmd string, fields map[string]any) (<-chan json.RawMessage, error) {
	ch := make(chan json.RawMessage, 1)
	a.mu.Lock()
	a.next++
	id := strconv.Itoa(a.next)
	a.waiting[id] = ch
	a.mu.Unlock()
	f := map[string]any{"t": "cmd", "id": id, "cmd": cmd}
	for k, v := range fields {
		f[k] = v
	}
	b, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("drive: encode: %w", err)
	}
	return ch, a.write(b)
}

// Say sends a text and waits until it is durable.
func (a *Agent) Say(ctx context.Context, conversation, clientID, text string) (seq uint64, err error) {
	var out struct {
		Seq uint64 `json:"seq"`
	}
	err = a.Do(ctx, "send", map[string]any{"conversation": conversation, "client_id": clientID, "parts": []any{map[string]any{"kind": "text", "text": text}}}, &out)
	return out.Seq, err
}
