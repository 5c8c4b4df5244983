package outbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// Kinds of outbox rows.
const (
	KindSend    = "send"    // sends a message
	KindProcess = "process" // has the plugin process a deferred item
)

// How long a command is tried before it is given up (DESIGN.md 4).
const (
	sendDeadline    = 4 * time.Hour
	processDeadline = 24 * time.Hour
)

// Command is a pending command in memory. If its row in the log differs, the row is right.
type Command struct {
	row    eventlog.OutboxRow
	plugin string // the account's plugin when the command came into memory
	// held: the command is not handed out now. Either instance, a generation of the plugin, has it;
	// or instance is "", and the outbox itself is about to end it.
	held     bool
	instance string
	lookup   bool // the plugin is asked for the outcome of an earlier attempt, and must not send
	maybe    bool // an earlier attempt may have reached the provider
	// doubtful: the command passed Begin with a generation that is gone. It is not handed out
	// before doubt has decided what happens to it (PR4).
	doubtful bool
	read     uint64 // number of the reading of rows that was the last when the command came into memory
	// body is the body of a fresh message, kept so that it need not be read again; nil: read it
	// from the log.
	body     json.RawMessage
	endpoint int // with body: the endpoint to which the message goes
}

// Send makes the command that sends a message. The caller appends its row
// together with the message's event, and calls Add after the commit.
func (o *Outbox) Send(conv conversation.ConversationID, account conversation.AccountID, m *conversation.MessagePosted, ev *conversation.Event) *Command {
	return &Command{body: ev.Body, endpoint: m.Endpoint, row: eventlog.OutboxRow{
		CommandID: [16]byte(m.ID), Account: eventlog.StreamID(account), Conversation: eventlog.StreamID(conv),
		Seq: ev.Seq, Index: -1, Kind: KindSend, State: eventlog.OutboxQueued, Attempt: 1, Deadline: ev.At.Add(sendDeadline), Node: o.node,
	}}
}

// Row is the row to append together with the event that causes the command.
func (c *Command) Row() eventlog.OutboxRow { return c.row }

// Deferred makes the row of an item that its plugin is to process later. The row's payload is not
// sealed yet: the caller seals and appends it, and calls AddRow after the commit.
func (o *Outbox) Deferred(account conversation.AccountID, thread string, opaque []byte) eventlog.OutboxRow {
	return eventlog.OutboxRow{
		CommandID: [16]byte(conversation.NewID[conversation.MessageID]()), Account: eventlog.StreamID(account), Index: -1, Kind: KindProcess,
		State: eventlog.OutboxQueued, Attempt: 1, Deadline: o.now().UTC().Add(processDeadline), Payload: joinDeferred(thread, opaque), Node: o.node,
	}
}

// joinDeferred is the payload of a deferred item: its thread, so that the plugin can keep the order
// of each thread's items, and the data that the plugin gave.
func joinDeferred(thread string, opaque []byte) []byte {
	out := binary.AppendUvarint(make([]byte, 0, len(thread)+len(opaque)+4), uint64(len(thread)))
	return append(append(out, thread...), opaque...)
}

// splitDeferred returns the two parts that joinDeferred put together.
func splitDeferred(payload []byte) (thread string, opaque []byte, err error) {
	n, k := binary.Uvarint(payload)
	if k <= 0 || n > uint64(len(payload)-k) {
		return "", nil, errors.New("outbox: deferred item: no thread")
	}
	return string(payload[k : k+int(n)]), payload[k+int(n):], nil
}

// ByHand changes the row of a message whose outcome is unknown according to a person's decision
// (PR4). It returns the changed row and the update for the append that records the decision. Call
// DecidedByHand after the commit.
func (o *Outbox) ByHand(row eventlog.OutboxRow, outcome conversation.Outcome) (eventlog.OutboxRow, eventlog.OutboxUpdate) {
	row.State, row.Node = eventlog.OutboxSettled, o.node
	if outcome == conversation.OutcomeResend {
		now := o.now().UTC()
		row.State, row.NotBefore, row.Deadline = eventlog.OutboxQueued, now, now.Add(sendDeadline)
		row.Attempt++
	}
	return row, eventlog.OutboxUpdate{
		CommandID: row.CommandID, State: row.State, Attempt: row.Attempt, NotBefore: row.NotBefore, Deadline: row.Deadline, Node: row.Node,
	}
}

// DecidedByHand counts a person's decision that is now in the log, and queues the message if it is
// to be sent again.
func (o *Outbox) DecidedByHand(row eventlog.OutboxRow, outcome conversation.Outcome) {
	o.metrics.results.WithLabelValues(o.channel(row.Account), "manual_"+string(outcome)).Inc()
	if outcome == conversation.OutcomeResend {
		o.Add(&Command{row: row, maybe: true})
	}
}

// over reports whether a command's deadline has passed.
func (c *Command) over(now time.Time) bool {
	return !c.row.Deadline.IsZero() && now.After(c.row.Deadline)
}

// late reports whether a command's deadline has passed before Begin: it is then not handed out any
// more. A command about which the plugin is only asked (lookup) goes on.
func (c *Command) late(now time.Time) bool {
	return !c.lookup && c.row.State != eventlog.OutboxBegun && c.over(now)
}
