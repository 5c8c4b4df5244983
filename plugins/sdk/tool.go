package sdk

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// ToolServer is a tool that an agent and a customer use inside a conversation (minor 1): co-browse,
// remote assistance, forms. Set Manifest.Tool as well. Each call has 15 s. Start, End and Act of one
// session never overlap; Get and Panel may come at any time. A *ToolFault, also wrapped, says in
// people's words why nothing was done; other errors are faults of the tool and are logged.
//
// What happens between calls is emitted as a ToolEvent.
type ToolServer interface {
	// Start begins a session, whose id the host has made. The same id may come again after a lost
	// answer: return the session as it is.
	Start(ctx context.Context, r *ToolStart) (ToolSession, error)
	// Get returns a session as it is now; ErrNotFound if there is none with this id.
	Get(ctx context.Context, id SessionID) (ToolSession, error)
	// End ends a session. It may come again, and for a session that has ended or is not known: that
	// is no error.
	End(ctx context.Context, r *ToolEnd) (ToolSession, error)
	// Panel returns what a viewer sees; nil: nothing.
	Panel(ctx context.Context, id SessionID, viewer Party) (*Panel, error)
	// Act carries out what somebody did on a panel. A repeat (the same ToolAct.ID) must not be carried
	// out again, and gets the same fault or none, and the same effects; panel and session may be those
	// of now. The SDK answers repeats itself while the process lives. For those after a crash keep the
	// ids of the latest acts, and what became of them, with the session, in one write. What
	// `parley plugin new --tool` writes shows how.
	Act(ctx context.Context, r *ToolAct) (ToolAnswer, error)
}

// ToolNoticeHandler is told what happens around sessions (minor 1). Notices are hints: they come one
// after another, and may be lost with a Session or when the handler is slow.
type ToolNoticeHandler interface {
	ToolNotice(ctx context.Context, n ToolNotice)
}

// ToolNoticeFunc adapts a function to ToolNoticeHandler.
type ToolNoticeFunc func(ctx context.Context, n ToolNotice)

// ToolNotice calls f.
func (f ToolNoticeFunc) ToolNotice(ctx context.Context, n ToolNotice) { f(ctx, n) }

// ToolStart asks for a session of a tool.
type ToolStart struct {
	Session      SessionID
	Account      AccountID
	Conversation ConversationID
	Service      string // id of the conversation's service; "" = none
	By           Party  // who asked: the customer or an agent
	Agent        Party  // for whom it is; zero: no agent has joined
	AgentEmail   string // "" = not known
	Customer     Party
	Locale       string          // of the customer, BCP 47; "" = not known
	Settings     json.RawMessage // those of the service for this tool, over the account's; nil = none
	Arguments    json.RawMessage // what the asking side gave, such as the name of a form; nil = none
	Panels       bool            // the customer's channel shows panels; false: links only
	Expires      time.Time       // when it ends at the latest; zero = with the conversation
}

// ToolSession is how a session is.
type ToolSession struct {
	ID    SessionID
	State SessionState // never SessionRequested
	Cause string       // of the end: "finished", "declined", "expired", "cancelled", "failed"
	Code  string       // the provider's
	// Revision is that of the agents' panel, and grows with each change; 0 = there is no panel.
	Revision uint64
	Panel    *Panel // what agents see; nil: unchanged, or to be asked for
	Note     string // a line for the conversation, in people's words; "" = none
	// CustomerPanel is what the customer sees, on channels with panels. nil: unchanged; without
	// blocks: nothing any more.
	CustomerPanel *Panel
}

// ToolEnd asks to end a session.
type ToolEnd struct {
	Session SessionID
	By      Party
	Cause   string // "finished", "cancelled", "conversation_ended", "expired"
}

// ToolAct is what somebody did on a panel.
type ToolAct struct {
	ID       string // a UUID: a repeat is the same act
	Session  SessionID
	Viewer   Party
	Action   string          // of the block that was used
	Values   json.RawMessage // JSON object with the panel's fields; nil = none
	Revision uint64          // of the panel that the viewer saw
}

// ToolAnswer is what an act leads to. Panel and Effects go to the agent or supervisor who acted, and are
// not kept. After a customer's act only Session counts: its CustomerPanel is what the customer sees
// next.
type ToolAnswer struct {
	Panel   *Panel       // nil: unchanged
	Effects []Effect     // at most 16
	Session *ToolSession // nil: unchanged
}

// Effect is what else is to happen on the screen of the agent who acted: InsertText, OpenURL, Toast or
// ClosePanel.
type Effect interface{ isEffect() }

// InsertText puts text into the composer; it is never sent by itself.
type InsertText struct{ Text string }

// OpenURL opens a page in a new window.
type OpenURL struct{ URL string }

// Toast shows a line for a moment.
type Toast struct{ Text string }

// ClosePanel closes the panel.
type ClosePanel struct{}

func (InsertText) isEffect() {}
func (OpenURL) isEffect()    {}
func (Toast) isEffect()      {}
func (ClosePanel) isEffect() {}

// ToolFault says why a tool did not do what it was asked to. It is an error.
type ToolFault struct { //nolint:errname // named as in the contract
	Code       string        // "not_configured", "not_allowed", "unauthorized", "unavailable", "throttled", "busy", "ended", "invalid", ...
	Text       string        // for people; it must contain no secrets
	RetryAfter time.Duration // 0 = not known, or of no use
}

// Error names code and text.
func (f *ToolFault) Error() string { return fmt.Sprintf("tool: %s: %s", f.Code, f.Text) }

// Fault returns a *ToolFault as an error.
func Fault(code, text string) error { return &ToolFault{Code: code, Text: text} }

// ToolNotice says what happened around a session.
type ToolNotice struct {
	Session      SessionID
	Account      AccountID
	Conversation ConversationID
	What         string // "joined", "left", "ended" (the conversation), "session_ended"
	Party        Party  // who joined or left
}

// ToolEvent says that a session has changed (minor 1). Its event has the account of the tool and no
// thread.
type ToolEvent struct{ Session ToolSession }

// CustomerTool: the customer uses a tool (minor 1), of the conversation that is open on the thread.
type CustomerTool struct {
	Session  SessionID       // "" with the action "start"
	Account  AccountID       // of the tool; with the action "start"
	Action   string          // "start", "accept", "decline", "end", or that of a block of the customer's panel
	Values   json.RawMessage // JSON object with the panel's fields; nil = none
	Revision uint64          // of the panel that the customer saw; 0 = not known
}

// CustomerCall: the customer uses a call (minor 1), of the conversation that is open on the thread.
type CustomerCall struct {
	Session SessionID // "" with the action "start"
	Action  string    // "start", "answer", "decline", "end", "mute", "unmute", "video_on", "video_off"
}

// Satisfaction is what the customer thinks of the conversation (minor 1), also for a while after its
// end.
type Satisfaction struct {
	Conversation ConversationID // "" = the last one of the thread
	Score        int32          // of the scale that the service asks for
	Comment      string
}

// FormAnswer answers a form (minor 1): sealed in the customer's browser, opaque to host and channel.
type FormAnswer struct {
	Session   SessionID // of the tool that asked
	Sealed    []byte    // at most 64 KiB; empty with Cancelled
	Cancelled bool
}

func (ToolEvent) isEventBody()    {}
func (CustomerTool) isEventBody() {}
func (CustomerCall) isEventBody() {}
func (Satisfaction) isEventBody() {}
func (FormAnswer) isEventBody()   {}
