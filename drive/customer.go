package drive

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
)

// Event is an event frame as a client gets it.
type Event struct {
	Conversation string          `json:"conversation"`
	Seq          uint64          `json:"seq"`
	Prev         uint64          `json:"prev"`
	Type         string          `json:"type"`
	Head         json.RawMessage `json:"head"`
	Body         json.RawMessage `json:"body"`
}

// Customer is the socket of a visitor of a site's chat.
type Customer struct {
	*socket
	Token string // must be read only after Start
	http  *http.Client
	base  string // the gateway's address, http://host:port

	// onEvent gets each raw event frame; nil: ignored.
	onEvent    func([]byte)
	onAccepted func(clientID string, seq uint64)
	onRefused  func(clientID, code string)

	mu      sync.Mutex
	waiting map[string]chan accepted
	grants  map[string]chan grant
	asked   int // number of grants asked for
	welcome chan struct{}
	visitor chan struct{}
	live    chan struct{}
	other   chan []byte
}

type accepted struct {
	conversation string
	seq          uint64
	code         string
}

// CustomerOptions for DialCustomer.
type CustomerOptions struct {
	URL    string // address of the visitors' WebSocket: ws://.../p/webchat/ws
	Site   string
	Origin string // Origin header; "" = none
	From   string // IP address to connect from; "" = any
	Token  string // the token of an earlier visit; "" = a new visitor
	Cursor Cursor // the last event that the client has; zero = none
	// OnEvent gets each raw event frame, OnAccepted each acknowledgement of a message that was sent
	// by SendRaw. They are called by the goroutine that reads the socket; nil: ignored.
	OnEvent    func(frame []byte)
	OnAccepted func(clientID string, seq uint64)
	// OnRefused gets each refusal of a message that was sent by SendRaw.
	OnRefused func(clientID, code string)
}

// Cursor is the last event that a customer's client has.
type Cursor struct {
	Conversation string `json:"conversation"`
	Seq          uint64 `json:"seq"`
	Open         bool   `json:"open"` // the conversation had not ended at that event
}

// DialCustomer opens a visitor's socket and sends hello.
func DialCustomer(ctx context.Context, o CustomerOptions) (*Customer, error) {
	c := &Customer{Token: o.Token, onEvent: o.OnEvent, onAccepted: o.OnAccepted, onRefused: o.OnRefused, waiting: map[string]chan accepted{},
		grants: map[string]chan grant{}, welcome: make(chan struct{}), visitor: make(chan struct{}), live: make(chan struct{}, 16), other: make(chan []byte, 64)}
	header := http.Header{}
	if o.Origin != "" {
		header.Set("Origin", o.Origin)
	}
	from, err := dialerFrom(o.From)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("drive: %w", err)
	}
	c.base, c.http = "http"+strings.TrimPrefix(u.Scheme, "ws")+"://"+u.Host, httpClient(from)
	s, err := dialWith(ctx, from, o.URL, header, c.frame)
	if err != nil {
		return nil, err
	}
	c.socket = s
	hello := map[string]any{"t": "hello", "v": 1, "site": o.Site}
	if o.Token != "" {
		hello["token"] = o.Token
	}
	if o.Cursor.Conversation != "" {
		hello["cursor"] = o.Cursor
	}
	if err := c.send(hello); err != nil {
		c.Close()
		return nil, err
	}
	select {
	case <-c.welcome:
		return c, nil
	case <-c.closed:
		c.Close()
		return nil, fmt.Errorf("drive: no welcome: %w", c.CloseReason())
	case <-ctx.Done():
		c.Close()
		return nil, fmt.Errorf("drive: no welcome: %w", ctx.Err())
	}
}

func (c *Customer) send(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("drive: encode: %w", err)
	}
	return c.write(b)
}

var (
	eventPrefix    = []byte(`{"t":"event"`)
	acceptedPrefix = []byte(`{"t":"accepted"`)
)

func (c *Customer) frame(b []byte) {
	if bytes.HasPrefix(b, eventPrefix) {
		if c.onEvent != nil {
			c.onEvent(b)
		}
		return
	}
	if bytes.HasPrefix(b, acceptedPrefix) && c.onAccepted != nil {
		id := string(field(b, `"client_id":"`))
		c.mu.Lock()
		_, asked := c.waiting[id]
		c.mu.Unlock()
		if !asked {
			seq, _ := strconv.ParseUint(string(field(b, `"seq":`)), 10, 64)
			c.onAccepted(id, seq)
			return
		}
	}
	var f struct {
		T            string `json:"t"`
		Token        string `json:"token"`
		ClientID     string `json:"client_id"`
		Conversation string `json:"conversation"`
		Seq          uint64 `json:"seq"`
		Code         string `json:"code"`
		ID           string `json:"id"`
		grant
	}
	if json.Unmarshal(b, &f) != nil {
		return
	}
	switch f.T {
	case "welcome":
		close(c.welcome)
		return
	case "visitor":
		c.mu.Lock()
		c.Token = f.Token
		c.mu.Unlock()
		close(c.visitor)
		return
	case "live":
		select {
		case c.live <- struct{}{}:
		default:
		}
	case "accepted", "refused", "grant", "error":
		c.mu.Lock()
		said, granted := c.waiting[f.ClientID], c.grants[f.ID]
		delete(c.waiting, f.ClientID)
		delete(c.grants, f.ID)
		c.mu.Unlock()
		switch {
		case said != nil:
			said <- accepted{conversation: f.Conversation, seq: f.Seq, code: f.Code}
			return
		case granted != nil:
			f.grant.code = f.Code
			granted <- f.grant
			return
		case f.T == "refused" && c.onRefused != nil:
			c.onRefused(f.ClientID, f.Code)
			return
		}
	}
	select {
	case c.other <- bytes.Clone(b):
	default:
	}
}

// field returns the value after a key in flat JSON that the server has made.
func field(b []byte, key string) []byte {
	i := bytes.Index(b, []byte(key))
	if i < 0 {
		return nil
	}
	b = b[i+len(key):]
	for j, ch := range b {
		if ch == '"' || ch == ',' || ch == '}' {
			return b[:j]
		}
	}
	return nil
}

// RefusedError means that a message, a start or a command was refused.
type RefusedError struct {
	Code string `json:"code"`
	// With the code thread_open: the open exchange, whose it is, and whether the agent may Join it.
	Conversation string `json:"conversation"`
	Owner        *struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"owner"`
	Joinable bool `json:"joinable"`
}

// Error names the published code.
func (e *RefusedError) Error() string { return "drive: refused: " + e.Code }

func (c *Customer) ask(ctx context.Context, clientID string, v any) (conversation string, seq uint64, err error) {
	ch := make(chan accepted, 1)
	c.mu.Lock()
	c.waiting[clientID] = ch
	c.mu.Unlock()
	if err := c.send(v); err != nil {
		return "", 0, err
	}
	select {
	case a := <-ch:
		if a.code != "" {
			return "", 0, &RefusedError{Code: a.code}
		}
		return a.conversation, a.seq, nil
	case <-c.closed:
		return "", 0, ErrClosed
	case <-ctx.Done():
		return "", 0, fmt.Errorf("drive: no answer: %w", ctx.Err())
	}
}

// Start asks for a conversation with the form's answers and waits until the start is durable.
func (c *Customer) Start(ctx context.Context, clientID string, form map[string]string) (conversation string, err error) {
	if err := c.Register(ctx); err != nil {
		return "", err
	}
	conversation, _, err = c.ask(ctx, clientID, map[string]any{"t": "start", "client_id": clientID, "form": form})
	return conversation, err
}

// Register asks for a token if the visitor has none; Start calls it.
func (c *Customer) Register(ctx context.Context) error {
	c.mu.Lock()
	known := c.Token != ""
	c.mu.Unlock()
	if known {
		return nil
	}
	if err := c.send(map[string]any{"t": "register"}); err != nil {
		return err
	}
	for {
		select {
		case <-c.visitor:
			return nil
		case f := <-c.other:
			if bytes.HasPrefix(f, []byte(`{"t":"error"`)) {
				return fmt.Errorf("drive: no visitor token, but %s", f)
			}
		case <-c.closed:
			return ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("drive: no visitor token: %w", ctx.Err())
		}
	}
}

// Say sends a text and waits until it is durable.
func (c *Customer) Say(ctx context.Context, clientID, text string) (seq uint64, err error) {
	return c.Send(ctx, clientID, map[string]any{"kind": "text", "text": text})
}

// Send sends a message of these parts and waits until it is durable.
func (c *Customer) Send(ctx context.Context, clientID string, parts ...any) (seq uint64, err error) {
	_, seq, err = c.ask(ctx, clientID, map[string]any{"t": "message", "client_id": clientID, "parts": parts})
	return seq, err
}

// SendRaw sends a text without waiting for the answer, which OnAccepted or OnRefused gets. clientID
// and text must not need escaping in JSON.
func (c *Customer) SendRaw(clientID, text string) error {
	b := make([]byte, 0, 128+len(text))
	b = append(b, `{"t":"message","client_id":"`...)
	b = append(b, clientID...)
	b = append(b, `","parts":[{"kind":"text","text":"`...)
	b = append(b, text...)
	b = append(b, `"}]}`...)
	return c.write(b)
}

// End ends the conversation.
func (c *Customer) End() error { return c.send(map[string]any{"t": "end"}) }

// Other delivers the frames that are neither events nor answers; when nobody reads them they are
// dropped.
func (c *Customer) Other() <-chan []byte { return c.other }
