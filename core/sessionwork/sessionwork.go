package sessionwork

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// Conversations is what Work asks of the router.
type Conversations interface {
	// Do has a conversation decide a step, and returns after the commit.
	Do(ctx context.Context, conv conversation.ConversationID, s Step) (Outcome, error)
	// Submit is Do that does not wait: done is called once.
	Submit(conv conversation.ConversationID, s Step, done func(Outcome, error))
	// Plugin returns what a plugin last said of itself.
	Plugin(id string) (plugin.Info, bool)
	// Customer returns what the customer said at the start.
	Customer(ctx context.Context, conv conversation.ConversationID) (conversation.StartedBody, error)
	// Head reads an event's head.
	Head(ctx context.Context, conv conversation.ConversationID, seq uint64) (conversation.Head, error)
	// File describes a stored file that an event of a plugin on its thread may bring into conv. named is the
	// event of conv that names the file already; 0: none does. Errors: ErrInvalid (there is no such file, or it is
	// somebody else's), conversation.ErrUnsupported (there is no store), and those of store and log.
	File(ctx context.Context, conv conversation.ConversationID, in *plugin.Inbound, id conversation.BlobID) (f conversation.File, named uint64, err error)
	// Repeat answers an event that was committed before, at seq of a stream.
	Repeat(in plugin.Inbound, stream eventlog.StreamID, seq uint64) plugin.Ack
	// Ack answers an event that conv has decided on, or has not (err).
	Ack(conv conversation.ConversationID, out Outcome, err error) plugin.Ack
}

// Step is what a conversation is to decide.
type Step struct {
	// Decide says what to do, given the state. The conversation's worker calls it, and calls it
	// again after a conflict.
	Decide func(s *conversation.State) (Plan, error)
	// Account and Keys are external ids that are bound to the step's first event. A step whose key is
	// bound already does nothing, and its outcome is a duplicate.
	Account conversation.AccountID
	Keys    []eventlog.Key
	// Dropped is called once instead of what follows a commit (After) if the step of an Arrival was refused, is
	// a duplicate, or has no known outcome; nil: there is nothing to call. It does not block.
	Dropped func()
}

// Plan is what one append writes for a Step.
type Plan struct {
	Commands []conversation.Command
	// Blobs are files of events that the plan leads to. They are bound to the first of these.
	Blobs []conversation.BlobID
	// Calls are commands for the plugins of calls. Their rows are in the plan's append.
	Calls []CallOut
	// Reported: the plan says what a plugin has reported, so no command about it goes to the plugin.
	Reported bool
}

// CallOut is a command for the plugin of a call.
type CallOut struct {
	Command conversation.MessageID // by which the conversation's events name it
	Account conversation.AccountID // of the call
	Pin     conversation.Pin       // the process that has the call; zero: none has it yet
	Do      *plugin.CallCommand
	Within  time.Duration // how long it is worth carrying out; 0, and more than that, is 15 seconds
}

// Outcome tells where a step's events are.
type Outcome struct {
	Conversation conversation.ConversationID
	First, Last  uint64 // 0: there was nothing to do
	Duplicate    bool   // First is the event to which the key was bound before
}

// Log is what Work needs of the log.
type Log interface {
	External(ctx context.Context, account eventlog.StreamID, key eventlog.Key) (stream eventlog.StreamID, seq uint64, err error)
}

// Vault makes the keys of external ids.
type Vault interface {
	MAC(purpose string, parts ...[]byte) [32]byte
}

// Directory is what Work needs of the installation's records.
type Directory interface {
	Snapshot() *directory.Snapshot
}

// Runner runs Work's goroutines, which end with the router.
type Runner interface {
	// Go runs f on a goroutine that the router's Stop waits for. False: the router is stopping, and f does
	// not run.
	Go(f func()) bool
	// After runs f later, unless the router stops first.
	After(d time.Duration, f func())
	// Running ends when the router stops.
	Running() context.Context
}

// Options for New. All fields are needed.
type Options struct {
	Node          string
	Log           Log
	Vault         Vault
	Directory     Directory
	Conversations Conversations
	Runner        Runner
	Logger        *slog.Logger
	Now           func() time.Time // the installation's time (core/clock)
}

// Work carries out the sessions of a node. Safe for concurrent use.
type Work struct {
	node    string
	log     Log
	vault   Vault
	dir     Directory
	convs   Conversations
	runner  Runner
	logger  *slog.Logger
	now     func() time.Time
	metrics metrics

	mu          sync.Mutex // guards the fields below
	tools       plugin.Tools
	generations map[string][]string // by plugin: instances that are ready, the newest last
	sessions    map[sessionKey]*held
	rooms       map[conversation.ConversationID]*room
	beginnings  map[conversation.SessionID]chan struct{} // sessions that a tool is being asked to begin; closed afterwards
}

// Errors of Work, beside those of conversation.
var (
	// ErrNoTool: the conversation's service has no such tool, or it does not work here.
	ErrNoTool = errors.New("no such tool here")
	// ErrDenied: the tool is not for this person to start, or belongs to somebody else.
	ErrDenied = errors.New("not allowed")
	// ErrUnavailable: the plugin does not run on this node, or did not answer. It may be asked for again.
	ErrUnavailable = errors.New("the plugin does not answer")
	// ErrRate: too many acts on this session; the same act may come again later.
	ErrRate = errors.New("too many acts")
	// ErrInvalid: the request contradicts itself or is out of bounds.
	ErrInvalid = errors.New("invalid request")
	// ErrNoLeg: the call has no such leg.
	ErrNoLeg = errors.New("no such leg of the call")
	// ErrWrongState: the call, or the leg, is in a state in which this cannot be done.
	ErrWrongState = errors.New("the call is not in a state for this")
)

// RecordedError: the recording that a plugin reports is in the log already. It has no code, since the report is
// answered as a repeat.
type RecordedError struct {
	Conversation conversation.ConversationID
	Seq          uint64 // of the SessionRecorded
}

// Error says where the recording is.
func (e *RecordedError) Error() string { return "recording is in the log already" }

// Fault is a tool's refusal.
type Fault struct{ plugin.ToolFault }

// Error names the tool's code. It does not contain the tool's text.
func (f *Fault) Error() string { return "tool refused: " + f.Code }

// New makes a Work.
func New(o Options) *Work {
	return &Work{
		node: o.Node, log: o.Log, vault: o.Vault, dir: o.Directory, convs: o.Conversations, runner: o.Runner, logger: o.Logger, now: o.Now,
		metrics: newMetrics(), generations: map[string][]string{}, sessions: map[sessionKey]*held{},
		rooms: map[conversation.ConversationID]*room{}, beginnings: map[conversation.SessionID]chan struct{}{},
	}
}

// UseTools gives Work the plugins that serve tools. Without it no tool can be started.
func (w *Work) UseTools(t plugin.Tools) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tools = t
}

func (w *Work) host() plugin.Tools {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tools
}

// newest is a plugin's newest generation on this node; "" = none is ready.
func (w *Work) newest(id string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.newestLocked(id)
}

func (w *Work) newestLocked(id string) string {
	if all := w.generations[id]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// Key is the external id of a session on its account. It finds the conversation of a session that
// is not in memory: one that has ended, or that another node had.
func (w *Work) Key(account conversation.AccountID, id conversation.SessionID) eventlog.Key {
	return w.vault.MAC("session", account[:], id[:])
}

// encode makes a body. The types that are given to it always encode.
func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return b
}
