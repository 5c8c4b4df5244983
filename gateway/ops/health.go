package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Check tests one condition that must hold for the process to take work.
type Check struct {
	Name string // short, stable, lower case: "log", "plugins"
	// Run returns nil when the condition holds. Its error is shown to operators, so it must contain
	// no secrets. It must return when ctx ends (2 s).
	Run func(ctx context.Context) error
	// Fresh is for how long the outcome of one Run answers later requests, so that many requests at
	// once cost one Run. 0: each request runs it.
	Fresh time.Duration
}

// patience is how long a request waits for a check.
const patience = 2 * time.Second

// check is a Check with its last outcome.
type check struct {
	Check
	turn chan struct{} // holds a token while nobody runs the check
	at   time.Time
	last Result
}

// Health answers /healthz and /readyz. Safe for concurrent use.
type Health struct {
	checks   []*check
	draining atomic.Bool
	started  atomic.Bool
}

// NewHealth is not ready until Started is called and every check passes.
func NewHealth(checks ...Check) *Health {
	h := &Health{}
	for _, c := range checks {
		turn := make(chan struct{}, 1)
		turn <- struct{}{}
		h.checks = append(h.checks, &check{Check: c, turn: turn})
	}
	return h
}

// Started says that the start is complete: from now on Ready depends on the checks.
func (h *Health) Started() { h.started.Store(true) }

// Drain makes /readyz answer 503 from now on (PR15).
func (h *Health) Drain() { h.draining.Store(true) }

// Ready reports whether the process takes work, with one line per check.
func (h *Health) Ready(ctx context.Context) (bool, []Result) {
	results := make([]Result, len(h.checks)+1)
	switch {
	case h.draining.Load():
		results[0] = Result{Name: "lifecycle", Error: "draining"}
	case !h.started.Load():
		results[0] = Result{Name: "lifecycle", Error: "starting"}
	default:
		results[0] = Result{Name: "lifecycle", OK: true}
	}
	var wg sync.WaitGroup
	for i, c := range h.checks {
		wg.Go(func() { results[i+1] = c.ask(ctx) })
	}
	wg.Wait()
	ok := true
	for _, r := range results {
		ok = ok && r.OK
	}
	return ok, results
}

// ask returns the outcome of a check; an earlier one while that is fresh. The request that runs the
// check does so for the others, too, so the run does not stop when that request's client goes.
func (c *check) ask(ctx context.Context) Result {
	if c.Fresh == 0 {
		return c.run(ctx)
	}
	select {
	case <-c.turn:
	case <-ctx.Done():
		return Result{Name: c.Name, Error: ctx.Err().Error()}
	}
	defer func() { c.turn <- struct{}{} }()
	if c.at.IsZero() || time.Since(c.at) >= c.Fresh {
		c.last = c.run(context.WithoutCancel(ctx))
		c.at = time.Now()
	}
	return c.last
}

func (c *check) run(ctx context.Context) Result {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := c.Run(ctx)
	switch {
	case err == nil:
		return Result{Name: c.Name, OK: true}
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return Result{Name: c.Name, Error: "no answer within " + patience.String()}
	}
	return Result{Name: c.Name, Error: err.Error()}
}

// Result is the outcome of one check.
type Result struct {
	Name  string `json:"name"`
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty"`
}

type report struct {
	Status string   `json:"status"` // ok or unavailable
	Checks []Result `json:"checks,omitempty"`
}

func (h *Health) serveReady(w http.ResponseWriter, r *http.Request) {
	ok, results := h.Ready(r.Context())
	write(w, r, ok, results)
}

// serveAlive answers as long as the process can answer at all, and checks nothing (ux.md 1).
func (h *Health) serveAlive(w http.ResponseWriter, r *http.Request) { write(w, r, true, nil) }

func write(w http.ResponseWriter, r *http.Request, ok bool, results []Result) {
	rep, status := report{"ok", results}, http.StatusOK
	if !ok {
		rep.Status, status = "unavailable", http.StatusServiceUnavailable
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if wantsJSON(r) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(rep); err != nil {
			return // the client has gone, so nobody can be told
		}
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, rep.Status)
	for _, c := range results {
		line := "ok"
		if !c.OK {
			line = c.Error
		}
		_, _ = fmt.Fprintf(w, "%s: %s\n", c.Name, line)
	}
}

func wantsJSON(r *http.Request) bool {
	for accept := range strings.SplitSeq(r.Header.Get("Accept"), ",") {
		if t, _, err := mime.ParseMediaType(accept); err == nil && t == "application/json" {
			return true
		}
	}
	return false
}
