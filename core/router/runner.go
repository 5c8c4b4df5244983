package router

import (
	"context"
	"time"
)

// runner is the Runner of each room of the router: the rooms' goroutines and appends end with the
// router.
type runner struct{ r *Router }

// Go runs f on a goroutine that Stop waits for. False: the router is stopping.
func (x runner) Go(f func()) bool { return x.r.spawn(f) }

// After runs f when d has passed, unless the router stops first.
func (x runner) After(d time.Duration, f func()) { x.r.after(d, f) }

// Running returns a context that ends when the router stops.
func (x runner) Running() context.Context { return x.r.ctx }

// Commits returns a context that ends only when Stop waits no longer.
func (x runner) Commits() context.Context { return x.r.commits }
