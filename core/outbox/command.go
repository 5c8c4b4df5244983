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
	KindSend    = "send"    // a message
	KindProcess = "process" // a deferred item
)

// How long a command is tried (DESIGN.md 4).
const (
	sendDeadline    = 4 * time.Hour
	processDeadline = 24 * time.Hour
)

// Command is a pending command in memory. Its row is the truth.
type Command struct {
	row    eventlog.OutboxRow
	plugin string // the account's, when the command came into memory
	// held: it is not handed out now. Either instance, a generation of the plugin,
	// has it; or instance is "", and the outbox itself is about to end it.
	held     bool
	instance string
	lookup   bool // the plugin is asked what became of it
	maybe    bool // an earlier attempt may have been sent
	// doubtful: it passed Begin with a generation that is gone. Nobody hands it
	// out before doubt has decided what becomes of it (PR4).
	doubtful bool
	read     uint64 // the number of the last reading of rows when it came into memory
	// body is a fresh message's, so that it need not be read again; nil = the
	// log has it.
	body     json.RawMessage
	endpoint int // of body: where it goes
}

// Send makes the command that sends a message. The caller appends its row
// together with the message's event, and calls Add after the commit.
func (o *Outbox) Send(conv conversation.ConversationID, account conversation.AccountID, m *conversation.MessagePosted, ev *conversation.Event) *Command {
	return &Command{body: ev.Body, endpoint: m.Endpoint, row: eventlog.OutboxRow{
		CommandID: [16]byte(m.ID), Account: eventlog.StreamID(account), Conversation: eventlog.StreamID(conv),
		Seq: ev.Seq, Index: -1, Kind: KindSend, State: eventlog.OutboxQueued, Attempt: 1, Deadline: ev.At.Add(sendDeadline), Node: o.node,
	}}
}

// Row is the row to append with the command's cause.
func (c *Command) Row() eventlog.OutboxRow { return c.row }

// Deferred makes the row of an item that its plugin is to process later. Its
// payload is still clear: the caller seals and appends it, and calls AddRow after
// the commit.
func (o *Outbox) Deferred(account conversation.AccountID, thread string, opaque []byte) eventlog.OutboxRow {
	return eventlog.OutboxRow{
		CommandID: [16]byte(conversation.NewID[conversation.MessageID]()), Account: eventlog.StreamID(account), Index: -1, Kind: KindProcess,
		State: eventlog.OutboxQueued, Attempt: 1, Deadline: o.now().UTC().Add(processDeadline), Payload: joinDeferred(thread, opaque), Node: o.node,
	}
}

// joinDeferred is the payload of a deferred item: its thread, so that the
// plugin keeps the order of each, and what the plugin gave.
func joinDeferred(thread string, opaque []byte) []byte {
	out := binary.AppendUvarint(make([]byte, 0, len(thread)+len(opaque)+4), uint64(len(thread)))
	return append(append(out, thread...), opaque...)
}

// splitDeferred takes a payload apart.
func splitDeferred(payload []byte) (thread string, opaque []byte, err error) {
	n, k := binary.Uvarint(payload)
	if k <= 0 || n > uint64(len(payload)-k) {
		return "", nil, errors.New("outbox: deferred item: no thread")
	}
	return string(payload[k : k+int(n)]), payload[k+int(n):], nil
}

// ByHand is what a person's word makes of the row of a message whose outcome is
// unknown (PR4), and the update that goes into the append of that word. Call
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

// DecidedByHand counts a person's word that is in the log, and takes the message
// in that is to be sent again.
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

// late reports whether a command is over and never passed Begin: it is not handed
// out any more. One that is only asked about (lookup) goes on being asked about.
func (c *Command) late(now time.Time) bool {
	return !c.lookup && c.row.State != eventlog.OutboxBegun && c.over(now)
}
