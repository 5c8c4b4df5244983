package system_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// exchange is the outside view of texts in and replies out.
type exchange struct {
	mu      sync.Mutex
	texts   map[string]bool // inbound, answered 2xx
	asked   map[string]bool // inbound by web chat, accepted
	replies map[string]bool // outbound, acknowledged to the agent
	counts  map[string]int  // of texts, asked and calls so far, by kind

	// tool, if not nil, is called with the first text of each visitor's conversation that the agent with this token
	// hears, and pick with each call that rings.
	tool   func(token, conversation, text string)
	tooled map[string]bool // conversations for which tool was called
	pick   func(ctx context.Context, token, conversation, session, leg string)
}

func newExchange() *exchange {
	return &exchange{texts: map[string]bool{}, asked: map[string]bool{}, replies: map[string]bool{}, counts: map[string]int{}, tooled: map[string]bool{}}
}

// took notes that a text was taken whose reply a carrier must get.
func (x *exchange) took(kind, text string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.texts[text] = true
	x.counts[kind]++
}

// said notes that a visitor's text was accepted, or "": that somebody's call was.
func (x *exchange) said(kind, text string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if text != "" {
		x.asked[text] = true
	}
	x.counts[kind]++
}

// texter delivers a text as a carrier does, and returns the answer's status.
type texter interface {
	Text(ctx context.Context, sid, from, body string) (status int, err error)
}

// phone delivers texts one after the other, each until its webhook was
// answered with a 2xx, always under the same sid: a carrier that repeats. most
// bounds how many they are.
func (x *exchange) phone(ctx context.Context, c texter, n, most int) error {
	for k := 0; k < most && ctx.Err() == nil; {
		text := fmt.Sprintf("text %d-%d", n, k)
		status, err := c.Text(ctx, sid(n<<20+k), fmt.Sprintf("+1212555%04d", n), text)
		switch {
		case err != nil || status >= 500:
			select {
			case <-time.After(20 * time.Millisecond): // the carrier's pause before it repeats
			case <-ctx.Done():
			}
		case status/100 == 2:
			x.took("text", text)
			k++
			if !x.answered(ctx, "reply to "+text) {
				return nil
			}
		default:
			return fmt.Errorf("%s: answer %d", text, status)
		}
	}
	return nil
}

// answered waits for the agent's reply: the next text is the customer's answer.
func (x *exchange) answered(ctx context.Context, reply string) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		x.mu.Lock()
		done := x.replies[reply]
		x.mu.Unlock()
		if done {
			return true
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
}

// agent accepts what it is offered and replies to each text once, through
// kills and reconnects: a reply goes again under its client id until it is acknowledged.
func (x *exchange) agent(ctx context.Context, d *demo, token string) {
	x.agentOf(ctx, token, d.info.PublicURL)
}

// agentOf is agent at the gateways with these public URLs, at the next one each time it connects.
func (x *exchange) agentOf(ctx context.Context, token string, urls ...string) {
	for n := 0; ctx.Err() == nil; n++ {
		url := urls[n%len(urls)]
		todo := make(chan func(*drive.Agent) error, 4096)
		dial, cancel := context.WithTimeout(ctx, 5*time.Second)
		a, err := drive.DialAgent(dial, drive.AgentOptions{
			URL: "ws" + strings.TrimPrefix(url, "http") + "/api/v1/stream", Token: token,
			OnOffer: func(o drive.Offer) {
				todo <- func(a *drive.Agent) error {
					return ignoreRefusal(a.Do(ctx, "accept", map[string]any{"offer": o.Offer}, nil))
				}
			},
			OnEvent: func(frame []byte) { x.hear(ctx, token, frame, todo) },
		})
		cancel()
		if err == nil {
			err = ignoreRefusal(a.Do(ctx, "ready", nil, nil))
			for err == nil {
				select {
				case f := <-todo:
					err = f(a)
				case <-a.Closed():
					err = drive.ErrClosed
				case <-ctx.Done():
					err = ctx.Err()
				}
			}
			a.Close()
		}
		select {
		case <-time.After(50 * time.Millisecond): // as a desktop backs off
		case <-ctx.Done():
		}
	}
}

// ignoreRefusal passes on what is no refusal, and refusals that pass: the agent
// connects anew then, and meets all that is still to do again.
func ignoreRefusal(err error) error {
	var refused *drive.RefusedError
	if errors.As(err, &refused) && refused.Code != "unavailable" && refused.Code != "rate_limited" {
		return nil
	}
	return err
}

// hear answers a customer's text, unless the answer was acknowledged before, takes calls that ring, and ends their
// conversations.
func (x *exchange) hear(ctx context.Context, token string, frame []byte, todo chan<- func(*drive.Agent) error) {
	var e struct {
		Conversation, Type string
		Head               struct {
			Author        struct{ Kind string }
			Session, Kind string
			Leg           struct {
				ID, State string
				Party     struct{ Kind string }
			}
		}
		Body struct{ Parts []struct{ Text string } }
	}
	if json.Unmarshal(frame, &e) != nil {
		return
	}
	switch {
	case e.Type == "session.leg/1" && x.pick != nil && e.Head.Leg.State == "ringing" && e.Head.Leg.Party.Kind == "customer":
		todo <- func(*drive.Agent) error {
			x.pick(ctx, token, e.Conversation, e.Head.Session, e.Head.Leg.ID)
			return nil
		}
		return
	case e.Type == "session.ended/1" && e.Head.Kind == "call":
		todo <- func(a *drive.Agent) error {
			return ignoreRefusal(a.Do(ctx, "end", map[string]any{"conversation": e.Conversation}, nil))
		}
		return
	case e.Type != "message/1" || e.Head.Author.Kind != "customer" || len(e.Body.Parts) == 0:
		return
	}
	text := e.Body.Parts[0].Text
	reply := "reply to " + text
	x.mu.Lock()
	done, tool := x.replies[reply], strings.HasPrefix(text, "chat ") && x.tool != nil && !x.tooled[e.Conversation]
	if tool {
		x.tooled[e.Conversation] = true
	}
	x.mu.Unlock()
	if tool {
		x.tool(token, e.Conversation, text)
	}
	if done {
		return
	}
	todo <- func(a *drive.Agent) error {
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		_, err := a.Say(call, e.Conversation, reply, reply)
		if err == nil {
			x.mu.Lock()
			x.replies[reply] = true
			x.mu.Unlock()
		}
		return ignoreRefusal(err)
	}
}

// strangers are phones that never wrote before, one after the other while ctx
// lasts, each at a carrier of its own: their first texts begin conversations that
// have to be queued.
func (x *exchange) strangers(ctx context.Context, carriers []*drive.Carrier, fault func(error)) {
	var phones sync.WaitGroup
	defer phones.Wait()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i, c := range carriers {
		phones.Go(func() {
			if err := x.phone(ctx, c, firstStranger+i, 1); err != nil {
				fault(err)
			}
		})
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

const (
	firstStranger = 1000
	maxStrangers  = 80          // what one agent takes beside the others
	noEnd         = math.MaxInt // of a phone's texts
)

// reordered counts the messages that come before an earlier one of their customer, or before the answer to an
// earlier one.
func reordered(texts []string) (n int) {
	last := map[string]int{}
	for _, text := range texts {
		of, k, ok := numbered(text)
		if !ok {
			continue // the conversation's own
		}
		if k < last[of] {
			n++
		}
		last[of] = max(last[of], k)
	}
	return n
}

// numbered splits what customers write and what answers it, such as "reply to text 3-17", into whose it is and its
// number.
func numbered(text string) (of string, k int, ok bool) {
	i := strings.LastIndexByte(text, '-')
	if i < 0 {
		return "", 0, false
	}
	k, err := strconv.Atoi(text[i+1:])
	return text[:i], k, err == nil
}

// progress is what was taken so far, by kind.
func (x *exchange) progress() map[string]int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return maps.Clone(x.counts)
}
