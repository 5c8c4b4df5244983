package messages

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/microcosm-cc/bluemonday"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// Errors of a Maker.
var (
	// ErrInvalid: the message contradicts itself or is out of bounds.
	ErrInvalid = errors.New("invalid request")
	// ErrTooLarge: the message is longer than can be kept.
	ErrTooLarge = errors.New("message too large")
)

// Log is what a Maker needs of the log.
type Log interface {
	Read(ctx context.Context, stream eventlog.StreamID, after uint64, limit int) ([]eventlog.Record, error)
}

// Blobs is what a Maker needs of the attachments (blob.Store).
type Blobs interface {
	// Find describes the attachments that a message names, in their order, and changes nothing. The
	// entry of an attachment that the sender may not use is zero.
	Find(ctx context.Context, by blob.Sender, ids []conversation.BlobID) ([]blob.Found, error)
}

// Maker makes messages. Safe for concurrent use.
type Maker struct {
	log        Log
	blobs      Blobs // nil: no attachments
	logger     *slog.Logger
	html       *bluemonday.Policy
	unresolved *prometheus.CounterVec
	missing    prometheus.Counter

	unresolvedParts *prometheus.CounterVec
}

// New makes a Maker. Without blobs (nil) there are no attachments.
func New(log Log, blobs Blobs, logger *slog.Logger) *Maker {
	html := bluemonday.NewPolicy()
	html.AllowElements("i", "b", "em", "strong", "br")
	html.AllowAttrs("href").OnElements("a")
	html.AllowURLSchemes("http", "https")
	html.RequireNoReferrerOnLinks(true)
	html.AddTargetBlankToFullyQualifiedLinks(true)
	return &Maker{
		log: log, blobs: blobs, logger: logger, html: html,
		unresolved: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_inbound_unresolved_replies_total", Help: "Customers' messages kept without the message that they reply to, which is none of their conversation."}, []string{"channel"}),
		missing:    prometheus.NewCounter(prometheus.CounterOpts{Name: "parley_inbound_attachments_missing_total", Help: "Attachments that customers' messages named and their threads did not have; the messages were kept."}),
		unresolvedParts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "parley_inbound_unresolved_references_total",
			Help: "Customers' reactions, edits and revocations kept as they came, because the provider's id names no message of their conversation, by channel and kind."}, []string{"channel", "kind"}),
	}
}

// Collectors are a Maker's metrics.
func (m *Maker) Collectors() []prometheus.Collector {
	return []prometheus.Collector{m.unresolved, m.missing, m.unresolvedParts}
}

// Written is what a customer or an agent has written.
type Written struct {
	Parts      []conversation.Part
	ClientID   string
	Name       string                 // the author's name, shown with the message; "": none
	ReplyTo    conversation.MessageID // the message that this one replies to; zero: none
	ProviderAt time.Time              // zero: the provider told no time
	ReceivedAt time.Time

	ProviderIDs       []string // the provider's ids of a customer's message
	ReplyToProviderID string   // names the message that this one replies to when ReplyTo is zero; see Resolve
}

// FromCustomer makes the command for a customer's message, whose parts have passed
// Check.
func (m *Maker) FromCustomer(w Written) (*conversation.Post, error) {
	return post(conversation.Author{Kind: conversation.Customer}, w, m.clean(w.Parts))
}

// FromAgent makes the command for an agent's message of one part or more. It removes forbidden
// mark-up before it checks the parts, so a message of which nothing is left fails with ErrInvalid.
// A message that is too long fails with ErrTooLarge.
func (m *Maker) FromAgent(agent conversation.AgentID, w Written) (*conversation.Post, error) {
	return m.forCustomer(conversation.Author{Kind: conversation.Agent, Agent: agent}, w)
}

// FromBot is FromAgent for a bot.
func (m *Maker) FromBot(bot conversation.AccountID, w Written) (*conversation.Post, error) {
	return m.forCustomer(conversation.Author{Kind: conversation.Bot, Bot: bot}, w)
}

func (m *Maker) forCustomer(by conversation.Author, w Written) (*conversation.Post, error) {
	parts := withoutIDs(m.clean(w.Parts))
	switch code := Check(parts); {
	case code == tooLarge:
		return nil, ErrTooLarge
	case code != "" || len(parts) == 0:
		return nil, ErrInvalid
	}
	return post(by, w, parts)
}

// withoutIDs takes the provider's ids out of what names messages: to the customer go those that the gateway
// itself knows, when the message is handed out. The caller's parts stay as they are.
func withoutIDs(parts []conversation.Part) []conversation.Part {
	has := func(p conversation.Part) bool {
		_, id, ids := p.Names()
		return id != nil && (*id != "" || len(*ids) > 0)
	}
	if !slices.ContainsFunc(parts, has) {
		return parts
	}
	parts = slices.Clone(parts)
	for i := range parts {
		p := &parts[i]
		switch {
		case p.Reaction != nil:
			p.Reaction = &conversation.Reaction{Message: p.Reaction.Message, Emoji: p.Reaction.Emoji}
		case p.Edit != nil:
			p.Edit = &conversation.Edit{Message: p.Edit.Message, Text: p.Edit.Text}
		case p.Revoke != nil:
			p.Revoke = &conversation.Revoke{Message: p.Revoke.Message}
		}
	}
	return parts
}

func post(by conversation.Author, w Written, parts []conversation.Part) (*conversation.Post, error) {
	kinds, blobs := kindsOf(parts)
	body, err := messageBody(parts, w.Name, conversation.KeptProviderIDs(w.ProviderIDs))
	return &conversation.Post{
		ID: conversation.NewID[conversation.MessageID](), Author: by, ClientID: w.ClientID,
		Kinds: kinds, Blobs: blobs, ReplyTo: w.ReplyTo, Refs: refsOf(parts, w.ReplyTo),
		ProviderAt: w.ProviderAt, ReceivedAt: w.ReceivedAt, Body: body,
	}, err
}

// clean removes all mark-up that is not allow-listed (D6). The caller's parts stay as they are.
func (m *Maker) clean(parts []conversation.Part) []conversation.Part {
	for i := range parts {
		if parts[i].HTML != "" {
			parts = append([]conversation.Part(nil), parts...)
			for j := range parts {
				if parts[j].HTML != "" {
					parts[j].HTML = m.html.Sanitize(parts[j].HTML)
				}
			}
			return parts
		}
	}
	return parts
}
