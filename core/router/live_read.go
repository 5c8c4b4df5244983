package router

import (
	"context"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// watcher is told when a conversation has something new. Neither method blocks.
type watcher interface {
	hint(l *live)
	signal(l *live, s Signal)
}

// tailRecord is a committed event in memory.
type tailRecord struct {
	audience conversation.Audience
	prev     [5]uint64 // last visible sequence before this one, by audience
	rec      Record
}

// publish shows committed events to readers. recs end at head; when they do
// not continue the tail it starts anew.
func (l *live) publish(recs []tailRecord, s *conversation.State) {
	l.mu.Lock()
	head := s.Seq
	l.over = s.Phase != conversation.PhaseOpen
	grew := head > l.head
	if len(recs) > 0 {
		if len(l.tail) > 0 && l.tail[len(l.tail)-1].rec.Seq+1 != recs[0].rec.Seq {
			l.tail = nil
		}
		if len(recs) >= tailSize {
			l.tail, recs = nil, recs[len(recs)-tailSize:]
		} else if len(l.tail)+len(recs) > 2*tailSize {
			l.tail = append(make([]tailRecord, 0, 2*tailSize), l.tail[len(l.tail)-tailSize:]...)
		}
		l.tail = append(l.tail, recs...)
	} else if grew {
		l.tail = nil
	}
	if grew {
		l.head = head
	}
	l.used = time.Now()
	ws := l.watchers
	l.mu.Unlock()
	if grew {
		for _, w := range ws {
			w.hint(l)
		}
	}
}

// unfolded makes readers read the log: it has gone on in a way that cannot be
// followed in memory.
func (l *live) unfolded() {
	l.mu.Lock()
	l.tail, l.head = nil, 0
	ws := l.watchers
	l.mu.Unlock()
	for _, w := range ws {
		w.hint(l)
	}
}

// signalAll passes something ephemeral to every watcher but one.
func (l *live) signalAll(s Signal, except watcher) {
	l.mu.Lock()
	ws := l.watchers
	if s.Kind == "presence" && s.Who.Kind == conversation.Customer {
		l.present = s.On
	}
	l.mu.Unlock()
	for _, w := range ws {
		if w != except {
			w.signal(l, s)
		}
	}
}

func (l *live) watch(w watcher) {
	l.mu.Lock()
	l.watchers = append(append([]watcher(nil), l.watchers...), w)
	l.mu.Unlock()
}

func (l *live) unwatch(w watcher) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := make([]watcher, 0, len(l.watchers))
	for _, x := range l.watchers {
		if x != w {
			kept = append(kept, x)
		}
	}
	l.watchers = kept
}

// read returns up to limit events that the audience may see after a sequence,
// and the sequence up to which it looked. Records share memory: read only.
func (l *live) read(ctx context.Context, a conversation.Audience, after uint64, limit int) (recs []Record, reached uint64, err error) {
	l.mu.Lock()
	if l.head != 0 && after >= l.head {
		l.mu.Unlock()
		return nil, after, nil
	}
	if n := len(l.tail); n > 0 && l.tail[0].rec.Seq <= after+1 {
		reached = after
		for _, t := range l.tail[after+1-l.tail[0].rec.Seq:] {
			if len(recs) == limit {
				break
			}
			reached = t.rec.Seq
			if a.Sees(t.audience) {
				rec := t.rec
				rec.Prev = t.prev[a]
				recs = append(recs, rec)
			}
		}
		l.mu.Unlock()
		return recs, reached, nil
	}
	l.mu.Unlock()
	return l.r.readLog(ctx, l.id, a, after, limit)
}

func (l *live) isOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// idleSince reports whether nothing happened since t, and whether nobody
// refers to the mailbox any more: no reader, and no thread. It is made again
// from the log when somebody asks for the conversation. away: then, too, its
// customer is not there.
func (l *live) idleSince(t time.Time) (idle, unused, away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	idle = !l.running && l.used.Before(t)
	return idle, idle && len(l.watchers) == 0 && l.threads == 0, !l.present && !l.over
}

// refer counts the threads that have l as their open conversation.
func (l *live) refer(n int) {
	l.mu.Lock()
	l.threads += n
	l.mu.Unlock()
}

// forget frees what can be read again from the log.
func (l *live) forget(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running || !l.used.Before(t) {
		return
	}
	l.tail, l.state = nil, nil
}
