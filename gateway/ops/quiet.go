package ops

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// How often one message may be logged.
const (
	quietBurst  = 10
	quietWindow = 10 * time.Second
	quietKeys   = 1000 // distinct messages remembered; when there are more the counts start again
	quietText   = 256  // messages that agree in so many first bytes count as the same
)

// Quiet limits how often the log repeats a message: a full disk fails every webhook, every timer
// and every agent's command, and each of them logs it. Of one message, whatever its attributes
// except plugin, ten lines pass in ten seconds. Further ones are counted, and the count is written
// when the ten seconds are over, together with the next line of any kind. Lines below Warn always
// pass.
func Quiet(next slog.Handler) slog.Handler {
	return &quiet{next, "", &counts{said: map[quietKey]*said{}, swept: time.Now()}}
}

type quiet struct {
	next   slog.Handler
	plugin string // set by With; counts are kept per plugin, since a plugin chooses its messages and must not silence others'
	*counts
}

// counts are shared by a handler and all handlers that With derives from it.
type counts struct {
	mu    sync.Mutex
	said  map[quietKey]*said
	swept time.Time
}

type quietKey struct {
	level  slog.Level
	plugin string
	text   string
}

// said is how often a message was logged in the window that began at since.
type said struct {
	since time.Time
	lines int
	by    slog.Handler // the handler of the last line left out, for its attributes
}

// Enabled implements slog.Handler.
func (q *quiet) Enabled(ctx context.Context, l slog.Level) bool { return q.next.Enabled(ctx, l) }

// WithAttrs implements slog.Handler.
func (q *quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	plugin := q.plugin
	for _, a := range attrs {
		if a.Key == "plugin" {
			plugin = a.Value.String()
		}
	}
	return &quiet{q.next.WithAttrs(attrs), plugin, q.counts}
}

// WithGroup implements slog.Handler.
func (q *quiet) WithGroup(name string) slog.Handler {
	return &quiet{q.next.WithGroup(name), q.plugin, q.counts}
}

// Handle implements slog.Handler.
func (q *quiet) Handle(ctx context.Context, r slog.Record) error {
	now := time.Now()
	pass, over := q.count(q.next, q.plugin, r, now)
	for key, s := range over {
		line := slog.NewRecord(now, key.level, key.text, 0)
		line.AddAttrs(slog.Int("left_out", s.lines-quietBurst), slog.Duration("within", now.Sub(s.since).Round(time.Second)))
		if err := s.by.Handle(ctx, line); err != nil {
			return err
		}
	}
	if !pass {
		return nil
	}
	return q.next.Handle(ctx, r)
}

// count decides whether a line passes. over are the messages of which lines were left out in a
// window that has ended.
func (c *counts) count(by slog.Handler, plugin string, r slog.Record, now time.Time) (pass bool, over map[quietKey]*said) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.swept) >= quietWindow || len(c.said) >= quietKeys {
		c.swept = now
		for key, s := range c.said {
			if now.Sub(s.since) < quietWindow && len(c.said) < quietKeys {
				continue
			}
			delete(c.said, key)
			if s.lines > quietBurst {
				if over == nil {
					over = map[quietKey]*said{}
				}
				over[key] = s
			}
		}
	}
	if r.Level < slog.LevelWarn {
		return true, over
	}
	key := quietKey{r.Level, plugin, r.Message}
	if len(key.text) > quietText {
		key.text = strings.Clone(key.text[:quietText])
	}
	s := c.said[key]
	if s == nil {
		s = &said{since: now}
		c.said[key] = s
	}
	if s.lines++; s.lines > quietBurst {
		s.by = by
		return false, over
	}
	return true, over
}
