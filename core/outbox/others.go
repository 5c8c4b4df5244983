package outbox

import (
	"context"
	"errors"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// others holds pending messages that belong to other nodes, so that this node's later messages of
// the same lanes wait for them. It has those of the conversations that this node has in memory
// (Learn, Add), and those of the lanes in which this node has commands (readRows); a message leaves
// it when it is known not to be pending, or has come to this node. All fields are guarded by
// Outbox.mu.
type others struct {
	of     map[[16]byte]known            // by command
	before map[eventlog.StreamID][]other // by conversation
}

// known is where a pending message of another node is, and the number of the reading of rows that
// was the last when it was noted.
type known struct {
	conv eventlog.StreamID
	read uint64
}

// other is a pending message of another node.
type other struct {
	command [16]byte
	account eventlog.StreamID
	seq     uint64
}

func (w *others) add(row *eventlog.OutboxRow, read uint64) {
	if row.Kind != KindSend {
		return
	}
	if _, ok := w.of[row.CommandID]; ok {
		return
	}
	if w.of == nil {
		w.of, w.before = map[[16]byte]known{}, map[eventlog.StreamID][]other{}
	}
	w.of[row.CommandID] = known{row.Conversation, read}
	w.before[row.Conversation] = append(w.before[row.Conversation], other{row.CommandID, row.Account, row.Seq})
}

func (w *others) has(command [16]byte) bool {
	_, ok := w.of[command]
	return ok
}

func (w *others) readBefore(command [16]byte, reading uint64) bool {
	return w.of[command].read < reading
}

func (w *others) remove(command [16]byte) bool {
	k, ok := w.of[command]
	if !ok {
		return false
	}
	delete(w.of, command)
	rest := slices.DeleteFunc(w.before[k.conv], func(x other) bool { return x.command == command })
	if len(rest) == 0 {
		delete(w.before, k.conv)
	} else {
		w.before[k.conv] = rest
	}
	return true
}

// holdBack reports whether an earlier message of the row's lane is pending at another node.
func (w *others) holdBack(row *eventlog.OutboxRow) bool {
	return row.Kind == KindSend && slices.ContainsFunc(w.before[row.Conversation], func(x other) bool {
		return x.account == row.Account && x.seq < row.Seq
	})
}

// noteOthers notes the messages of other nodes among rows that were read: those in lanes that are in
// memory, or all. It needs o.mu.
func (o *Outbox) noteOthers(rows []eventlog.OutboxRow, all bool) {
	for i := range rows {
		row := &rows[i]
		if _, gone := o.gone[row.CommandID]; gone || row.Node == o.node || row.Kind != KindSend {
			continue
		}
		if c := o.byID[row.CommandID]; c != nil && c.row.Epoch >= row.Epoch { // it has come to this node since it was read
			continue
		}
		a := o.accounts[conversation.AccountID(row.Account)]
		if all || a != nil && a.lanes[laneOf(row)] != nil {
			o.others.add(row, o.reads)
		}
	}
}

// otherEnded notes that a message is not pending any more. It needs o.mu.
func (o *Outbox) otherEnded(command [16]byte) (was bool) {
	if was = o.others.remove(command); was {
		o.left(command)
	}
	return was
}

// endOthers notes which messages of other nodes are not pending any more by a conversation's state,
// which may be older than what is known of them.
func (o *Outbox) endOthers(s *conversation.State) {
	o.mu.Lock()
	var ended [][16]byte
	for _, x := range o.others.before[eventlog.StreamID(s.ID)] {
		waits := func(p conversation.PendingMessage) bool {
			return p.ID == x.command && p.Status == conversation.StatusAccepted
		}
		if x.seq <= s.Seq && !slices.ContainsFunc(s.Pending, waits) {
			ended = append(ended, x.command)
		}
	}
	for _, id := range ended {
		o.otherEnded(id)
	}
	o.mu.Unlock()
	if len(ended) > 0 {
		o.poke()
	}
}

// lost takes a command out of memory whose row is not this node's any more, or not in the way in
// which this node read it. Unless the row is known to have ended, later messages of its lane wait
// until the rows are read again, which also brings back what has come to this node anew.
func (o *Outbox) lost(ctx context.Context, was eventlog.OutboxRow) {
	row, err := o.log.OutboxRow(ctx, was.CommandID)
	if errors.Is(err, eventlog.ErrNotFound) || err == nil && !row.State.Pending() {
		o.drop(was, false)
		return
	}
	o.drop(was, true)
	o.ReadAgain()
}

// drop removes a command from memory as it was read. Another Command of the same row, which was read
// since then, stays. With pending, the lane waits for the row all the same.
func (o *Outbox) drop(was eventlog.OutboxRow, pending bool) {
	o.mu.Lock()
	if c := o.byID[was.CommandID]; c != nil && c.row.Epoch == was.Epoch {
		o.remove(c)
		if pending {
			o.others.add(&was, o.reads)
		}
	}
	o.mu.Unlock()
	o.poke()
}
