package router

import (
	"errors"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// doubts are the streams to which an append has an unknown outcome, with how
// many such appends there were since the stream came in. At most one goroutine
// per stream finds out.
type doubts struct {
	mu sync.Mutex
	of map[eventlog.StreamID]int
}

// add reports whether the stream is new: the caller finds out about it.
func (d *doubts) add(s eventlog.StreamID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of == nil {
		d.of = map[eventlog.StreamID]int{}
	}
	d.of[s]++
	return d.of[s] == 1
}

func (d *doubts) count(s eventlog.StreamID) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.of[s]
}

// foundOut takes a stream out, unless there was another doubt since count said n.
func (d *doubts) foundOut(s eventlog.StreamID, n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of[s] != n {
		return false
	}
	delete(d.of, s)
	return true
}

func (d *doubts) open() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.of)
}

// doubt finds out what became of an append to a stream whose outcome is not
// known. What such an append brings is otherwise in the log and in nobody's
// memory: the client's retry hears "duplicate", a message waits for nobody to
// send it, a customer for nobody to be asked.
//
// catchUp brings memory up to the log, at least to the sequence beyond unless
// the log has less, and returns the sequence that it reached. That alone proves
// nothing, since the append may commit later (the database waits for a standby).
// So the log is asked for an append without events at that sequence. It waits
// for whatever is under way on the stream and then has a definite answer: it
// succeeds if nothing follows the sequence, and is a conflict if something does.
func (r *Router) doubt(stream eventlog.StreamID, catchUp func(beyond uint64) (uint64, error), hints ...bus.Kind) {
	r.metrics.doubts.Inc()
	if !r.doubts.add(stream) {
		return
	}
	if !r.spawn(func() {
		var beyond uint64
		pause := retryPause
		for definite := false; ; {
			n := r.doubts.count(stream)
			seq, err := catchUp(beyond)
			if err == nil && !definite {
				_, err = r.log.Append(r.ctx, &eventlog.Batch{Streams: []eventlog.StreamAppend{{Stream: stream, Expect: seq}}})
			}
			switch {
			case err == nil && r.doubts.foundOut(stream, n):
				for _, k := range hints { // nobody else told the other nodes
					r.bus.Publish(bus.Hint{Node: r.node, Kind: k, Stream: stream, Seq: seq})
				}
				return
			case errors.Is(err, ErrNewer): // a newer node carries it on
				r.doubts.foundOut(stream, r.doubts.count(stream))
				return
			case err == nil:
				definite = false
				continue
			case errors.Is(err, eventlog.ErrConflict):
				beyond, definite = seq+1, true
				continue
			}
			next := r.unread(stream, err, pause)
			select {
			case <-r.ctx.Done():
				r.leaveDoubt(stream, hints)
				return
			case <-time.After(pause):
			}
			pause = next
		}
	}) {
		r.leaveDoubt(stream, hints)
	}
}

// leaveDoubt leaves it to the other nodes to find out about a stream, since this one
// stops: nothing else would tell them of what was written.
func (r *Router) leaveDoubt(stream eventlog.StreamID, hints []bus.Kind) {
	for _, k := range hints {
		switch k {
		case bus.Conversation:
			r.bus.Publish(bus.Hint{Node: r.node, Kind: bus.ConversationDoubt, Stream: stream})
		case bus.Agent:
			r.bus.Publish(bus.Hint{Node: r.node, Kind: bus.AgentDoubt, Stream: stream})
		default: // follows from the conversation
		}
	}
}

// maxReadPause is the longest pause before a stream that cannot be read is tried again.
const maxReadPause = time.Minute

// unread notes that a stream could not be read (err), which is tried again after
// pause, and returns how long to wait if that fails, too. A store that is away or full is asked every
// second, so that all goes on as soon as it is back. What else keeps a stream from
// being read (an event that cannot be decoded, a row that is damaged) needs somebody
// to look at it: it is logged, once per attempt, and the attempts become rare.
func (r *Router) unread(stream eventlog.StreamID, err error, pause time.Duration) time.Duration {
	if eventlog.InDoubt(err) || errors.Is(err, eventlog.ErrFull) || errors.Is(err, ErrStopped) {
		return retryPause
	}
	r.logger.Error("stream cannot be read: what was written to it last is not carried on", "stream", conversation.ConversationID(stream), "err", err)
	return min(2*pause, maxReadPause)
}

func (r *Router) doubtConversation(id conversation.ConversationID) {
	r.doubt(eventlog.StreamID(id), func(beyond uint64) (uint64, error) {
		var seq uint64
		_, err := r.live(id).do(r.ctx, &task{reload: beyond, read: func(s *conversation.State) { seq = s.Seq }})
		switch {
		case errors.Is(err, ErrNotFound): // not begun, as far as the log knows now
			return 0, nil
		case err != nil: // seq is still the mailbox's when r.ctx has ended
			return 0, err
		}
		return seq, nil
	}, bus.Conversation, bus.Recent)
}

func (r *Router) doubtAgent(id conversation.AgentID) {
	r.doubt(eventlog.StreamID(id), func(beyond uint64) (uint64, error) {
		return r.agents.CatchUp(id, beyond)
	}, bus.Agent)
}
