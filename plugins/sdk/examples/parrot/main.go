// Command parrot is a whole bot: it repeats what the customer says, until the customer wants a
// person.
package main

import (
	"context"
	"strings"
	"sync"

	"github.com/parley-gateway/parley/plugins/sdk"
)

type settings struct {
	HandOver string `json:"hand_over"` // the word upon which people take over; "" = agent
	Bye      string `json:"bye"`       // the word upon which it ends the conversation; "" = bye
	Service  string `json:"service"`   // the id or name of the service that takes over; "" = the conversation's own
}

type parrot struct {
	accounts sdk.Accounts[settings]

	mu    sync.Mutex
	early map[sdk.ConversationID][]string // what the customer said before the bot joined, and nobody has answered
}

func main() { sdk.Serve(new(parrot)) }

func (p *parrot) Describe(context.Context) (sdk.Manifest, error) {
	return sdk.Manifest{
		ID: "parrot", Name: "Parrot", Version: "1.0.0", Delivery: sdk.NoChannel, Bot: &sdk.BotInfo{Name: "Parrot"},
		AccountSchema: `{"type":"object","properties":{"hand_over":{"type":"string"},"bye":{"type":"string"},"service":{"type":"string"}},"additionalProperties":false}`,
	}, nil
}

func (p *parrot) Configure(_ context.Context, cfg *sdk.Config) error {
	return p.accounts.Configure(cfg)
}

// Answer depends on the records and the settings, so it does the same when a later process reads them
// again. A bot for which that is not so, or whose settings change while it works, stores what it decides
// before it does it: `parley plugin new --bot` writes such a one.
func (p *parrot) Answer(ctx context.Context, t *sdk.BotTurn) error {
	said, isMessage := t.Record.Said()
	if t.Record.Seq < t.Joined { // the conversation began with this, or somebody has answered it
		p.mu.Lock()
		defer p.mu.Unlock()
		if t.Record.Seq == 1 { // a reader that was cut off begins again
			delete(p.early, t.Conversation)
		}
		switch {
		case isMessage && said.By == "agent":
			delete(p.early, t.Conversation)
		case isMessage && said.By == "customer" && said.Text != "":
			if p.early == nil {
				p.early = map[sdk.ConversationID][]string{}
			}
			p.early[t.Conversation] = append(p.early[t.Conversation], said.Text)
		}
		return nil
	}
	p.mu.Lock()
	texts := p.early[t.Conversation]
	delete(p.early, t.Conversation)
	p.mu.Unlock()
	if isMessage && said.By == "customer" && said.Text != "" {
		texts = append(texts, said.Text)
	}
	for _, text := range texts {
		if done, err := p.repeat(ctx, t, text); done || err != nil {
			return err
		}
	}
	return nil
}

// repeat answers one text. done: the bot takes part no longer.
func (p *parrot) repeat(ctx context.Context, t *sdk.BotTurn, text string) (done bool, err error) {
	conf, _ := p.accounts.Get(t.Account)
	switch word := strings.TrimSpace(text); {
	case strings.EqualFold(word, or(conf.HandOver, "agent")):
		return true, t.HandOver(ctx, conf.Service, "The customer wants a person.")
	case strings.EqualFold(word, or(conf.Bye, "bye")):
		if err := t.Post(ctx, sdk.Text{Text: "Bye!"}); err != nil {
			return true, err
		}
		return true, t.End(ctx, "The customer said goodbye.")
	}
	return false, t.Post(ctx, sdk.Text{Text: "You said: " + text})
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
