package router

import (
	"errors"
	"sync"
	"time"

	"github.com/parley-gateway/parley/core/bus"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/eventlog"
)

// doubts holds the streams with an append of unknown outcome, and counts such appends since the
// stream was added. At most one goroutine per stream finds out what was written.
type doubts struct {
	mu sync.Mutex
	of map[eventlog.StreamID]int
}

// add counts an append of unknown outcome. It reports whether the stream is new; then the caller
// must find out what was written.
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

// foundOut removes a stream, unless another doubt was added since count returned n. It reports
// whether it did.
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

// doubt finds out whether an append to a stream, whose outcome is not known, was written. Otherwise
// its events may be in the log but in no node's memory: the client's retry is answered as a
// duplicate, but nothing sends the message, and no agent is asked to take the customer.
//
// catchUp brings memory up to the log, at least to the sequence beyond unless the log has less, and
// returns the sequence that it reached. That alone proves nothing, since the append may commit
// later (the database waits for a standby). So doubt asks the log for an append without events at
// that sequence. Such an append waits for whatever is under way on the stream and then has a
// definite answer: it succeeds if nothing follows the sequence, and is a conflict if something
// does.
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
				for _, k := range hints { // nothing else has told the other nodes
					r.bus.Publish(bus.Hint{Node: r.node, Kind: k, Stream: stream, Seq: seq})
				}
				return
			case errors.Is(err, ErrNewer): // a node of a newer version carries the stream on
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

// leaveDoubt asks the other nodes to find out about a stream, since this node stops and nothing
// else would tell them of what was written.
func (r *Router) leaveDoubt(stream eventlog.StreamID, hints []bus.Kind) {
	for _, k := range hints {
		switch k {
		case bus.Conversation:
			r.bus.Publish(bus.Hint{Node: r.node, Kind: bus.ConversationDoubt, Stream: stream})
		case bus.Agent:
			r.bus.Publish(bus.Hint{Node: r.node, Kind: bus.AgentDoubt, Stream: stream})
		default: // the other kinds follow from the conversation
		}
	}
}

// maxReadPause is the longest pause before a stream that cannot be read is tried again.
const maxReadPause = time.Minute

// unread handles a stream that could not be read (err) and is tried again after pause; it returns
// how long to wait if that fails, too. A store that is away or full is asked every second, so that
// work goes on as soon as it is back. Every other cause (an event that cannot be decoded, a row
// that is damaged) needs somebody to look at it: each attempt is logged, and the attempts become
// rare.
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
		case errors.Is(err, ErrNotFound): // the conversation has not begun, as far as the log knows now
			return 0, nil
		case err != nil: // when r.ctx has ended, the mailbox may still write seq
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
