package router

import (
	"context"
	"time"
)

// runner lends the router's life to its rooms: it is the Runner of each.
type runner struct{ r *Router }

// Go runs f on a goroutine that Stop waits for. False: the router is stopping.
func (x runner) Go(f func()) bool { return x.r.spawn(f) }

// After runs f later, unless the router stops first.
func (x runner) After(d time.Duration, f func()) { x.r.after(d, f) }

// Running ends when the router stops.
func (x runner) Running() context.Context { return x.r.ctx }

// Commits ends only when Stop waits no longer.
func (x runner) Commits() context.Context { return x.r.commits }
