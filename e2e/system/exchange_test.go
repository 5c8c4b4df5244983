package system_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// exchange is the outside view of texts in and replies out.
type exchange struct {
	mu      sync.Mutex
	texts   map[string]bool // inbound, answered 2xx
	replies map[string]bool // outbound, acknowledged to the agent
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
			x.mu.Lock()
			x.texts[text] = true
			x.mu.Unlock()
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
			OnEvent: func(frame []byte) { x.hear(ctx, frame, todo) },
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

// hear answers a customer's text, unless the answer was acknowledged before.
func (x *exchange) hear(ctx context.Context, frame []byte, todo chan<- func(*drive.Agent) error) {
	var e struct {
		Conversation, Type string
		Head               struct{ Author struct{ Kind string } }
		Body               struct{ Parts []struct{ Text string } }
	}
	if json.Unmarshal(frame, &e) != nil || e.Type != "message/1" || e.Head.Author.Kind != "customer" || len(e.Body.Parts) == 0 {
		return
	}
	reply := "reply to " + e.Body.Parts[0].Text
	x.mu.Lock()
	done := x.replies[reply]
	x.mu.Unlock()
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

// reordered counts the messages that come before an earlier one of their phone.
func reordered(texts []string) (n int) {
	last := map[string]int{}
	for _, text := range texts {
		var phone, k int
		kind := "text "
		if strings.HasPrefix(text, "reply to ") {
			kind, text = "reply ", strings.TrimPrefix(text, "reply to ")
		}
		if _, err := fmt.Sscanf(text, "text %d-%d", &phone, &k); err != nil {
			continue // the conversation's own
		}
		key := fmt.Sprint(kind, phone)
		if k < last[key] {
			n++
		}
		last[key] = max(last[key], k)
	}
	return n
}

func (x *exchange) count() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.texts)
}
