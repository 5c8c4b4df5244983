package outbox

import (
	"fmt"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/plugin"
)

// Command is a pending command in memory. If its row in the log differs, the row is right.
type Command struct {
	row    eventlog.OutboxRow
	plugin string // the account's plugin when the command came into memory
	// held: the command is not handed out now. Either instance, a generation of the plugin, has it;
	// or instance is "", and the outbox itself is about to end it.
	held     bool
	instance string
	given    time.Time // when a generation was last given it
	lookup   bool      // the plugin is asked for the outcome of an earlier attempt, and must not send
	maybe    bool      // an earlier attempt may have reached the provider
	// doubtful: the command passed Begin with a generation that is gone. It is not handed out
	// before doubt has decided what happens to it (PR4).
	doubtful bool
	read     uint64    // number of the reading of rows that was the last when the command came into memory
	since    time.Time // when the command came into memory
	old      bool      // the command was queued before this process started
	// body is the body of a fresh message, or the payload of another fresh command, in clear, kept so
	// that it need not be read again; nil: read it from the log.
	body     []byte
	endpoint int                    // of a fresh message: the endpoint to which the message goes
	replyTo  conversation.MessageID // of a fresh message: the message that it answers
}

// Send makes the command that sends a message. The caller appends its row
// together with the message's event, and calls Add after the commit.
func (o *Outbox) Send(conv conversation.ConversationID, account conversation.AccountID, m *conversation.MessagePosted, ev *conversation.Event) *Command {
	return &Command{body: ev.Body, endpoint: m.Endpoint, replyTo: m.ReplyTo, row: eventlog.OutboxRow{
		CommandID: [16]byte(m.ID), Account: eventlog.StreamID(account), Conversation: eventlog.StreamID(conv),
		Seq: ev.Seq, Index: -1, Kind: KindSend, State: eventlog.OutboxQueued, Attempt: 1, Deadline: ev.At.Add(treatmentOf(KindSend).deadline), Node: o.node,
	}}
}

// Origin says where a command comes from.
type Origin struct {
	Conversation conversation.ConversationID
	// Command is the id of the command, by which its event names it; zero: a new one.
	Command conversation.MessageID
	// Seq is the sequence of the event that causes the command. Commands of a lane go out in this
	// order; those with the same Seq in the order in which they are added.
	Seq     uint64
	Account conversation.AccountID // its plugin gets the command
	Thread  string                 // the plugin's name for the exchange, in clear; "" = none
}

// Call makes the command that tells a plugin what a call is to do. pin names the one generation
// that may get it; with the zero Pin, as for a call that is still to begin, any generation may.
// within is how long the command is worth carrying out; 0, and more than that, is 15 seconds.
//
// The caller seals the payload (Payload, Seal), appends the row together with the event that causes
// it, and calls Add after the commit. The row of a command that is pinned to another node belongs
// to that node: Add leaves it alone, and the caller should hint to that node.
func (o *Outbox) Call(from Origin, pin conversation.Pin, cmd *plugin.CallCommand, within time.Duration) (*Command, error) {
	c, err := o.command(from, KindCall, cmd)
	if err != nil {
		return nil, err
	}
	if within > 0 && within < treatmentOf(KindCall).deadline {
		c.row.Deadline = c.row.Deadline.Add(within - treatmentOf(KindCall).deadline)
	}
	c.row.Route = pin.Instance
	if pin.Node != "" {
		c.row.Node = pin.Node
	}
	return c, nil
}

// MarkRead makes the command that tells a provider how far the customer's messages have been read.
// It is sealed, appended and added as Call says. Of several marks of one conversation and account
// that wait for their plugin only the newest is handed out.
func (o *Outbox) MarkRead(from Origin, cmd *plugin.MarkReadCommand) (*Command, error) {
	return o.command(from, KindMarkRead, cmd)
}

// ToolEnd makes the command that tells a tool that a session of its is over. It is sealed, appended
// and added as Call says. The command belongs to the node on which the session was (pin), but to no
// generation of the plugin: the next one may have the session, too.
func (o *Outbox) ToolEnd(from Origin, pin conversation.Pin, cmd *plugin.ToolEndCommand) (*Command, error) {
	c, err := o.command(from, KindToolEnd, cmd)
	if err == nil && pin.Node != "" {
		c.row.Node = pin.Node
	}
	return c, err
}

func (o *Outbox) command(from Origin, kind string, cmd any) (*Command, error) {
	payload, err := joinPayload(from.Thread, cmd)
	if err != nil {
		return nil, fmt.Errorf("outbox: encode %s: %w", kind, err)
	}
	if from.Command.IsZero() {
		from.Command = conversation.NewID[conversation.MessageID]()
	}
	return &Command{body: payload, row: eventlog.OutboxRow{
		CommandID: [16]byte(from.Command), Account: eventlog.StreamID(from.Account), Conversation: eventlog.StreamID(from.Conversation),
		Seq: from.Seq, Index: -1, Kind: kind, State: eventlog.OutboxQueued, Attempt: 1, Deadline: o.now().UTC().Add(treatmentOf(kind).deadline), Node: o.node,
	}}, nil
}

// Row is the row to append together with the event that causes the command.
func (c *Command) Row() eventlog.OutboxRow { return c.row }

// Payload is what the caller must seal and give to Seal before it appends the row; nil: the row has
// no payload, since the message's event has everything.
func (c *Command) Payload() []byte {
	if c.row.Kind == KindSend {
		return nil
	}
	return c.body
}

// Seal completes the row with its sealed payload and the key under which that was sealed.
func (c *Command) Seal(sealed []byte, key int64) { c.row.Payload, c.row.KeyID = sealed, key }

// Deferred makes the row of an item that its plugin is to process later. The row's payload is not
// sealed yet: the caller seals and appends it, and calls AddRow after the commit.
func (o *Outbox) Deferred(account conversation.AccountID, thread string, opaque []byte) eventlog.OutboxRow {
	return eventlog.OutboxRow{
		CommandID: [16]byte(conversation.NewID[conversation.MessageID]()), Account: eventlog.StreamID(account), Index: -1, Kind: KindProcess,
		State: eventlog.OutboxQueued, Attempt: 1, Deadline: o.now().UTC().Add(treatmentOf(KindProcess).deadline), Payload: joinThread(thread, opaque), Node: o.node,
	}
}

// ByHand changes the row of a message whose outcome is unknown according to a person's decision
// (PR4). It returns the changed row and the update for the append that records the decision. Call
// DecidedByHand after the commit.
func (o *Outbox) ByHand(row eventlog.OutboxRow, outcome conversation.Outcome) (eventlog.OutboxRow, eventlog.OutboxUpdate) {
	u := eventlog.OutboxUpdate{CommandID: row.CommandID, State: eventlog.OutboxSettled, Attempt: row.Attempt, Node: o.node, Epoch: row.Epoch}
	if outcome == conversation.OutcomeResend {
		now := o.now().UTC()
		u.State, u.NotBefore, u.Deadline = eventlog.OutboxQueued, now, now.Add(treatmentOf(KindSend).deadline)
		u.Attempt++
	}
	u.Apply(&row)
	return row, u
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
