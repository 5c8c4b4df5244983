package router

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// recover reads from the log what is going on: agents, timers and waiting requests of open
// conversations, pending commands. States come from rows; messages that came since a row was
// written are folded when the conversation is first used.
func (r *Router) recover(ctx context.Context) (open int, err error) {
	connected, newer, err := r.agents.Load(ctx)
	if err != nil {
		return 0, err
	}
	now := r.now()
	err = r.unfinished(ctx, func(rows []eventlog.ConversationRow) error {
		for i, d := range decodeRows(rows) {
			switch row, s := &rows[i], d.state; {
			case errors.Is(d.err, conversation.ErrNewerFold):
				newer++
			case d.err != nil && !errors.Is(d.err, conversation.ErrOlderFold):
				return fmt.Errorf("conversation %x: %w", row.ID, d.err)
			default:
				// A row of an older fold tells well enough when to look at the conversation and who
				// waits; the conversation is folded anew when it is first used, before anything is
				// decided.
				if at, ok := s.NextDeadline(); ok {
					r.recoverTimer(row, spread(s, at, now))
				}
				r.sessions.Seen(s)
				r.dispatch.Conversation(s)
				r.readers.SyncRecent(s)
				r.botNow(s)
				if r.owns(s.ID) {
					r.dropOrphans(s)
				}
				if s.Phase == conversation.PhaseOpen {
					open++
				}
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("read conversations: %w", err)
	}
	r.sessions.Await()
	if newer > 0 {
		r.logger.Warn("rows of a newer version of the gateway are left alone", "rows", newer)
	}
	if err := r.outbox.Start(ctx); err != nil { // commands that had begun wait until their plugin says what became of them: see PluginReady
		return 0, err
	}
	// The sockets of agents died with the process that had them: the agents' grace periods begin
	// now (A20), with an append for each agent.
	if len(connected) > 0 {
		r.spawn(func() { r.agents.Lost(connected) })
	}
	return open, nil
}

// recoverTimer sets the timer of a conversation that this node owns. Rows of earlier versions do not
// tell when somebody must look at the conversation, so no sweep finds them: every node has a timer
// for those.
func (r *Router) recoverTimer(row *eventlog.ConversationRow, at time.Time) {
	if r.owns(row.ID) || row.Due.IsZero() {
		r.setTimer(timerID{timerConversation, row.ID}, at)
	}
}

// spread returns when to look at a conversation whose next deadline is at. Conversations that no
// agent attends to, and that were due long before now, are spread over an hour: after an upgrade
// that brings a rule, or after a long stop, they may be very many, and customers and agents who
// write or join meanwhile must still come first.
func spread(s *conversation.State, at, now time.Time) time.Time {
	return spreadRow(s.Display(), s.ID, at, now)
}

// spreadRow is spread for a conversation of which only the row is known.
func spreadRow(display conversation.Display, id [16]byte, at, now time.Time) time.Time {
	if now.Sub(at) > time.Hour && (display == conversation.DisplayParked || display == conversation.DisplayBot) {
		return now.Add(time.Duration(binary.BigEndian.Uint16(id[14:])) * time.Hour >> 16)
	}
	return at
}

// rowsAtOnce bounds how many rows are in memory while all unfinished ones are read.
const rowsAtOnce = 1000

// unfinished visits the rows of all conversations that are not concluded, page by
// page: there may be very many parked ones. One that ends meanwhile may be visited
// twice.
func (r *Router) unfinished(ctx context.Context, visit func([]eventlog.ConversationRow) error) error {
	for _, phase := range []string{eventlog.PhaseOpen, eventlog.PhaseEnded} {
		q := eventlog.ConversationQuery{Phases: []string{phase}, Limit: rowsAtOnce}
		for {
			rows, err := r.log.Conversations(ctx, q)
			if err != nil {
				return err
			}
			if err := visit(rows); err != nil {
				return err
			}
			if len(rows) < rowsAtOnce {
				break
			}
			q.Before = rows[len(rows)-1].ID
		}
	}
	return nil
}

// rowState is what conversation.DecodeState returns for a row.
type rowState struct {
	state *conversation.State
	err   error
}

// decodeRows decodes rows on all processors, since this takes most of the time of a start.
func decodeRows(rows []eventlog.ConversationRow) []rowState {
	out := make([]rowState, len(rows))
	var wg sync.WaitGroup
	parts := runtime.GOMAXPROCS(0)
	for part := range parts {
		wg.Go(func() {
			for i := part; i < len(rows); i += parts {
				out[i].state, out[i].err = conversation.DecodeState(rows[i].State)
			}
		})
	}
	wg.Wait()
	return out
}
