package sdk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// This file has what minor 1 added for store-and-forward channels: read marks and typing as
// commands, reply windows, templates, and traits of accounts.

// ErrHostTooOld: the host speaks an older minor version of the contract, which has nothing that
// would carry this. Nothing was sent.
var ErrHostTooOld = errors.New("the gateway's contract is too old for this")

// ReadMarker tells the provider that agents have read the customer's messages (minor 1). There is no
// Begin. A failure that is Retryable comes again unless a newer mark has replaced it.
type ReadMarker interface {
	MarkRead(ctx context.Context, cmd *MarkReadCommand) Result
}

// MarkReadCommand: the customer's messages up to and including this one have been read.
type MarkReadCommand struct {
	CommandInfo
	MessageID   MessageID
	ProviderID  string   // the message's first provider id
	ProviderIDs []string // those of all its parts
}

// Typist tells the provider that somebody writes to the customer, or has stopped (minor 1). There is
// no Begin, and no repeat after a failure.
type Typist interface {
	Typing(ctx context.Context, cmd *TypingCommand) Result
}

// TypingCommand: somebody writes, or has stopped.
type TypingCommand struct {
	CommandInfo
	On         bool
	ProviderID string // of the customer's last message, which some providers want; "" = not known
}

// AccountDescriber says in what single accounts differ from the Manifest (minor 1). It is asked
// after each configuration that Configure accepts, also one for validation only, and within the same
// 15 s. An account that is not listed is as the Manifest says.
type AccountDescriber interface {
	DescribeAccounts(ctx context.Context, cfg *Config) ([]AccountTraits, error)
}

// AccountTraits is what holds for one account.
type AccountTraits struct {
	Account      AccountID
	HookBudget   time.Duration // 0 = HookInfo.Budget
	Placement    Placement
	Capabilities *Capabilities // all of them; nil = those of the Manifest
}

// Placement is where an account may be served.
type Placement int

// Placements. The zero value is what Manifest.SingleNode says.
const (
	AnyNode Placement = iota + 1 // several nodes may serve the account at the same time
	OneNode                      // one node at a time, by lease: polling, REGISTER, SMPP
)

// MarkReadFunc adapts a function to ReadMarker.
type MarkReadFunc func(ctx context.Context, cmd *MarkReadCommand) Result

// MarkRead calls f.
func (f MarkReadFunc) MarkRead(ctx context.Context, cmd *MarkReadCommand) Result { return f(ctx, cmd) }

// TypingFunc adapts a function to Typist.
type TypingFunc func(ctx context.Context, cmd *TypingCommand) Result

// Typing calls f.
func (f TypingFunc) Typing(ctx context.Context, cmd *TypingCommand) Result { return f(ctx, cmd) }

// DescribeAccountsFunc adapts a function to AccountDescriber.
type DescribeAccountsFunc func(ctx context.Context, cfg *Config) ([]AccountTraits, error)

// DescribeAccounts calls f.
func (f DescribeAccountsFunc) DescribeAccounts(ctx context.Context, cfg *Config) ([]AccountTraits, error) {
	return f(ctx, cfg)
}

// ReplyWindow says until when the customer may be written to freely (minor 1); after that only
// templates may be sent. It replaces what Capabilities.ReplyWindowHours gives by itself.
type ReplyWindow struct{ Expires time.Time } // zero = no window is open

func (ReplyWindow) isEventBody() {}

// TemplateInfo is a template of an account, as its provider has approved it.
type TemplateInfo struct {
	Name       string
	Language   string // BCP 47
	Category   string // the provider's: "utility", "marketing", ...
	Header     string // text with placeholders {{1}} or {{name}}; "" = none
	HeaderKind string // "", "text", "image", "video", "document", "location"
	Body       string
	Footer     string
	Buttons    []TemplateButton
	Status     string // "approved", "paused", ...; only "approved" ones may be sent
}

// TemplateButton is a button of a template.
type TemplateButton struct {
	Kind  string // "reply", "url", "phone", "copy"
	Title string
	Value string // with placeholders: a URL
}

// ReportTemplates tells the host which templates an account has (minor 1, Manifest.Templates): all
// of them, in place of those reported before. The SDK reports them again in each Session. It fails
// with ErrTooLarge for more than 1000 templates or 2 MiB, and with ErrHostTooOld where the host is
// older, or host is not the one that Attach got.
func ReportTemplates(host Host, account AccountID, templates []TemplateInfo) error {
	h, ok := host.(TemplateReporter)
	if !ok {
		return ErrHostTooOld
	}
	return h.ReportTemplates(account, templates)
}

// TemplateReporter is what ReportTemplates asks a Host for. It is apart from Host so that doubles of
// Host from before minor 1 still are Hosts.
type TemplateReporter interface {
	ReportTemplates(account AccountID, templates []TemplateInfo) error
}

// ReportTemplates implements TemplateReporter.
func (h *host) ReportTemplates(account AccountID, templates []TemplateInfo) error {
	if n := len(templates); n > contract.MaxTemplates {
		return fmt.Errorf("%d templates, at most %d: %w", n, contract.MaxTemplates, ErrTooLarge)
	}
	list := templatesToWire(account, templates)
	if proto.Size(list) > contract.MaxTemplateBytes {
		return fmt.Errorf("templates: %w", ErrTooLarge)
	}
	return h.srv.out.setTemplates(account, list)
}

func templatesToWire(account AccountID, templates []TemplateInfo) *pluginv1.TemplateList {
	out := &pluginv1.TemplateList{Account: string(account)}
	for _, t := range templates {
		w := &pluginv1.TemplateInfo{
			Name: t.Name, Language: t.Language, Category: t.Category, Header: t.Header, HeaderKind: t.HeaderKind,
			Body: t.Body, Footer: t.Footer, Status: t.Status,
		}
		for _, b := range t.Buttons {
			w.Buttons = append(w.Buttons, &pluginv1.TemplateButton{Kind: b.Kind, Title: b.Title, Value: b.Value})
		}
		out.Templates = append(out.Templates, w)
	}
	return out
}

func templatesFromWire(list *pluginv1.TemplateList) (AccountID, []TemplateInfo) {
	var out []TemplateInfo
	for _, w := range list.GetTemplates() {
		t := TemplateInfo{
			Name: w.GetName(), Language: w.GetLanguage(), Category: w.GetCategory(), Header: w.GetHeader(),
			HeaderKind: w.GetHeaderKind(), Body: w.GetBody(), Footer: w.GetFooter(), Status: w.GetStatus(),
		}
		for _, b := range w.GetButtons() {
			t.Buttons = append(t.Buttons, TemplateButton{Kind: b.GetKind(), Title: b.GetTitle(), Value: b.GetValue()})
		}
		out = append(out, t)
	}
	return AccountID(list.GetAccount()), out
}
