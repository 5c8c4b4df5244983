// Command counter is a whole tool: agent and customer count together inside a conversation.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// settings of an account, over which those of a service come in ToolStart.
type settings struct {
	Step int `json:"step"` // 0 = 1
}

// arguments are what the asking side may give.
type arguments struct {
	From    int  `json:"from"`
	Consent bool `json:"consent"` // the customer is asked first
}

// session is what is stored under its id, so that a process that comes after a crash goes on
// counting.
type session struct {
	Account   sdk.AccountID    `json:"account"`
	State     sdk.SessionState `json:"state"`
	Cause     string           `json:"cause,omitempty"`
	Count     int              `json:"count"`
	Step      int              `json:"step"`
	Revision  uint64           `json:"revision"`
	Expires   time.Time        `json:"expires,omitzero"`
	ChangedAt time.Time        `json:"changed_at"`
	Acts      []done           `json:"acts,omitempty"` // the latest, so that none counts twice
}

// done is an act that was carried out or refused: its repeat gets the same answer.
type done struct {
	ID     string         `json:"id"`
	Insert string         `json:"insert,omitempty"` // an effect
	Close  bool           `json:"close,omitempty"`  // an effect
	Fault  *sdk.ToolFault `json:"fault,omitempty"`
}

const (
	customer = "customer" // the kind of the party who is asked for consent

	keptActs = 64
	keptFor  = 24 * time.Hour // after the end
)

type counter struct {
	host     atomic.Pointer[sdk.Host]
	accounts sdk.Accounts[settings]
}

func main() { sdk.Serve(new(counter)) }

func (c *counter) Describe(context.Context) (sdk.Manifest, error) {
	return sdk.Manifest{
		ID: "counter", Name: "Counter", Version: "1.0.0", Delivery: sdk.NoChannel,
		Tool:          &sdk.ToolInfo{Title: "Counter", Icon: "plus", AgentStarts: true, CustomerStarts: true, Single: true},
		AccountSchema: `{"type":"object","properties":{"step":{"type":"integer","minimum":1,"maximum":100}},"additionalProperties":false}`,
	}, nil
}

func (c *counter) Configure(_ context.Context, cfg *sdk.Config) error {
	return c.accounts.Configure(cfg)
}

// Attach goes on with the sessions that an earlier process began.
func (c *counter) Attach(ctx context.Context, host sdk.Host) error {
	c.host.Store(&host)
	go c.sweep(ctx)
	return nil
}

// sweep ends sessions that are past their time, and forgets those that ended long ago. First it
// reports all of them once more: the process before may have died between storing and reporting. It reads a
// session when it is new, and when it is due.
func (c *counter) sweep(ctx context.Context) {
	kv, due := c.kv(), map[sdk.SessionID]time.Time{}
	for first := true; ; first = false {
		for after := ""; ; {
			keys, err := kv.List(ctx, prefix, after, 1000)
			if err != nil || len(keys) == 0 {
				break
			}
			for _, key := range keys {
				id := sdk.SessionID(key[len(prefix):])
				if time.Now().Before(due[id]) {
					continue
				}
				s, _, err := c.load(ctx, id)
				if first && err == nil {
					_ = c.report(id, &s) // of no use if the queue of events is full; the host then asks with Get
				}
				if err == nil {
					due[id] = s.due()
				}
				switch {
				case err != nil:
				case s.State == sdk.SessionEnded && time.Since(s.ChangedAt) > keptFor:
					if kv.Delete(ctx, key) == nil { // else the next sweep tries again
						delete(due, id)
					}
				case s.State != sdk.SessionEnded && !s.Expires.IsZero() && time.Now().After(s.Expires):
					_, _ = c.change(ctx, id, func(s *session) error { return s.end("expired") })
				}
			}
			after = keys[len(keys)-1]
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}

// due is when a session ends by itself, or, once it has ended, is forgotten.
func (s *session) due() time.Time {
	switch {
	case s.State == sdk.SessionEnded:
		return s.ChangedAt.Add(keptFor)
	case s.Expires.IsZero():
		return time.Now().Add(keptFor)
	}
	return s.Expires
}

const prefix = "session/"

func (c *counter) kv() sdk.KV { return (*c.host.Load()).KV() }

func (c *counter) load(ctx context.Context, id sdk.SessionID) (s session, version uint64, err error) {
	text, version, err := c.kv().Get(ctx, prefix+string(id))
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	return s, version, err
}

// errUnchanged: a change leaves the session as it is.
var errUnchanged = errors.New("unchanged")

// change changes a session and reports the change to the host. Somebody else's change between
// reading and writing makes it start again.
func (c *counter) change(ctx context.Context, id sdk.SessionID, f func(*session) error) (session, error) {
	for {
		s, version, err := c.load(ctx, id)
		if err != nil {
			return s, err
		}
		state, number := s.State, s.Count
		if err := f(&s); errors.Is(err, errUnchanged) {
			return s, nil
		} else if err != nil {
			return s, err
		}
		same := s.State == state && s.Count == number // what panels show is the same
		if !same {
			s.Revision++
			s.ChangedAt = time.Now()
		}
		text, err := json.Marshal(s)
		if err != nil {
			return s, err
		}
		_, err = c.kv().PutIf(ctx, prefix+string(id), text, version)
		if errors.Is(err, sdk.ErrConflict) {
			continue
		}
		if err != nil || same {
			return s, err
		}
		return s, c.report(id, &s)
	}
}

// report emits the session's state. The key names the revision, so that a repeat changes nothing.
func (c *counter) report(id sdk.SessionID, s *session) error {
	return (*c.host.Load()).EmitAsync(sdk.Event{
		Account: s.Account, DedupeKey: fmt.Sprintf("%s/%d", id, s.Revision), Body: sdk.ToolEvent{Session: s.seen(id)},
	}, func(sdk.Ack, error) {})
}

// seen is the session as the host gets it.
func (s *session) seen(id sdk.SessionID) sdk.ToolSession {
	return sdk.ToolSession{
		ID: id, State: s.State, Cause: s.Cause, Revision: s.Revision,
		Panel: s.panel("agent"), CustomerPanel: s.panel(customer), Note: s.note(),
	}
}

func (s *session) note() string {
	if s.State != sdk.SessionEnded {
		return ""
	}
	return fmt.Sprintf("The counter ended at %d.", s.Count)
}

func (s *session) panel(viewer string) *sdk.Panel {
	p := &sdk.Panel{Revision: s.Revision}
	number := sdk.PanelKeyValue{Items: []sdk.KeyValue{{Key: "Count", Value: fmt.Sprint(s.Count)}}}
	add := sdk.PanelButton{Action: "add", Label: fmt.Sprintf("Add %d", s.Step), Style: "primary"}
	switch {
	case s.State == sdk.SessionWaiting && viewer == customer:
		p.Blocks = []sdk.Block{
			sdk.PanelText{Text: "Shall we count together?"},
			sdk.PanelButton{Action: "accept", Label: "Yes", Style: "primary"}, sdk.PanelButton{Action: "decline", Label: "No"},
		}
	case s.State == sdk.SessionWaiting:
		p.Blocks = []sdk.Block{sdk.PanelStatus{State: "waiting", Text: "Waiting for the customer"}, sdk.PanelButton{Action: "end", Label: "Cancel"}}
	case s.State == sdk.SessionActive && viewer == customer:
		p.Blocks = []sdk.Block{number, add}
	case s.State == sdk.SessionActive:
		p.Blocks = []sdk.Block{
			sdk.PanelStatus{State: "active", Text: "Counting"}, number, add,
			sdk.PanelButton{Action: "copy", Label: "Insert into the chat"}, sdk.PanelButton{Action: "end", Label: "End", Style: "danger"},
		}
	case viewer != customer:
		p.Blocks = []sdk.Block{sdk.PanelStatus{State: "ended", Text: fmt.Sprintf("Ended: %s", s.Cause)}, number}
	}
	return p
}

func (s *session) end(cause string) error {
	if s.State == sdk.SessionEnded {
		return errUnchanged
	}
	s.State, s.Cause = sdk.SessionEnded, cause
	return nil
}

func (c *counter) Start(ctx context.Context, r *sdk.ToolStart) (sdk.ToolSession, error) {
	if s, _, err := c.load(ctx, r.Session); err == nil {
		return s.seen(r.Session), nil // the answer to an earlier Start was lost
	} else if !errors.Is(err, sdk.ErrNotFound) {
		return sdk.ToolSession{}, unavailable(err)
	}
	conf, ok := c.accounts.Get(r.Account)
	if !ok {
		return sdk.ToolSession{}, sdk.Fault("not_configured", "The counter is not set up.")
	}
	var args arguments
	if len(r.Settings) > 0 && json.Unmarshal(r.Settings, &conf) != nil || len(r.Arguments) > 0 && json.Unmarshal(r.Arguments, &args) != nil {
		return sdk.ToolSession{}, sdk.Fault("invalid", "The counter does not understand what it was asked for.")
	}
	s := session{
		Account: r.Account, State: sdk.SessionActive, Count: args.From, Step: max(conf.Step, 1), Revision: 1, Expires: r.Expires, ChangedAt: time.Now(),
	}
	if args.Consent {
		s.State = sdk.SessionWaiting
	}
	text, err := json.Marshal(s)
	if err != nil {
		return sdk.ToolSession{}, err
	}
	if _, err := c.kv().PutIf(ctx, prefix+string(r.Session), text, 0); err != nil {
		return sdk.ToolSession{}, unavailable(err)
	}
	return s.seen(r.Session), nil
}

// unavailable is the fault for a store that does not answer; what is not there stays ErrNotFound.
func unavailable(err error) error {
	if errors.Is(err, sdk.ErrNotFound) || errors.As(err, new(*sdk.ToolFault)) {
		return err
	}
	return fmt.Errorf("%w: %w", sdk.Fault("unavailable", "The counter cannot store anything now."), err)
}

func (c *counter) Get(ctx context.Context, id sdk.SessionID) (sdk.ToolSession, error) {
	s, _, err := c.load(ctx, id)
	if err != nil {
		return sdk.ToolSession{}, err
	}
	return s.seen(id), nil
}

func (c *counter) End(ctx context.Context, r *sdk.ToolEnd) (sdk.ToolSession, error) {
	s, err := c.change(ctx, r.Session, func(s *session) error { return s.end(r.Cause) })
	if err != nil {
		return sdk.ToolSession{}, unavailable(err)
	}
	return s.seen(r.Session), nil
}

func (c *counter) Panel(ctx context.Context, id sdk.SessionID, viewer sdk.Party) (*sdk.Panel, error) {
	s, _, err := c.load(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.panel(viewer.Kind), nil
}

func (c *counter) Act(ctx context.Context, r *sdk.ToolAct) (sdk.ToolAnswer, error) {
	var d done
	s, err := c.change(ctx, r.Session, func(s *session) error {
		if i := slices.IndexFunc(s.Acts, func(before done) bool { return before.ID == r.ID }); i >= 0 {
			d = s.Acts[i] // an earlier process has carried it out
			return errUnchanged
		}
		d = s.act(r)
		s.Acts = append(s.Acts, d)
		s.Acts = s.Acts[max(0, len(s.Acts)-keptActs):]
		return nil
	})
	switch {
	case err != nil:
		return sdk.ToolAnswer{}, unavailable(err)
	case d.Fault != nil:
		return sdk.ToolAnswer{}, d.Fault
	}
	var effects []sdk.Effect
	if d.Insert != "" {
		effects = append(effects, sdk.InsertText{Text: d.Insert})
	}
	if d.Close {
		effects = append(effects, sdk.ClosePanel{})
	}
	seen := s.seen(r.Session)
	return sdk.ToolAnswer{Panel: s.panel(r.Viewer.Kind), Effects: effects, Session: &seen}, nil
}

// act changes the session as somebody wants it.
func (s *session) act(r *sdk.ToolAct) done {
	d := done{ID: r.ID}
	switch {
	case s.State == sdk.SessionEnded:
		d.Fault = &sdk.ToolFault{Code: "ended", Text: "The counter has ended."}
	case (r.Action == "accept" || r.Action == "decline") && r.Viewer.Kind != customer:
		d.Fault = &sdk.ToolFault{Code: "denied", Text: "Only the customer can consent."}
	case r.Action == "accept" && s.State == sdk.SessionWaiting:
		s.State = sdk.SessionActive
	case r.Action == "decline" && s.State == sdk.SessionWaiting:
		_ = s.end("declined") // it has not ended
	case r.Action == "end":
		d.Close = true
		_ = s.end("finished")
	case r.Action == "add" && s.State == sdk.SessionActive:
		s.Count += s.Step
	case r.Action == "copy" && s.State == sdk.SessionActive:
		d.Insert = fmt.Sprintf("We are at %d.", s.Count)
	default:
		d.Fault = &sdk.ToolFault{Code: "invalid", Text: "There is no such button now."}
	}
	return d
}
