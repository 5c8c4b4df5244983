package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// Tools is what the core may ask of the plugins that serve ToolService. The plugin host implements
// it. Each call goes to the instance that is named (Pin.Instance), or, for Start, to the plugin's
// newest generation. Calls take up to 15 s. A call to an instance that is gone fails with
// ErrInstanceGone, one that was not answered with ErrNoAnswer: the tool may have done it or not, and
// Get tells.
type Tools interface {
	ToolStart(ctx context.Context, plugin string, r ToolStart) (ToolAnswer, error)
	ToolGet(ctx context.Context, plugin, instance string, session conversation.SessionID) (s ToolSession, found bool, err error)
	ToolEnd(ctx context.Context, plugin, instance string, session conversation.SessionID, by Party, cause conversation.Cause) (ToolSession, error)
	ToolPanel(ctx context.Context, plugin, instance string, session conversation.SessionID, viewer Party) (*Panel, error)
	ToolAct(ctx context.Context, plugin, instance string, r ToolAct) (ToolAnswer, error)
	// ToolNotice tells the instance that holds a session what happened around it. It never blocks;
	// a notice may be lost.
	ToolNotice(plugin, instance string, n ToolNotice)
}

// Errors of Tools.
var (
	// ErrInstanceGone: the generation of the plugin that was named takes no calls any more.
	ErrInstanceGone = errors.New("plugin instance gone")
	// ErrNoAnswer: the call failed or took too long, and what became of it is not known.
	ErrNoAnswer = errors.New("no answer from the plugin")
)

// ToolStart begins a session of a tool.
type ToolStart struct {
	Session      conversation.SessionID // made by the gateway; the same again is the same session
	Account      conversation.AccountID // of the tool
	Conversation conversation.ConversationID
	Service      conversation.ServiceID // zero: none
	By           Party                  // who asked
	Agent        Party                  // for whom it is; zero: no agent has joined
	AgentEmail   string
	Customer     Party
	Locale       string          // of the customer, BCP 47; "" = not known
	Settings     json.RawMessage // those of the service for this tool; nil: none
	Arguments    json.RawMessage // what the asking side gave; nil: none
	Panels       bool            // the customer's channel shows panels
	Expires      time.Time       // when it ends at the latest; zero: with the conversation
}

// ToolSession is how a tool's session is, as the tool says.
type ToolSession struct {
	Session       conversation.SessionID
	Instance      string                    // the generation that said it
	State         conversation.SessionState // "" when Ended
	Ended         bool
	Cause         conversation.Cause // of the end
	Code          string             // the provider's
	Revision      uint64             // of the agents' panel; 0: there is none
	Panel         *Panel             // what agents see; nil: unchanged
	CustomerPanel *Panel             // what the customer sees; nil: unchanged
	Note          string             // a line for the conversation; "" = none
}

// Panel is what a tool shows: a JSON array of blocks.
type Panel struct {
	Revision uint64
	Blocks   json.RawMessage // nil: nothing any more
}

// ToolAct: somebody used a panel.
type ToolAct struct {
	Session  conversation.SessionID
	Viewer   Party
	Act      [16]byte // the same again is the same act
	Action   string
	Values   json.RawMessage // JSON object; nil: none
	Revision uint64          // of the panel that the viewer saw
}

// ToolAnswer answers ToolStart and ToolAct. If Fault is set, nothing was done.
type ToolAnswer struct {
	Session *ToolSession // nil: unchanged
	Panel   *Panel       // the viewer's; nil: unchanged
	Effects []Effect
	Fault   *ToolFault
}

// Effect is what else is to happen at the viewer's. Exactly one field is set.
type Effect struct {
	InsertText string `json:"insert_text,omitempty"` // into the composer; never sent by itself (M4)
	OpenURL    string `json:"open_url,omitempty"`
	Toast      string `json:"toast,omitempty"`
	End        bool   `json:"end,omitempty"` // closes the panel
}

// ToolFault says why a tool did not do what it was asked to.
type ToolFault struct {
	Code       string
	Text       string // for people
	RetryAfter time.Duration
}

// ToolNotice is a hint about what happened around a session.
type ToolNotice struct {
	Session      conversation.SessionID
	Account      conversation.AccountID
	Conversation conversation.ConversationID
	What         string // "joined", "left", "ended", "session_ended"
	Party        Party
}

// ToolInfo is what a plugin says of the tool that it serves.
type ToolInfo struct {
	Title, Icon    string
	AgentStarts    bool
	CustomerStarts bool
	NeedsConsent   bool
	NeedsPanels    bool
	Single         bool
	EmbedOrigins   []string
}
