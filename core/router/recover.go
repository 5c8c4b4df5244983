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

// recover takes up what the log says is going on: agents, open conversations'
// timers and waiting requests, pending commands. States come from rows; what
// messages did since is folded when a conversation is first used.
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
				// A row of an older fold says when to look and who waits; the conversation
				// is folded anew when it is first used, before anything is decided.
				if at, ok := s.NextDeadline(); ok {
					r.timers.Set(timerID{timerConversation, s.ID}, spread(s, at, now))
				}
				r.dispatch.Conversation(s)
				r.readers.SyncRecent(s)
				r.dropOrphans(s)
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
	if newer > 0 {
		r.logger.Warn("rows of a newer version of the gateway are left alone", "rows", newer)
	}
	if err := r.outbox.Start(ctx); err != nil { // begun ones wait for their plugin's word: see PluginReady
		return 0, err
	}
	// The sockets of agents died with the process that had them: their grace
	// begins now (A20), with an append for each agent.
	if len(connected) > 0 {
		r.spawn(func() { r.agents.Lost(connected) })
	}
	return open, nil
}

// spread is when to look at a conversation whose next deadline is at. What nobody
// attends to, and was due long before now, is spread over an hour: after an upgrade
// that brings a rule, or a long stop, that may be very many, and who writes or joins
// meanwhile still comes first.
func spread(s *conversation.State, at, now time.Time) time.Time {
	display := s.Display()
	if now.Sub(at) > time.Hour && (display == conversation.DisplayParked || display == conversation.DisplayBot) {
		return now.Add(time.Duration(binary.BigEndian.Uint16(s.ID[14:])) * time.Hour >> 16)
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

// rowState is what conversation.DecodeState says of a row.
type rowState struct {
	state *conversation.State
	err   error
}

// decodeRows decodes on all processors: at the start it takes most of the time.
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
