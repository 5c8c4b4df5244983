package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Check is something that must hold for the process to take work.
type Check struct {
	Name string // short, stable, lower case: "log", "plugins"
	// Run returns nil when all is well. Its error is shown to operators, so it
	// holds no secrets. It must end when ctx does (2 s).
	Run func(ctx context.Context) error
}

// Health answers /healthz and /readyz. Safe for concurrent use.
type Health struct {
	checks   []Check
	draining atomic.Bool
	started  atomic.Bool
}

// NewHealth is not ready until Started is called and every check passes.
func NewHealth(checks ...Check) *Health { return &Health{checks: checks} }

// Started says that everything is in place.
func (h *Health) Started() { h.started.Store(true) }

// Drain makes /readyz answer 503 from now on (PR15).
func (h *Health) Drain() { h.draining.Store(true) }

// Ready reports whether the process takes work, with one line per check.
func (h *Health) Ready(ctx context.Context) (bool, []Result) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
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
		wg.Go(func() { results[i+1] = run(ctx, c) })
	}
	wg.Wait()
	ok := true
	for _, r := range results {
		ok = ok && r.OK
	}
	return ok, results
}

func run(ctx context.Context, c Check) Result {
	if err := c.Run(ctx); err != nil {
		return Result{Name: c.Name, Error: err.Error()}
	}
	return Result{Name: c.Name, OK: true}
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

// serveAlive answers as long as the process can answer at all; it asks nothing
// of anything else (ux.md 1).
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
			return // the client has gone: nobody to tell
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
