package clock

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Options of New. The zero value can be used.
type Options struct {
	// System reads the system's clock; nil: time.Now. Tests inject offsets here.
	// It is called once a second and for each Offset.
	System func() time.Time
	// Logger records jumps of the system's clock; nil: they are not logged.
	Logger *slog.Logger
}

const (
	lookEvery = time.Second
	// A difference below tolerance is ignored, since it takes time to read two clocks.
	tolerance = 10 * time.Millisecond
	// A jump of at least notable is logged. NTP steps a clock that is off by more than an eighth of
	// a second; smaller jumps than notable are followed without a log entry.
	notable = time.Second
	// The clock goes faster or slower by 1/slew, a tenth, until it agrees with the system's clock.
	slew = 10
	// A new course starts lead after it was made. By then every goroutine sees it, so that no two
	// goroutines ever see time go backwards between them.
	lead = 10 * time.Millisecond
)

// Clock is the installation's time. Safe for concurrent use.
type Clock struct {
	system func() time.Time
	log    *slog.Logger
	start  time.Time // read with its monotonic part, the only part that is used
	course atomic.Pointer[course]
}

// course says how time goes on from a given moment. It is never changed.
type course struct {
	from   time.Duration // since Clock.start, by the monotonic clock
	base   time.Time     // the installation's time at that moment; UTC, no monotonic reading
	left   time.Duration // how far the system's clock was ahead at that moment
	before *course       // the course that holds until then; nil: there is none
}

// New makes a clock that starts with the system's time. It starts no goroutine: unless Run is
// called, only the monotonic clock moves the time on.
func New(o Options) *Clock {
	if o.System == nil {
		o.System = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Clock{system: o.System, log: o.Logger, start: time.Now()}
	c.course.Store(&course{base: c.wall()})
	return c
}

// Now is the installation's time: in UTC, without a monotonic reading, never
// before what an earlier call returned. It takes no lock and allocates nothing.
func (c *Clock) Now() time.Time {
	since := time.Since(c.start)
	now, _ := c.course.Load().at(since)
	return now
}

// Offset is how far the system's clock is ahead of the installation's time; negative when it is
// behind. It is nought, give or take a few milliseconds, unless the system's clock has jumped.
func (c *Clock) Offset() time.Duration { return c.wall().Sub(c.Now()) }

// Run compares the clock with the system's clock once a second, until ctx ends.
func (c *Clock) Run(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	behind := false // a logged jump has not been made up yet
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		jump, offset := c.look()
		switch {
		case jump.Abs() >= notable:
			behind = true
			c.log.WarnContext(ctx, "the system's clock jumped: the installation's time follows slowly, so that nothing expires; a restart takes it up at once",
				"jump", jump.Round(time.Millisecond), "offset", offset.Round(time.Millisecond), "takes", (slew * offset.Abs()).Round(time.Second))
		case behind && offset.Abs() < tolerance:
			behind = false
			c.log.InfoContext(ctx, "the installation's time agrees with the system's clock again")
		}
	}
}

// look compares the clock with the system's clock, and sets a new course when the present one does
// not lead to the system's time. jump is how far the system's clock is from that course.
func (c *Clock) look() (jump, offset time.Duration) {
	system, since := c.wall(), time.Since(c.start)
	k := c.course.Load()
	now, left := k.at(since)
	offset = system.Sub(now)
	if jump = offset - left; jump.Abs() < tolerance {
		return 0, offset
	}
	old := *k
	old.before = nil
	next := &course{from: since + lead, before: &old}
	next.base, _ = old.at(next.from)
	next.left = system.Add(lead).Sub(next.base)
	c.course.Store(next)
	return jump, offset
}

// at returns the time at a moment, and how far the system's clock is still ahead then.
func (k *course) at(since time.Duration) (now time.Time, left time.Duration) {
	if since < k.from && k.before != nil {
		k = k.before
	}
	passed := since - k.from
	step := max(passed, 0) / slew
	if k.left < 0 {
		step = max(-step, k.left)
	} else {
		step = min(step, k.left)
	}
	return k.base.Add(passed + step), k.left - step
}

func (c *Clock) wall() time.Time { return c.system().Round(0).UTC() }
